#include "server/ranking/resample.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/ranking/generator.h"
#include "server/ranking/sum_resamples.h"

namespace uaqf::ranking {
namespace {

// Moved sums of times and rates stay above this share of what all units sum to: they are positive by nature.
constexpr double kLeastShare = 1e-3;

using Columns = std::vector<const std::vector<double>*>;

// Sums over the prompts drawn, in the order of the columns: those of all variants, then those of one.
enum SharedColumn { kRuns, kSeveral, kSharedColumns };
enum OwnColumn {
  kTokensPerS,
  kLatency,
  kLatencyVariance,
  kThroughputVariance,
  kTtft,
  kOutputTokens,
  kDecode,
  kGaps,
  kOwnColumns
};

Columns OwnColumns(const VariantUnits& u) {
  return {&u.tokens_per_s, &u.latency_s,     &u.latency_variance, &u.throughput_variance,
          &u.ttft_s,       &u.output_tokens, &u.decode_s,         &u.gaps};
}

// `shared(c)` and `own(c)` give the sum of a column; `all` are the figures of all units.
template <typename SharedSum, typename OwnSum>
ResampledFigures FiguresOf(const SharedSum& shared, const OwnSum& own, const ResampledFigures& all) {
  const double runs = shared(kRuns), several = shared(kSeveral);
  const auto ratio = [](double sum, double by, double of_all) {
    return by > 0 ? std::max(sum / by, kLeastShare * of_all) : of_all;
  };
  ResampledFigures out;
  out.tokens_per_s = ratio(own(kTokensPerS), runs, all.tokens_per_s);
  out.latency_s = ratio(own(kLatency), runs, all.latency_s);
  // A draw of prompts with one run each has no deviation of its own.
  const auto deviation = [&](double variance, double of_all) {
    return several > 0 ? std::sqrt(std::max(0.0, variance / several)) : of_all;
  };
  out.latency_deviation_s = deviation(own(kLatencyVariance), all.latency_deviation_s);
  out.throughput_deviation = deviation(own(kThroughputVariance), all.throughput_deviation);
  out.ttft_s = ratio(own(kTtft), runs, all.ttft_s);
  out.inter_token_s = ratio(own(kDecode), own(kGaps), all.inter_token_s);
  out.seconds_per_token = ratio(own(kLatency), own(kOutputTokens), all.seconds_per_token);
  return out;
}

double Sum(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

}  // namespace

// Fills a Resampled.
class Resampler {
 public:
  Resampler(const PairedUnits& units, const ResampleOptions& options)
      : units_(Bundle(units, kMostUnits)), generator_(options.seed) {
    out_.resamples_ = options.resamples;
    out_.seed_ = options.seed;
    out_.prompts_ = out_.speed_unit_count_ = units.runs.size();
    out_.windows_ = units.windows.size();
    out_.has_.resize(units.variants.size());
    out_.figures_.resize((static_cast<std::size_t>(options.resamples) + 1) * units.variants.size());
  }

  Resampled Run() {
    AddTimings();
    AddLosses();
    return std::move(out_);
  }

 private:
  void AddTimings() {
    Columns columns = {&units_.runs, &units_.several};
    std::vector<std::size_t> timed;
    const bool deviations = Sum(units_.several) >= kLeastUnits;
    for (std::size_t v = 0; v < units_.variants.size(); ++v) {
      if (units_.variants[v].latency_s.size() < kLeastUnits) continue;
      timed.push_back(v);
      out_.has_[v].timings = out_.has_[v].speed = true;
      out_.has_[v].deviations = deviations;
      const Columns own = OwnColumns(units_.variants[v]);
      out_.figures_[v] =
          FiguresOf([&](std::size_t c) { return Sum(*columns[c]); }, [&](std::size_t c) { return Sum(*own[c]); }, {});
      columns.insert(columns.end(), own.begin(), own.end());
    }
    if (timed.empty()) return;
    SumResamples(units_.runs.size(), columns, out_.resamples_, &generator_, [&](std::int32_t r, const double* sums) {
      for (std::size_t k = 0; k < timed.size(); ++k) {
        const double* own = sums + (kSharedColumns + kOwnColumns * k) * kResampleBatch;
        Row(r)[timed[k]] = FiguresOf([&](std::size_t c) { return sums[c * kResampleBatch]; },
                                     [&](std::size_t c) { return own[c * kResampleBatch]; }, out_.figures_[timed[k]]);
      }
    });
  }

  void AddLosses() {
    Columns columns = {&units_.windows};
    std::vector<std::size_t> scored;
    const double windows = Sum(units_.windows);
    for (std::size_t v = 0; v < units_.variants.size(); ++v) {
      const std::vector<double>& nll = units_.variants[v].nll;
      if (nll.size() < kLeastUnits) continue;
      scored.push_back(v);
      out_.has_[v].nll = true;
      columns.push_back(&nll);
      out_.figures_[v].nll = Sum(nll) / windows;
    }
    if (scored.empty()) return;
    SumResamples(units_.windows.size(), columns, out_.resamples_, &generator_, [&](std::int32_t r, const double* sums) {
      for (std::size_t k = 0; k < scored.size(); ++k) {
        Row(r)[scored[k]].nll = sums[(1 + k) * kResampleBatch] / sums[0];
      }
    });
  }

  ResampledFigures* Row(std::int32_t resample) {
    return &out_.figures_[(static_cast<std::size_t>(resample) + 1) * units_.variants.size()];
  }

  const PairedUnits units_;
  Generator generator_;
  Resampled out_;
};

void Resampled::ReplaceSpeed(
    const std::string& units, std::size_t count,
    const std::function<std::optional<double>(std::int32_t resample, std::size_t variant)>& speed) {
  speed_units_ = units;
  speed_unit_count_ = count;
  for (std::size_t v = 0; v < has_.size(); ++v) {
    has_[v].speed = count >= kLeastUnits && speed(kAllUnits, v).has_value();
    for (std::int32_t r = kAllUnits; has_[v].speed && r < resamples_; ++r) {
      figures_[static_cast<std::size_t>(r + 1) * has_.size() + v].tokens_per_s = *speed(r, v);
    }
  }
}

Resampled Resample(const PairedUnits& units, const ResampleOptions& options) { return Resampler(units, options).Run(); }

}  // namespace uaqf::ranking
