#include "server/ranking/timing_measures.h"

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <cmath>
#include <span>

#include "absl/strings/str_format.h"
#include "server/ranking/statistics.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr std::int32_t kMostRepeats = 128;
// Fewest prompts that decide a p95 at 95 % confidence: 0.95^59 < 0.05.
constexpr std::int64_t kPromptsForP95 = 59;

using Runs = std::bitset<kMostRepeats>;

// All runs of one prompt on one variant.
struct Cell {
  std::int32_t variant = 0;
  Runs runs;
  Moments latency_s;
  Moments tokens_per_s;
};

// Sums over all records of one variant.
struct Totals {
  Runs runs;
  std::int64_t records = 0;
  Moments latency_s, ttft_s, tokens_per_s;
  std::int64_t latency_ns = 0, output_tokens = 0, decode_ns = 0, gaps = 0;
};

// Means of one run over the prompts that every run has.
struct Run {
  Moments latency_s, ttft_s, tokens_per_s;
};

struct Grouped {
  std::vector<Cell> cells;
  std::vector<std::int32_t> cell_of;  // of each record
  std::vector<Totals> totals;         // of each variant
};

double TokensPerSecond(const TimingColumns& t, std::size_t k) {
  return t.output_tokens[k] / (static_cast<double>(t.latency_ns[k]) / kNsPerSecond);
}

absl::StatusOr<Grouped> Group(const Measurements& m) {
  const TimingColumns& t = m.timings;
  Grouped grouped;
  grouped.totals.resize(m.variants.size());
  grouped.cell_of.resize(t.variant.size());
  PairIndex index(t.variant.size());
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    bool added = false;
    const std::int32_t number = index.Number(t.variant[k], t.item[k], &added);
    if (added) grouped.cells.emplace_back().variant = t.variant[k];
    Cell& cell = grouped.cells[number];
    const std::int32_t repeat = t.repeat[k];
    if (repeat >= kMostRepeats || cell.runs[repeat]) {
      return absl::InvalidArgumentError(
          absl::StrFormat("timing record of %s, item %d, repeat %d: expected repeats from 0 to %d, each once",
                          m.variants[t.variant[k]].name, t.item[k], repeat, kMostRepeats - 1));
    }
    const double latency_s = static_cast<double>(t.latency_ns[k]) / kNsPerSecond, rate = TokensPerSecond(t, k);
    grouped.cell_of[k] = number;
    cell.runs.set(repeat);
    cell.latency_s.Add(latency_s);
    cell.tokens_per_s.Add(rate);
    Totals& total = grouped.totals[t.variant[k]];
    total.runs.set(repeat);
    total.latency_s.Add(latency_s);
    total.ttft_s.Add(static_cast<double>(t.prefill_ns[k]) / kNsPerSecond);
    total.tokens_per_s.Add(rate);
    total.latency_ns += t.latency_ns[k];
    total.output_tokens += t.output_tokens[k];
    if (t.output_tokens[k] > 1) {
      total.decode_ns += t.decode_ns[k];
      total.gaps += t.output_tokens[k] - 1;
    }
    ++total.records;
  }
  return grouped;
}

void FillMeans(const Totals& total, VariantMeasures* out) {
  out->timing_records = total.records;
  if (total.records == 0) return;
  out->latency_s = Estimate{total.latency_s.mean(), std::nullopt};
  out->ttft_s = Estimate{total.ttft_s.mean(), std::nullopt};
  out->tokens_per_s = Estimate{total.tokens_per_s.mean(), std::nullopt};
  out->token_weighted_tokens_per_s =
      static_cast<double>(total.output_tokens) / (static_cast<double>(total.latency_ns) / kNsPerSecond);
  if (total.gaps > 0) {
    out->inter_token_s = static_cast<double>(total.decode_ns) / kNsPerSecond / static_cast<double>(total.gaps);
  }
}

