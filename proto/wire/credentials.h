// Who may talk to whom. Clients see the server's certificate; workers show one of their own (mTLS). A certificate's
// role is a URI among its subject alternative names: "uaqf://worker/{worker}", or "uaqf://worker/*" for any worker id.
// Without TLS a program listens and dials on loopback only.
#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace uaqf::wire {

// Paths of PEM files; empty where not given.
struct TlsFiles {
  std::string certificate;
  std::string key;
  // Certificates of the authorities that the other side's certificate must lead to.
  std::string authority;
};

// How one address is served or dialled: TLS when any file is given; else plain, on loopback only.
struct Security {
  TlsFiles tls;
  // The person said --insecure-dev. A server needs it to run without TLS; a client on loopback does not.
  bool insecure_dev = false;

  bool UsesTls() const { return !tls.certificate.empty() || !tls.key.empty() || !tls.authority.empty(); }
};

enum class Peer {
  kClient,  // shows no certificate
  kWorker,  // must show one, of the worker role
};

// True when "HOST:PORT" can be reached from this machine only: localhost, 127.0.0.0/8, ::1, unix:.
bool IsLoopback(absl::string_view address);

// Credentials of a port. Errors: INVALID_ARGUMENT for plain off loopback, for both or neither of TLS and
// --insecure-dev, for a missing file option; NOT_FOUND for an unreadable file; FAILED_PRECONDITION for a key that
// does not fit its certificate.
[[nodiscard]] absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const Security& security,
                                                                                         absl::string_view address,
                                                                                         Peer peer);

// Credentials for dialling `address`; the authority file alone is enough for a client, a worker gives all three.
// Same errors.
[[nodiscard]] absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(const Security& security,
                                                                                           absl::string_view address);

// True when the peer may speak as worker `id`: its certificate has the role for it, or the port is plain. An empty id
// asks whether it may be any worker at all.
bool MayBeWorker(const grpc::AuthContext& peer, absl::string_view id);

}  // namespace uaqf::wire
