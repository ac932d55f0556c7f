// Degenerate loops: output that says the same again and again.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace uaqf::evaluate {

// What stands so often in a row is a loop.
inline constexpr int kLoopRepeats = 3;
// Fewer tokens than these at the end are none: a table has rules, and prose has dots.
inline constexpr int64_t kShortestLoop = 24;

// Whether the last tokens, kShortestLoop of them or more, are kLoopRepeats or more repeats of the same ones. The last
// repeat may be cut short beyond those.
bool EndsInLoop(std::span<const int32_t> ids);

// Whether a line of three words or more stands kLoopRepeats times or more in a row; empty lines do not count.
bool RepeatsLine(std::string_view text);

}  // namespace uaqf::evaluate
