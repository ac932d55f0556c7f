// JSON from files nobody vouches for.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/status/statusor.h"

namespace uaqf::model {

struct JsonLimits {
  size_t max_bytes = 100 << 20;
  size_t max_depth = 32;
  size_t max_values = 4000000;  // of any kind, nested ones included
};

// Parses `text`, which `what` names in messages ("config.json"). INVALID_ARGUMENT for text over the limits, for a key
// that an object has twice, and for anything that is not JSON. Nothing is built before all that is checked.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, std::string_view what, const JsonLimits& limits = {});

}  // namespace uaqf::model
