#include "client/connection.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/failure.h"
#include "uaqf/v1/evaluation_service.grpc.pb.h"

namespace uaqf::client {
namespace {

struct Cause {
  const char* told;
  const char* brief;
};

constexpr char kClosed[] = "the connection was closed";

// In the words of gRPC and the system, and in ours.
constexpr std::array<Cause, 11> kCauses{{{"Connection refused", "connection refused"},
                                         {"Domain name not found", "no such host"},
                                         {"DNS resolution failed", "no such host"},
                                         {"No route to host", "no route to the host"},
                                         {"Network is unreachable", "network unreachable"},
                                         {"No such file or directory", "no such socket"},
                                         {"handshake failed", "the TLS handshake failed"},
                                         {"Handshake", "the TLS handshake failed"},
                                         {"timed out", "no answer"},
                                         {"CANCELLED", "it is stopping"},
                                         {"HTTP/2", "what answers there is no coordinator"}}};

// What stands in the way, in the transport's words. `channel` has been trying: a call that does not wait for it fails
// at once with the last error. A stream method, because those are not retried by the channel's policy.
std::string TransportMessage(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
  const auto stub = v1::EvaluationService::NewStub(channel);
  auto reader = stub->WatchJob(&context, v1::WatchJobRequest());
  v1::Job job;
  while (reader->Read(&job)) {
  }
  const grpc::Status status = reader->Finish();
  return status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ? "timed out" : status.error_message();
}

std::string WhatToDo(const std::string& brief, const wire::Security& security) {
  if (absl::StrContains(brief, "TLS")) {
    return "check --tls-ca: it must be the authority that signed the coordinator's certificate, and the host name in "
           "it\n"
           "does the coordinator run without TLS? then leave --tls-ca and UAQF_TLS_CA out";
  }
  if (brief == kClosed && !security.UsesTls()) {
    return "does it want TLS? give --tls-ca (UAQF_TLS_CA)    or name another: --server HOST:PORT, UAQF_SERVER";
  }
  if (absl::StrContains(brief, "no coordinator")) {
    return "is it the client port (7600 by default)?    name another: --server HOST:PORT, UAQF_SERVER";
  }
  if (security.UsesTls())
    return "check that it runs there, with TLS    or name another: --server HOST:PORT, UAQF_SERVER";
  return "start one: uaqf-server --insecure-dev    or name another: --server HOST:PORT, UAQF_SERVER";
}

}  // namespace

absl::Status CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return absl::OkStatus();
  const std::size_t colon = address.rfind(':');
  int port = 0;
  const bool has_port = colon != std::string::npos && absl::SimpleAtoi(address.substr(colon + 1), &port);
  if (has_port && colon > 0 && port > 0 && port < 65536) return absl::OkStatus();
  return UsageError(
      absl::StrCat("got the server address \"", address, "\", expected HOST:PORT, for example 127.0.0.1:7600"));
}

absl::Status AwaitCoordinator(const std::shared_ptr<grpc::Channel>& channel, const std::string& address,
                              const wire::Security& security, absl::Duration patience) {
  if (channel->WaitForConnected(absl::ToChronoTime(absl::Now() + patience))) return absl::OkStatus();
  const std::string brief = BriefCause(TransportMessage(channel));
  return absl::UnavailableError(absl::StrCat("no coordinator at ", address, " (", brief, ", tried ",
                                             absl::ToDoubleSeconds(patience), " s)\n", WhatToDo(brief, security)));
}

std::string BriefCause(absl::string_view transport_message) {
  for (const Cause& cause : kCauses) {
    if (absl::StrContains(transport_message, cause.told)) return cause.brief;
  }
  if (absl::StrContains(transport_message, "ocket closed") || absl::StrContains(transport_message, "onnection reset") ||
      absl::StrContains(transport_message, "GOAWAY")) {
    return kClosed;
  }
  return transport_message.empty() ? "no answer" : std::string(transport_message);
}

}  // namespace uaqf::client
