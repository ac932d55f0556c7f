// SHA-256 of emitted tokens: equal digests mean equal output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace uaqf::measure {

// 32 bytes: SHA-256 over the ids as little-endian int32.
std::string TokenDigest(const std::vector<int32_t>& ids);

}  // namespace uaqf::measure
