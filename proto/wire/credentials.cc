#include "proto/wire/credentials.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/wire/status.h"

namespace uaqf::wire {
namespace {

constexpr char kWorkerRole[] = "uaqf://worker/";

absl::StatusOr<std::string> ReadPem(const std::string& path, absl::string_view option) {
  if (path.empty()) {
    return Error(
        absl::StatusCode::kInvalidArgument, "TLS_INCOMPLETE",
        absl::StrCat("got TLS options without ", option, ", expected a PEM file; deploy/make-dev-ca.sh makes one"));
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) {
    return Error(absl::StatusCode::kNotFound, "TLS_FILE_UNREADABLE",
                 absl::StrCat("cannot read ", option, " ", path, ": ", std::strerror(errno)));
  }
  return text.str();
}

// The certificates of an authority. gRPC finds out at the first handshake only that there are none.
absl::StatusOr<std::string> ReadAuthority(const std::string& path) {
  auto pem = ReadPem(path, "--tls-ca");
  if (!pem.ok()) return pem;
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())), BIO_free);
  std::unique_ptr<X509, decltype(&X509_free)> x509(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  if (x509 != nullptr) return pem;
  return Error(
      absl::StatusCode::kFailedPrecondition, "TLS_FILE_INVALID",
      absl::StrCat("got --tls-ca ", path, ", which holds no certificate, expected a PEM file of the authority ",
                   "with -----BEGIN CERTIFICATE-----"));
}

// gRPC finds out at the first handshake only, and then says nothing.
absl::Status CheckKeyFits(const std::string& certificate, const std::string& key, const TlsFiles& files) {
  using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
  Bio certificate_bio(BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())), BIO_free);
  Bio key_bio(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())), BIO_free);
  std::unique_ptr<X509, decltype(&X509_free)> x509(PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr),
                                                   X509_free);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pkey(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (x509 == nullptr || pkey == nullptr) {
    return Error(absl::StatusCode::kFailedPrecondition, "TLS_FILE_INVALID",
                 absl::StrCat("got no PEM ", x509 == nullptr ? "certificate in " : "private key in ",
                              x509 == nullptr ? files.certificate : files.key));
  }
  if (X509_check_private_key(x509.get(), pkey.get()) != 1) {
    return Error(absl::StatusCode::kFailedPrecondition, "TLS_KEY_MISMATCH",
                 absl::StrCat("the key ", files.key, " does not belong to the certificate ", files.certificate));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsLoopback(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  absl::ConsumePrefix(&address, "dns:///");
  absl::ConsumePrefix(&address, "ipv4:");
  absl::ConsumePrefix(&address, "ipv6:");
  const size_t colon = address.rfind(':');
  const absl::string_view host = colon == absl::string_view::npos ? address : address.substr(0, colon);
  if (host == "localhost" || host == "[::1]" || host == "::1") return true;
  const std::vector<absl::string_view> parts = absl::StrSplit(host, '.');
  // All four parts digits: "127.0.0.1.example.org" is a name somewhere else.
  return parts.size() == 4 && parts[0] == "127" && host.find_first_not_of("0123456789.") == absl::string_view::npos;
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const Security& security,
                                                                           absl::string_view address, Peer peer) {
  if (security.UsesTls() == security.insecure_dev) {
    return Error(absl::StatusCode::kInvalidArgument, "TLS_OR_INSECURE",
                 absl::StrCat("got ", security.insecure_dev ? "both TLS files and" : "neither TLS files nor",
                              " --insecure-dev, expected one: --tls-cert, --tls-key and --tls-ca, or --insecure-dev "
                              "on loopback"));
  }
  if (security.insecure_dev) {
    if (!IsLoopback(address)) {
      return Error(absl::StatusCode::kInvalidArgument, "INSECURE_OFF_LOOPBACK",
                   absl::StrCat("got ", address,
                                " with --insecure-dev, expected a loopback address such as "
                                "127.0.0.1: give --tls-cert, --tls-key and --tls-ca to be reached from elsewhere"));
    }
    return grpc::InsecureServerCredentials();
  }
  auto certificate = ReadPem(security.tls.certificate, "--tls-cert");
  if (!certificate.ok()) return certificate.status();
  auto key = ReadPem(security.tls.key, "--tls-key");
  if (!key.ok()) return key.status();
  auto authority = ReadAuthority(security.tls.authority);
  if (!authority.ok()) return authority.status();
  if (absl::Status fits = CheckKeyFits(*certificate, *key, security.tls); !fits.ok()) return fits;
  grpc::SslServerCredentialsOptions options(peer == Peer::kWorker
                                                ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_root_certs = *authority;
  options.pem_key_cert_pairs.push_back({*key, *certificate});
  return grpc::SslServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(const Security& security,
                                                                             absl::string_view address) {
  if (!security.UsesTls()) {
    if (!IsLoopback(address)) {
      return Error(absl::StatusCode::kInvalidArgument, "INSECURE_OFF_LOOPBACK",
                   absl::StrCat("got ", address,
                                " without TLS, expected --tls-ca (and for a worker --tls-cert and "
                                "--tls-key), or a loopback address"));
    }
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions options;
  auto authority = ReadAuthority(security.tls.authority);
  if (!authority.ok()) return authority.status();
  options.pem_root_certs = *authority;
  if (!security.tls.certificate.empty() || !security.tls.key.empty()) {
    auto certificate = ReadPem(security.tls.certificate, "--tls-cert");
    if (!certificate.ok()) return certificate.status();
    auto key = ReadPem(security.tls.key, "--tls-key");
    if (!key.ok()) return key.status();
    if (absl::Status fits = CheckKeyFits(*certificate, *key, security.tls); !fits.ok()) return fits;
    options.pem_cert_chain = *certificate;
    options.pem_private_key = *key;
  }
  return grpc::SslCredentials(options);
}

bool MayBeWorker(const grpc::AuthContext& peer, absl::string_view id) {
  const auto transport = peer.FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  if (transport.empty() || transport[0] == "insecure") return true;
  for (const grpc::string_ref& value : peer.FindPropertyValues(GRPC_X509_SAN_PROPERTY_NAME)) {
    absl::string_view san(value.data(), value.size());
    if (absl::ConsumePrefix(&san, kWorkerRole) && (san == "*" || id.empty() || san == id)) return true;
  }
  return false;
}

}  // namespace uaqf::wire
