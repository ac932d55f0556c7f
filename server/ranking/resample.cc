#include "server/ranking/resample.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "server/ranking/generator.h"
#include "server/ranking/statistics.h"

namespace uaqf::ranking {
namespace {

constexpr double kZ975 = 1.959963984540054;
// Resamples that are summed in one pass over the units: a column is read once for all of them.
constexpr std::size_t kBatch = 8;
// Moved sums of times and rates stay above this share of what all units sum to: they are positive by nature.
constexpr double kLeastShare = 1e-3;

double Expansion(std::size_t n) {
  const auto units = static_cast<double>(n);
  return StudentT975(static_cast<std::int64_t>(n) - 1) / kZ975 * std::sqrt(units / (units - 1));
}

using Columns = std::vector<const std::vector<double>*>;

// For each resample r of `n` units: take(r, sums), where sums[column * kBatch] is the column's sum over the units
// drawn, moved by the expansion.
void SumResamples(std::size_t n, const Columns& columns, std::int32_t resamples, Generator* generator,
                  const std::function<void(std::int32_t, const double*)>& take) {
  std::vector<double> totals(columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    for (const double value : *columns[c]) totals[c] += value;
  }
  const double expansion = Expansion(n);
  std::vector<double> counts(n * kBatch), sums(columns.size() * kBatch);
  for (std::int32_t first = 0; first < resamples; first += kBatch) {
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t b = 0; b < kBatch; ++b) {
      for (std::size_t i = 0; i < n; ++i) ++counts[generator->Below(static_cast<std::uint32_t>(n)) * kBatch + b];
    }
    for (std::size_t c = 0; c < columns.size(); ++c) {
      double drawn[kBatch] = {};
      const double* column = columns[c]->data();
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t b = 0; b < kBatch; ++b) drawn[b] += counts[i * kBatch + b] * column[i];
      }
      for (std::size_t b = 0; b < kBatch; ++b) sums[c * kBatch + b] = totals[c] + expansion * (drawn[b] - totals[c]);
    }
    const std::int32_t last = std::min<std::int32_t>(first + kBatch, resamples);
    for (std::int32_t r = first; r < last; ++r) take(r, sums.data() + (r - first));
  }
}

// Sums over the prompts drawn; figures are their ratios.
struct TimingSums {
  double runs = 0, several = 0, tokens_per_s = 0, latency_s = 0, latency_variance = 0, throughput_variance = 0;
};

void Fill(const TimingSums& s, const ResampledFigures& all, ResampledFigures* out) {
  out->tokens_per_s = std::max(s.tokens_per_s / s.runs, kLeastShare * all.tokens_per_s);
  out->latency_s = std::max(s.latency_s / s.runs, kLeastShare * all.latency_s);
  if (s.several <= 0) {
    out->latency_deviation_s = all.latency_deviation_s;
    out->throughput_deviation = all.throughput_deviation;
    return;
  }
  out->latency_deviation_s = std::sqrt(std::max(0.0, s.latency_variance / s.several));
  out->throughput_deviation = std::sqrt(std::max(0.0, s.throughput_variance / s.several));
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
    out_.prompts_ = units.runs.size();
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
    const double runs = Sum(units_.runs), several = Sum(units_.several);
    for (std::size_t v = 0; v < units_.variants.size(); ++v) {
      const VariantUnits& u = units_.variants[v];
      if (u.latency_s.size() < kLeastUnits) continue;
      timed.push_back(v);
      out_.has_[v].timings = true;
      out_.has_[v].deviations = several >= kLeastUnits;
      columns.insert(columns.end(), {&u.tokens_per_s, &u.latency_s, &u.latency_variance, &u.throughput_variance});
      Fill({runs, several, Sum(u.tokens_per_s), Sum(u.latency_s), Sum(u.latency_variance), Sum(u.throughput_variance)},
           {}, &out_.figures_[v]);
    }
    if (timed.empty()) return;
    SumResamples(units_.runs.size(), columns, out_.resamples_, &generator_, [&](std::int32_t r, const double* sums) {
      for (std::size_t k = 0; k < timed.size(); ++k) {
        const double* own = sums + (2 + 4 * k) * kBatch;
        Fill({sums[0], sums[kBatch], own[0], own[kBatch], own[2 * kBatch], own[3 * kBatch]}, out_.figures_[timed[k]],
             Row(r) + timed[k]);
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
        Row(r)[scored[k]].nll = sums[(1 + k) * kBatch] / sums[0];
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

Resampled Resample(const PairedUnits& units, const ResampleOptions& options) { return Resampler(units, options).Run(); }

}  // namespace uaqf::ranking
