// The bootstrap behind every statement of how sure a ranking is: units drawn with replacement, the same draw for all
// variants, pushed through the whole utility.
//
// A resample of n units varies less than the mean of n units does, by sqrt((n - 1) / n), and its quantiles are those of
// a normal where a t distribution is due: intervals come out too short with few units. So the sums of a resample are
// moved away from the sums of all units by t(0.975, n - 1) / z(0.975) * sqrt(n / (n - 1)), prompts and windows each by
// their own ("expanded percentile interval", Hesterberg 2015, What Teachers Should Know About the Bootstrap, 5.3).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/ranking/paired_units.h"

namespace uaqf::ranking {

inline constexpr std::int32_t kResamples = 2000;
// Fewer prompts or windows than these are no sample to draw from.
inline constexpr std::size_t kLeastUnits = 5;
// More are drawn in bundles (Bundle): the time is bounded, whatever the job.
inline constexpr std::size_t kMostUnits = 1000;

struct ResampleOptions {
  std::int32_t resamples = kResamples;
  std::uint64_t seed = 1;
};

// What the utility of one variant is made of, in one resample.
struct ResampledFigures {
  double tokens_per_s = 0;
  double latency_s = 0;
  double latency_deviation_s = 0;
  double throughput_deviation = 0;
  double ttft_s = 0;
  double inter_token_s = 0;      // 0 where no run has two tokens
  double seconds_per_token = 0;  // all seconds over all output tokens; 0 without a token
  double nll = 0;
};

// The figures of every variant in every resample, and those of all units at once (index -1).
class Resampled {
 public:
  // Which figures of a variant there are, in every resample.
  struct Has {
    bool timings = false;
    bool speed = false;  // tokens_per_s, which ReplaceSpeed may have set
    bool deviations = false;
    bool nll = false;
  };

  std::int32_t resamples() const { return resamples_; }
  std::uint64_t seed() const { return seed_; }
  std::size_t variants() const { return has_.size(); }
  std::size_t prompts() const { return prompts_; }
  std::size_t windows() const { return windows_; }
  // What tokens_per_s was drawn from, and how many: prompts, unless replaced.
  const std::string& speed_units() const { return speed_units_; }
  std::size_t speed_unit_count() const { return speed_unit_count_; }
  // Puts another speed in the place of tokens_per_s, drawn from `count` other units; with fewer than kLeastUnits no
  // variant has one. Absent: the variant has none.
  void ReplaceSpeed(const std::string& units, std::size_t count,
                    const std::function<std::optional<double>(std::int32_t resample, std::size_t variant)>& speed);
  const Has& has(std::size_t variant) const { return has_[variant]; }
  // `resample` from 0, or kAllUnits. Figures that the variant does not have are 0.
  const ResampledFigures& At(std::int32_t resample, std::size_t variant) const {
    return figures_[static_cast<std::size_t>(resample + 1) * has_.size() + variant];
  }
  static constexpr std::int32_t kAllUnits = -1;

 private:
  friend class Resampler;
  std::int32_t resamples_ = 0;
  std::uint64_t seed_ = 0;
  std::size_t prompts_ = 0;
  std::size_t windows_ = 0;
  std::string speed_units_ = "prompts";
  std::size_t speed_unit_count_ = 0;
  std::vector<Has> has_;
  std::vector<ResampledFigures> figures_;
};

// Pure: equal arguments give equal resamples on every machine. Takes resamples * units * variants steps.
[[nodiscard]] Resampled Resample(const PairedUnits& units, const ResampleOptions& options = {});

}  // namespace uaqf::ranking