// Within-prompt and across-prompt deviations.
void FillDeviations(const Grouped& grouped, std::vector<VariantMeasures>* measures) {
  struct Pooled {
    Moments latency_variance, throughput_variance, prompt_latency;
  };
  std::vector<Pooled> pooled(measures->size());
  for (const Cell& cell : grouped.cells) {
    Pooled& pool = pooled[cell.variant];
    VariantMeasures& out = (*measures)[cell.variant];
    ++out.prompts;
    out.repeats = std::max(out.repeats, static_cast<std::int32_t>(cell.runs.count()));
    pool.prompt_latency.Add(cell.latency_s.mean());
    if (const auto variance = cell.latency_s.Variance()) {
      pool.latency_variance.Add(*variance);
      pool.throughput_variance.Add(*cell.tokens_per_s.Variance());
    }
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    VariantMeasures& out = (*measures)[v];
    out.across_prompt_deviation_s = pooled[v].prompt_latency.Deviation();
    if (pooled[v].latency_variance.count() == 0) continue;
    out.latency_deviation_s = std::sqrt(pooled[v].latency_variance.mean());
    out.throughput_deviation = std::sqrt(pooled[v].throughput_variance.mean());
    out.relative_stability = *out.latency_deviation_s / out.latency_s->value;
  }
}

// Intervals over runs, each run's mean taken over the same prompts.
void FillRunIntervals(const TimingColumns& t, const Grouped& grouped, std::vector<VariantMeasures>* measures) {
  std::vector<std::array<Run, kMostRepeats>> runs(measures->size());
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    const std::int32_t v = t.variant[k];
    if (grouped.cells[grouped.cell_of[k]].runs != grouped.totals[v].runs) continue;
    Run& run = runs[v][t.repeat[k]];
    run.latency_s.Add(static_cast<double>(t.latency_ns[k]) / kNsPerSecond);
    run.ttft_s.Add(static_cast<double>(t.prefill_ns[k]) / kNsPerSecond);
    run.tokens_per_s.Add(TokensPerSecond(t, k));
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    Run over_runs;
    for (const Run& run : runs[v]) {
      if (run.latency_s.count() == 0) continue;
      over_runs.latency_s.Add(run.latency_s.mean());
      over_runs.ttft_s.Add(run.ttft_s.mean());
      over_runs.tokens_per_s.Add(run.tokens_per_s.mean());
    }
    VariantMeasures& out = (*measures)[v];
    if (over_runs.latency_s.count() < 2) continue;
    out.run_mean_deviation_s = over_runs.latency_s.Deviation();
    out.latency_s->half_width = over_runs.latency_s.HalfWidth();
    out.ttft_s->half_width = over_runs.ttft_s.HalfWidth();
    out.tokens_per_s->half_width = over_runs.tokens_per_s.HalfWidth();
  }
}

void FillPercentiles(const TimingColumns& t, const Grouped& grouped, std::vector<VariantMeasures>* measures) {
  std::vector<std::int64_t> prompts(measures->size());
  for (const Cell& cell : grouped.cells) ++prompts[cell.variant];
  std::vector<std::vector<double>> latencies(measures->size());
  for (std::size_t v = 0; v < measures->size(); ++v) latencies[v].reserve((*measures)[v].timing_records);
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    latencies[t.variant[k]].push_back(static_cast<double>(t.latency_ns[k]) / kNsPerSecond);
  }
  for (std::size_t v = 0; v < measures->size(); ++v) {
    VariantMeasures& out = (*measures)[v];
    if (latencies[v].empty()) continue;
    out.latency_p50_s = OrderStatistic(latencies[v], 0.5);
    if (prompts[v] >= kPromptsForP95) out.latency_p95_s = OrderStatistic(latencies[v], 0.95);
  }
}

}  // namespace

absl::Status MeasureTimings(const Measurements& measurements, std::vector<VariantMeasures>* measures) {
  const auto grouped = Group(measurements);
  if (!grouped.ok()) return grouped.status();
  for (std::size_t v = 0; v < measures->size(); ++v) FillMeans(grouped->totals[v], &(*measures)[v]);
  FillDeviations(*grouped, measures);
  FillRunIntervals(measurements.timings, *grouped, measures);
  FillPercentiles(measurements.timings, *grouped, measures);

  const std::int32_t baseline = BaselineIndex(measurements);
  if (baseline < 0 || !(*measures)[baseline].tokens_per_s) return absl::OkStatus();
  const double reference = (*measures)[baseline].tokens_per_s->value;
  if (reference <= 0) return absl::OkStatus();
  for (VariantMeasures& out : *measures) {
    if (out.tokens_per_s) out.speedup = out.tokens_per_s->value / reference;
  }
  return absl::OkStatus();
}

}  // namespace uaqf::ranking
