// Whether there is a coordinator at an address, and if not, why.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/wire/credentials.h"

namespace uaqf::client {

// InvalidArgument unless `address` is "HOST:PORT" or "unix:PATH".
[[nodiscard]] absl::Status CheckAddress(const std::string& address);

// Waits until `channel` is connected, at most `patience`. Unavailable: no coordinator, with the cause and what to do.
[[nodiscard]] absl::Status AwaitCoordinator(const std::shared_ptr<grpc::Channel>& channel, const std::string& address,
                                            const wire::Security& security, absl::Duration patience);

// The cause in a transport's message, in a few words: "connection refused".
std::string BriefCause(absl::string_view transport_message);

}  // namespace uaqf::client
