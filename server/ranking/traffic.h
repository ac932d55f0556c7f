// Speed under load: batches timed at every combination of a grid (METHODS.md 2; TrafficGrid of job.proto), and what a
// mix of traffic makes of them.
//
// Draws are the units: each is another batch of prompts, the same at all combinations and for all variants, so
// differences stay paired. They are resampled as prompts are (resample.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/ranking/measurements.h"
#include "server/ranking/resample.h"

namespace uaqf::ranking {

// Requests of one shape, as they come: so many together, so long. Within a grid, or between its points.
struct TrafficShape {
  std::int32_t batch = 0;
  std::int32_t input_tokens = 0;
  std::int32_t output_tokens = 0;
};

// A part of a profile's traffic: of all requests, that share has this shape.
struct TrafficShare {
  TrafficShape shape;
  double share = 0;
};
using TrafficMix = std::vector<TrafficShare>;

// InvalidArgument: a shape or share that cannot be, shares that do not sum to 1 within 1e-9. An empty mix is valid.
[[nodiscard]] absl::Status Validate(const TrafficMix& mix);

// Of the batches of one variant at one combination, means: each phase's share of the time, and what of the device's
// limits it used.
struct CellPhases {
  double prefill_share = 0;
  double decode_share = 0;
  DeviceShares prefill;
  DeviceShares decode;
};

// Mean time of a batch at every combination, of every variant, in every resample of the draws.
class TrafficTimes {
 public:
  static constexpr std::int32_t kAllDraws = -1;

  const TrafficGrid& grid() const { return grid_; }
  // Those that all variants have at all combinations that they have.
  std::size_t draws() const { return draws_; }
  // As many of them as a combination must have of a variant, or it counts as not measured: half of those that fp16 has
  // at one at most, and kLeastUnits where fp16 has more. So one variant that lacks draws, since they were quarantined
  // or are still to come, takes the uncertainty from no other.
  std::size_t least_draws() const { return least_draws_; }
  // Which combinations of which variants do not count for that, for people.
  const std::vector<std::string>& notes() const { return notes_; }
  // 0 with fewer than kLeastUnits draws.
  std::int32_t resamples() const { return resamples_; }
  std::size_t variants() const { return variants_; }
  bool Has(std::size_t variant, std::size_t cell) const { return column_[variant * grid_.Count() + cell] >= 0; }
  // At every combination.
  bool HasAll(std::size_t variant) const;
  // Seconds; `resample` from 0, or kAllDraws. Only where Has.
  double Seconds(std::int32_t resample, std::size_t variant, std::size_t cell) const {
    return seconds_[static_cast<std::size_t>(resample + 1) * columns_ +
                    static_cast<std::size_t>(column_[variant * grid_.Count() + cell])];
  }

  // Only where Has.
  const CellPhases& Phases(std::size_t variant, std::size_t cell) const {
    return phases_[static_cast<std::size_t>(column_[variant * grid_.Count() + cell])];
  }

 private:
  friend class TrafficResampler;
  TrafficGrid grid_;
  std::size_t draws_ = 0;
  std::size_t least_draws_ = 0;
  std::vector<std::string> notes_;
  std::size_t variants_ = 0;
  std::int32_t resamples_ = 0;
  std::size_t columns_ = 0;
  std::vector<std::int32_t> column_;  // [variant * cells + cell]; -1: not measured, or in too few draws
  std::vector<double> seconds_;       // [(resample + 1) * columns + column]
  std::vector<CellPhases> phases_;    // [column]
};

// Absent where the job has no grid, or nothing of it is measured yet. Times of a later group are brought to the scale
// of the first by the ratio of their fp16 in the same draw at the same combination, as groups.h does. Pure.
[[nodiscard]] std::optional<TrafficTimes> ResampleTraffic(const Measurements& measurements,
                                                          const ResampleOptions& options = {});

// Time of a batch of that shape, linear in each length and in the batch size between the grid's points; exact at them.
// The variant has all combinations, and the shape lies within the grid.
[[nodiscard]] double SecondsAt(const TrafficTimes& times, std::int32_t resample, std::size_t variant,
                               const TrafficShape& shape);

// Output tokens a second while the device serves the mix, one batch after the other: tokens of an average request by
// the device's time for it, which is its batch's time by the batch's size. The same conditions.
[[nodiscard]] double MixTokensPerS(const TrafficTimes& times, std::int32_t resample, std::size_t variant,
                                   const TrafficMix& mix);

// Why the mix cannot be told from the grid; empty when it can. `times` may be null: there is no grid.
[[nodiscard]] std::string WhyNoMix(const TrafficTimes* times, const TrafficMix& mix);

// "8 x 512/128": batch, tokens in and out.
[[nodiscard]] std::string ShapeText(const TrafficShape& shape);

}  // namespace uaqf::ranking
