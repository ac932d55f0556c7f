// Channels and ports as all three programs set them up (keepalive, limits, retries).
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proto/wire/credentials.h"

namespace uaqf::wire {

// Longest message that any port takes, bytes.
inline constexpr int kMaxMessageBytes = 4 << 20;
// Size at which a sender cuts a stream of items into messages, bytes.
inline constexpr int kBatchBytes = 1 << 20;

// Keepalive that notices a dead peer within 30 s, fast reconnect, and the retry policy: UNAVAILABLE only, at most
// 4 attempts, on reads and on methods with a request_id. Calls carry their own deadlines.
grpc::ChannelArguments ClientArguments();

// A channel to `address` ("HOST:PORT"). It connects lazily; the caller owns it, and it must outlive its calls and must
// not be released inside one of their callbacks.
[[nodiscard]] absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& address, const Security& security);

// Keepalive, limits, and no sharing of a port with another process.
void ConfigureServer(grpc::ServerBuilder& builder);

}  // namespace uaqf::wire
