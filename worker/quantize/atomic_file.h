// Files that are there whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace uaqf::quantize {

// Writes `bytes` to `path` by way of a file beside it: on disk (fsync) before it takes the name. Errors name the path.
absl::Status WriteAtomically(const std::string& path, std::string_view bytes);

}  // namespace uaqf::quantize
