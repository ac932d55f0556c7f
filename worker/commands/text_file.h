// Texts from files.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace uaqf::commands {

// The whole file verbatim, or its rows joined as the GPTQ recipe does. NOT_FOUND: it cannot be read.
// INVALID_ARGUMENT: it is a folder, or not UTF-8.
[[nodiscard]] absl::StatusOr<std::string> ReadTextFile(const std::string& path, bool join_rows);

}  // namespace uaqf::commands
