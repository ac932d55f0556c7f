// Whether a variant would be calibrated on the text that it is scored on: then its loss is made to look small.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace uaqf::evaluate {

// Words in a row that two texts of different origin do not share by chance, quotations aside.
inline constexpr int64_t kPassageWords = 50;

// The first passage of kPassageWords words of `scored` that stands in `calibration` too, as `scored` has it; empty
// where there is none. Only letters, digits and bytes beyond ASCII count, in either case, so that tokenized and plain
// copies of one text are the same. Linear in both.
std::string SharedPassage(std::string_view calibration, std::string_view scored);

// INVALID_ARGUMENT when `calibration` shares a passage with `scored`; the message calls the two as `calibration_name`
// and `scored_name` say, shows where the passage begins and says what to do.
[[nodiscard]] absl::Status CheckNotScored(std::string_view calibration_name, std::string_view calibration,
                                          std::string_view scored_name, std::string_view scored);

}  // namespace uaqf::evaluate
