// Texts from files.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace uaqf::commands {

// The whole file verbatim, or its rows joined as the GPTQ recipe does. NOT_FOUND: it cannot be read.
// INVALID_ARGUMENT: it is a folder, or not UTF-8.
[[nodiscard]] absl::StatusOr<std::string> ReadTextFile(const std::string& path, bool join_rows);

// As evaluate::CheckNotScored, of the file a variant is calibrated on (empty: none is given) and of what was read from
// `scored_file`; or why the former cannot be read.
[[nodiscard]] absl::Status CheckOtherText(const std::string& calibration_file, const std::string& scored_file,
                                          const std::string& scored);

}  // namespace uaqf::commands
