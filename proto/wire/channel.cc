#include "proto/wire/channel.h"

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/resource_quota.h>

namespace uaqf::wire {
namespace {

// Streams are not listed: gRPC would replay a whole upload from its buffer.
constexpr char kServiceConfig[] = R"({
  "methodConfig": [{
    "name": [
      {"service": "uaqf.v1.EvaluationService", "method": "GetPromptSet"},
      {"service": "uaqf.v1.EvaluationService", "method": "ListPromptSets"},
      {"service": "uaqf.v1.EvaluationService", "method": "CreateJob"},
      {"service": "uaqf.v1.EvaluationService", "method": "ImportJob"},
      {"service": "uaqf.v1.EvaluationService", "method": "GetJob"},
      {"service": "uaqf.v1.EvaluationService", "method": "ListJobs"},
      {"service": "uaqf.v1.EvaluationService", "method": "CancelJob"},
      {"service": "uaqf.v1.EvaluationService", "method": "ListRecords"},
      {"service": "uaqf.v1.EvaluationService", "method": "ListWorkers"},
      {"service": "uaqf.v1.EvaluationService", "method": "ListVariants"},
      {"service": "uaqf.v1.RankingService"}
    ],
    "retryPolicy": {
      "maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
})";

constexpr int kKeepaliveMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

}  // namespace

grpc::ChannelArguments ClientArguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // The default of 2 stops the pings of an idle stream, and with them the notice of a dead server.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10'000);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetServiceConfigJSON(kServiceConfig);
  return arguments;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& address, const Security& security) {
  auto credentials = ChannelCredentials(security, address);
  if (!credentials.ok()) return credentials.status();
  return grpc::CreateCustomChannel(address, *credentials, ClientArguments());
}

void ConfigureServer(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Below the clients' period, or they are cut for pinging too much.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kKeepaliveMs / 2);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 100);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
}

}  // namespace uaqf::wire
