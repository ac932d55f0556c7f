// A small seeded generator whose sequence is the same on every platform and library.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace uaqf::core {

// SplitMix64. Not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Uniform in [0, n) up to a bias of n / 2^64; n >= 1.
  std::uint64_t Below(std::uint64_t n) { return Next() % n; }

  template <typename T>
  void Shuffle(std::vector<T>* values) {
    for (std::size_t i = values->size(); i > 1; --i) std::swap((*values)[i - 1], (*values)[Below(i)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace uaqf::core
