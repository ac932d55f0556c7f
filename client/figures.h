// Numbers as people read them, and as programs do.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace uaqf::client {

// `value` with `decimals` digits behind the point; six significant digits and an exponent from 1e6 on.
std::string Fixed(double value, int decimals);
// The same with its sign: "+0.361", "-0.020"; a value that rounds to nothing is "0".
std::string Signed(double value, int decimals);
// Decimal units, three digits: "269 MB", "1.21 GB".
std::string Bytes(std::int64_t bytes);
// The same of things that are counted: "656 K", "135 M", "7.24 B".
std::string Quantity(std::int64_t count);
// "0:33", "12:05", "1:02:03".
std::string Clock(absl::Duration duration);
// How long ago: "5 s", "12 min", "3 h", "9 d".
std::string Age(absl::Duration duration);
// "1 prompt", "3 prompts".
std::string Count(std::int64_t n, const std::string& noun);
// Shortest text that reads back as the same double.
std::string Exact(double value);

}  // namespace uaqf::client
