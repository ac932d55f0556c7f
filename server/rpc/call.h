// What every RPC does at its edge: bytes to a checked message, an absl::Status to the wire, a count for /metrics.
//
// Services are "raw": gRPC hands over bytes, and we parse them. A message that does not parse (malformed, or text that
// is not UTF-8) would otherwise end a unary call as UNIMPLEMENTED, and an upload as if it were complete.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <exception>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "proto/wire/status.h"
#include "server/metrics/metrics.h"

namespace uaqf::rpc {

// INVALID_ARGUMENT (MALFORMED_MESSAGE) when `bytes` are no Message. Leaves `bytes` as they are.
template <typename Message>
[[nodiscard]] absl::Status Parse(const grpc::ByteBuffer& bytes, Message* message) {
  grpc::ByteBuffer copy(bytes);
  if (grpc::SerializationTraits<Message>::Deserialize(&copy, message).ok()) return absl::OkStatus();
  return wire::Error(absl::StatusCode::kInvalidArgument, "MALFORMED_MESSAGE",
                     absl::StrCat("got bytes that are no ", message->GetTypeName(),
                                  ", expected a protobuf message whose texts are UTF-8"));
}

template <typename Message>
grpc::ByteBuffer Serialize(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  (void)grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own);
  return bytes;
}

// A unary call that is answered later, from any thread, exactly once: by Finish, or with UNAVAILABLE when the last
// reference goes without one (the coordinator stops). Shared, because the answer may come from several places.
template <typename Response>
class UnaryCall {
 public:
  // `out` and `reactor` are gRPC's and live until Finish. `method` is a literal.
  UnaryCall(grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* out, metrics::Metrics* metrics, const char* method)
      : reactor_(reactor), out_(out), metrics_(metrics), method_(method), start_(std::chrono::steady_clock::now()) {}
  UnaryCall(const UnaryCall&) = delete;
  UnaryCall& operator=(const UnaryCall&) = delete;
  ~UnaryCall() {
    if (reactor_ != nullptr) {
      Finish(wire::Error(absl::StatusCode::kUnavailable, "STOPPING", "the coordinator stops; try again"));
    }
  }

  void Finish(const absl::StatusOr<Response>& answer) {
    grpc::ServerUnaryReactor* reactor = std::exchange(reactor_, nullptr);
    if (reactor == nullptr) return;
    if (answer.ok()) *out_ = Serialize(*answer);
    const grpc::Status status = wire::ToGrpc(answer.status());
    metrics_->CountRpc(method_, status.error_code());
    metrics_->ObserveRpc(method_, std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
    reactor->Finish(status);
  }

 private:
  grpc::ServerUnaryReactor* reactor_;
  grpc::ByteBuffer* const out_;
  metrics::Metrics* const metrics_;
  const char* const method_;
  const std::chrono::steady_clock::time_point start_;
};

template <typename Response>
using Call = std::shared_ptr<UnaryCall<Response>>;

// Runs `handler(Request, Call<Response>)` for a unary RPC; it must not block.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* HandleUnary(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response, metrics::Metrics* metrics, const char* method,
                                      Handler handler) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto call = std::make_shared<UnaryCall<Response>>(reactor, response, metrics, method);
  Request message;
  if (absl::Status parsed = Parse(*request, &message); !parsed.ok()) {
    call->Finish(parsed);
    return reactor;
  }
  try {
    handler(std::move(message), call);
  } catch (const std::exception& error) {
    // gRPC would answer UNIMPLEMENTED without a word.
    call->Finish(wire::Error(absl::StatusCode::kInternal, "INTERNAL", error.what()));
  }
  return reactor;
}

}  // namespace uaqf::rpc
