// The protobuf JSON mapping, as this program writes and reads it: field names are the proto's.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace uaqf::client {

// `message` with every field that has a value or a default (an absent `optional` or message field stays out: not
// measured is not zero), ending in a line break. One line when `compact`, for streams.
std::string ToJson(const google::protobuf::Message& message, bool compact = false);

// Reads `text`, the content of `source`, into `message`. InvalidArgument with the place and the expected type: not
// JSON, an unknown field, a value of another type.
[[nodiscard]] absl::Status FromJson(absl::string_view text, const std::string& source,
                                    google::protobuf::Message* message);

}  // namespace uaqf::client
