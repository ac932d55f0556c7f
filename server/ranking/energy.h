// Joules for each generated token, by the difference of the device's energy counter over every timing chunk.
//
// A chunk has one figure for all of its prompts, so what is drawn again are not prompts but blocks of them: prompts
// that any chunk has together, each with all its runs. Blocks are the same for all variants. A variant's energy is over
// all of its own chunks, whatever the others have measured: it is compared with a limit and not with them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/ranking/measurements.h"
#include "server/ranking/resample.h"
#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

struct VariantMeasures;

// Of one variant: what it took, and over blocks.
struct VariantEnergy {
  std::int32_t chunks = 0;  // whose energy was counted; without one the rest is empty
  double energy_j = 0;
  std::int64_t output_tokens = 0;
  std::vector<double> block_j;       // [block]; 0 where none of its chunks is in it
  std::vector<double> block_tokens;  // [block]
  std::int32_t blocks = 0;           // those that it has

  // Absent where nothing was counted, or nothing generated.
  std::optional<double> JoulesPerToken() const;
};

// In the order of Measurements::variants. Rows without energy, or with what no counter gives, are left out.
[[nodiscard]] std::vector<VariantEnergy> EnergyOf(const Measurements& measurements);

// Fills `energy` of each; intervals as of a ratio estimator, t(0.975, blocks - 1), with at least kLeastUnits blocks.
void MeasureEnergy(const Measurements& measurements, std::vector<VariantMeasures>* measures);

// J/token of one variant: of all blocks, and in every resample. The latter are empty with fewer than kLeastUnits
// blocks.
struct ResampledEnergy {
  std::optional<double> value;
  std::int32_t blocks = 0;
  std::vector<double> resampled;

  // 95 %; absent without resamples.
  std::optional<Interval> Bounds() const;
};

// In the order of `energy`; the draws are the same for all. Pure, as Resample.
[[nodiscard]] std::vector<ResampledEnergy> ResampleEnergy(const std::vector<VariantEnergy>& energy,
                                                          const ResampleOptions& options = {});

}  // namespace uaqf::ranking
