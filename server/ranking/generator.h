// Random numbers that are the same on every machine, which those of <random>'s distributions are not.
#pragma once

#include <cstdint>

namespace uaqf::ranking {

// SplitMix64 (Steele, Lea, Flood 2014).
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : state_(seed) {}
  // 0 to n - 1; n < 2^32. The bias, n / 2^32, is far under what resamples can show.
  std::uint32_t Below(std::uint32_t n) {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return static_cast<std::uint32_t>(((z >> 32) * n) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace uaqf::ranking
