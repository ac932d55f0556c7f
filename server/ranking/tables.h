// Checks and indexing of the record columns, shared by the measures. Internal to server/ranking.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/ranking/measurements.h"

namespace uaqf::ranking {

// Gives each distinct pair a number from 0, in order of appearance.
class PairIndex {
 public:
  explicit PairIndex(std::size_t expected) { numbers_.reserve(expected); }
  // Number of (a, b); `added` tells whether it is new.
  std::int32_t Number(std::int32_t a, std::int32_t b, bool* added) {
    const auto key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(a)) << 32) | static_cast<std::uint32_t>(b);
    const auto [place, inserted] = numbers_.try_emplace(key, static_cast<std::int32_t>(numbers_.size()));
    *added = inserted;
    return place->second;
  }
  std::int32_t size() const { return static_cast<std::int32_t>(numbers_.size()); }

 private:
  absl::flat_hash_map<std::uint64_t, std::int32_t> numbers_;
};

// Drops the rows of one column that are not kept.
template <typename T>
void KeepColumn(const std::vector<bool>& keep, std::vector<T>* column) {
  std::size_t kept = 0;
  for (std::size_t k = 0; k < keep.size(); ++k) {
    if (keep[k]) (*column)[kept++] = (*column)[k];
  }
  column->resize(kept);
}

// The same of all columns of a table. Those that need not be given (group, process) may be empty.
void KeepRows(const std::vector<bool>& keep, TimingColumns* timings);
void KeepRows(const std::vector<bool>& keep, WindowColumns* windows);
void KeepRows(const std::vector<bool>& keep, EnergyColumns* energies);

// Index of fp16 among the variants; -1 when the job has none.
std::int32_t BaselineIndex(const Measurements& measurements);

// Every column as long as the others, every index in range, every time and count possible, no record twice.
// InvalidArgument with the record and what was expected.
[[nodiscard]] absl::Status CheckTables(const Measurements& measurements);

}  // namespace uaqf::ranking
