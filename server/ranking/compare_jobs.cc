#include "server/ranking/compare_jobs.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/ranking/comparison.h"
#include "server/ranking/measures.h"
#include "server/ranking/noise_floor.h"
#include "server/ranking/paired_units.h"

namespace uaqf::ranking {
namespace {

// Places in a pair of measurements: the one job's takes the place of the baseline.
constexpr std::int32_t kOne = 0;
constexpr std::int32_t kOther = 1;

std::ptrdiff_t IndexOf(const Measurements& m, const std::string& name) {
  const auto found =
      std::find_if(m.variants.begin(), m.variants.end(), [&](const VariantFacts& v) { return v.name == name; });
  return found == m.variants.end() ? -1 : found - m.variants.begin();
}

// Rows of variant `v` of `from`, as those of variant `place` of `to`.
void AddRows(const Measurements& from, std::ptrdiff_t v, std::int32_t place, Measurements* to) {
  const TimingColumns& t = from.timings;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] != v) continue;
    to->timings.variant.push_back(place);
    to->timings.item.push_back(t.item[k]);
    to->timings.repeat.push_back(t.repeat[k]);
    to->timings.output_tokens.push_back(t.output_tokens[k]);
    to->timings.latency_ns.push_back(t.latency_ns[k]);
    to->timings.prefill_ns.push_back(t.prefill_ns[k]);
    to->timings.decode_ns.push_back(t.decode_ns[k]);
  }
  const WindowColumns& w = from.windows;
  for (std::size_t k = 0; k < w.variant.size(); ++k) {
    if (w.variant[k] != v) continue;
    to->windows.variant.push_back(place);
    to->windows.window.push_back(w.window[k]);
    to->windows.scored_tokens.push_back(w.scored_tokens[k]);
    to->windows.nll_sum.push_back(w.nll_sum[k]);
  }
}

ComparedVariant Compared(const std::string& name, const Measurements& common, const std::optional<double>& floor,
                         const ResampleOptions& options) {
  const Resampled resampled = Resample(PairUnits(common), options);
  ComparedVariant out{.variant = name,
                      .prompts = static_cast<std::int32_t>(resampled.prompts()),
                      .windows = static_cast<std::int32_t>(resampled.windows())};
  const auto both = [&](auto has) { return has(resampled.has(kOne)) && has(resampled.has(kOther)); };
  const auto emits = [&](std::size_t v) { return resampled.At(Resampled::kAllUnits, v).tokens_per_s > 0; };
  if (both([](const Resampled::Has& has) { return has.timings; }) && emits(kOne) && emits(kOther)) {
    out.speed_ratio = CompareSpeed(resampled, kOther, kOne);
    out.speed_ratio->within_noise = floor && std::abs(std::log(out.speed_ratio->value)) <= *floor;
  }
  if (both([](const Resampled::Has& has) { return has.nll; })) {
    out.nll_difference = CompareFigure(resampled, kOther, kOne, [](const ResampledFigures& f) { return f.nll; });
  }
  return out;
}

// Says how many of `all` rows of both jobs are paired.
void Explain(const std::string& name, const char* what, std::size_t paired, std::size_t all,
             std::vector<std::string>* notes) {
  if (paired == all) return;
  notes->push_back(absl::StrFormat("%s: %d of %d %s records of both jobs are compared, those that have a counterpart",
                                   name, paired, all, what));
}

// Fills the floor, and notes which job has none and why.
void FindFloor(const std::vector<JobTwin>& twins, JobComparison* comparison) {
  std::vector<std::pair<std::string, std::string>> unknown;  // (job, why)
  for (const JobTwin& job : twins) {
    if (!job.twin) {
      unknown.emplace_back(job.job, "it timed fp16 once");
      continue;
    }
    // Of the twin the floor alone is needed, which is not resampled.
    const TwinData data = PrepareTwin(*job.twin, {.resamples = 0});
    if (data.problem.empty()) {
      comparison->speed_floor = std::max(comparison->speed_floor.value_or(0), data.speed->Floor());
    } else {
      unknown.emplace_back(job.job, data.problem);
    }
  }
  for (const auto& [job, why] : unknown) {
    comparison->notes.push_back(absl::StrFormat("the noise floor of %s is not known, so %s: %s", job,
                                                comparison->speed_floor
                                                    ? "that of the other job is taken"
                                                    : "what noise makes between the jobs may pass for a difference",
                                                why));
  }
}

// Where fp16 changed, so may have all others without a change of their own.
void ExplainBaseline(JobComparison* comparison) {
  for (const ComparedVariant& variant : comparison->variants) {
    if (variant.variant != kBaseline || !variant.SpeedDiffers()) continue;
    comparison->notes.push_back(
        absl::StrFormat("fp16 itself changed by %+.2f %% tokens/s: what the device did between the jobs is in the "
                        "ratios of all variants",
                        100 * (variant.speed_ratio->value - 1)));
  }
}

}  // namespace

bool ComparedVariant::SpeedDiffers() const {
  return speed_ratio && !speed_ratio->within_noise && (speed_ratio->interval.low > 1 || speed_ratio->interval.high < 1);
}

bool ComparedVariant::NllDiffers() const {
  return nll_difference && (nll_difference->interval.low > 0 || nll_difference->interval.high < 0);
}

absl::StatusOr<JobComparison> CompareJobs(const Measurements& one, const Measurements& other,
                                          const std::vector<JobTwin>& twins, const ResampleOptions& options) {
  JobComparison comparison;
  FindFloor(twins, &comparison);
  comparison.resamples = options.resamples;
  comparison.seed = options.seed;
  for (std::size_t v = 0; v < one.variants.size(); ++v) {
    const std::string& name = one.variants[v].name;
    const std::ptrdiff_t same = IndexOf(other, name);
    if (same < 0) continue;
    Measurements pair;
    pair.variants = {{.name = kBaseline}, {.name = "other"}};
    AddRows(one, static_cast<std::ptrdiff_t>(v), kOne, &pair);
    AddRows(other, same, kOther, &pair);
    const std::size_t timings = pair.timings.variant.size(), windows = pair.windows.variant.size();
    const auto common = KeepCommonRecords(std::move(pair));
    if (!common.ok()) return common.status();
    Explain(name, "timing", common->measurements.timings.variant.size(), timings, &comparison.notes);
    Explain(name, "window", common->measurements.windows.variant.size(), windows, &comparison.notes);
    comparison.variants.push_back(Compared(name, common->measurements, comparison.speed_floor, options));
  }
  ExplainBaseline(&comparison);
  if (!comparison.variants.empty()) return comparison;
  return absl::FailedPreconditionError("no variant is in both jobs, expected at least one, e.g. fp16");
}

}  // namespace uaqf::ranking
