// How FP16's distributions over one window are written down, for a worker that has only the variant.
//
//   "UQSM" version:1 zero:3 vocabulary:u32 k:u32 positions:u32 tokens:32      SHA-256 of the window's ids
//   positions x {
//     normalizer:f64 tail_mass:f64 tail_entropy:f64                           as TopLogProbs
//     min(k, 64) x { id:varint, -log p:u24 in steps of 2^-18 nats }           the likeliest first
//     the rest x { gap:varint, -log p:u16 in steps of 2^-10 nats }            by rising id; gap = id - id before - 1
//   }
//
// Little endian; varints of 7 bits, the low ones first, at most three bytes. A token takes 3 to 5 bytes, one of the
// first 4 to 6, as most of the mass lies there. What rounding costs goes into both sides of the bound. A logarithm
// beyond the range is written as its end, 64 nats: 64 nats are nothing in a sum of probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/evaluate/divergence.h"

namespace uaqf::evaluate {

// Ids take at most three bytes.
inline constexpr int64_t kMostVocabulary = 1 << 21;
inline constexpr int32_t kMostPositions = 1 << 20;

// Writes the summary of one window. 1 <= k <= vocabulary <= kMostVocabulary.
class SummaryWriter {
 public:
  SummaryWriter(std::span<const int32_t> window, int64_t vocabulary, int32_t k);

  // Position by position, window.size() - 1 of them, each of k tokens.
  void Add(const TopLogProbs& position);
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Reads one back, one position at a time; pure, over bytes that are borrowed.
class SummaryReader {
 public:
  // DATA_LOSS: no summary, or one of another version.
  [[nodiscard]] static absl::StatusOr<SummaryReader> Open(std::string_view bytes);

  int64_t vocabulary() const { return vocabulary_; }
  int32_t k() const { return k_; }
  int32_t positions() const { return positions_; }
  // Whether it is one of this window.
  bool IsOf(std::span<const int32_t> window) const;
  // The next position, its tokens by falling probability. OUT_OF_RANGE after the last. DATA_LOSS: cut short, followed
  // by something, or not what a writer makes.
  [[nodiscard]] absl::StatusOr<TopLogProbs> Next();

 private:
  absl::Status ReadTokens(TopLogProbs* position);

  std::string_view bytes_;
  size_t at_ = 0;
  int64_t vocabulary_ = 0;
  int32_t k_ = 0;
  int32_t positions_ = 0;
  int32_t read_ = 0;
  std::string tokens_;
};

}  // namespace uaqf::evaluate
