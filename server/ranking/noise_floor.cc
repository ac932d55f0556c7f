#include "server/ranking/noise_floor.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/ranking/measures.h"
#include "server/ranking/paired_units.h"
#include "server/ranking/stability.h"
#include "server/ranking/statistics.h"

namespace uaqf::ranking {
namespace {

constexpr std::size_t kBaselineIndex = 0, kTwinIndex = 1;

struct Times {
  double tokens_per_s = 0;
  double latency_s = 0;
};

// Sums over the prompts of one chunk that both variants have.
struct ChunkPair {
  Times of[2];
  double prompts = 0;
};

Times TimesOf(const TimingColumns& t, std::size_t k) {
  const double latency_s = static_cast<double>(t.latency_ns[k]) / 1e9;
  return {t.output_tokens[k] / latency_s, latency_s};
}

std::vector<ChunkPair> PairChunks(const TwinRecords& records) {
  using PromptRun = std::pair<std::int32_t, std::int32_t>;
  const TimingColumns& t = records.pair.timings;
  absl::flat_hash_map<PromptRun, Times> baseline;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == kBaselineIndex) baseline.emplace(PromptRun(t.item[k], t.repeat[k]), TimesOf(t, k));
  }
  std::map<PromptRun, ChunkPair> pairs;  // by (block, run)
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] != kTwinIndex) continue;
    const auto same = baseline.find(PromptRun(t.item[k], t.repeat[k]));
    if (same == baseline.end()) continue;
    ChunkPair& pair = pairs[{records.BlockOf(t.item[k]), t.repeat[k]}];
    const Times own = TimesOf(t, k);
    for (const auto& [index, times] : {std::pair(kBaselineIndex, same->second), std::pair(kTwinIndex, own)}) {
      pair.of[index].tokens_per_s += times.tokens_per_s;
      pair.of[index].latency_s += times.latency_s;
    }
    ++pair.prompts;
  }
  std::vector<ChunkPair> out;
  for (const auto& [block_run, pair] : pairs) out.push_back(pair);
  return out;
}

// Mean of ln(twin / fp16), weighed by the prompts of each pair, whose variance falls as their number grows.
std::optional<SelfDifference> MeanLogRatio(const std::vector<ChunkPair>& pairs, double Times::*figure) {
  double weights = 0, sum = 0, squares = 0;
  std::vector<std::pair<double, double>> logs;  // (weight, ln ratio)
  for (const ChunkPair& pair : pairs) {
    const double baseline = pair.of[kBaselineIndex].*figure, twin = pair.of[kTwinIndex].*figure;
    // Of no token there is no ratio.
    if (!(baseline > 0) || !(twin > 0)) continue;
    logs.emplace_back(pair.prompts, std::log(twin / baseline));
    weights += pair.prompts;
    sum += pair.prompts * logs.back().second;
  }
  if (logs.size() < 2) return std::nullopt;
  const double mean = sum / weights;
  for (const auto& [weight, log] : logs) squares += weight * (log - mean) * (log - mean);
  const auto degrees = static_cast<std::int64_t>(logs.size()) - 1;
  const double half = StudentT975(degrees) * std::sqrt(squares / static_cast<double>(degrees) / weights);
  return SelfDifference{mean, {mean - half, mean + half}};
}

std::string Percent(double share) { return absl::StrFormat("%.2g %%", 100 * share); }

}  // namespace

double SelfDifference::Floor() const { return std::max(std::abs(interval.low), std::abs(interval.high)); }

TwinData PrepareTwin(const TwinRecords& records, const ResampleOptions& options) {
  TwinData data;
  data.separate_processes = records.separate_processes;
  for (const VariantFacts& facts : records.pair.variants) {
    if (!facts.timing_problem.empty()) data.problem = absl::StrCat(facts.name, ": ", facts.timing_problem);
  }
  const std::vector<ChunkPair> pairs = PairChunks(records);
  data.pairs = static_cast<std::int32_t>(pairs.size());
  data.speed = MeanLogRatio(pairs, &Times::tokens_per_s);
  data.latency = MeanLogRatio(pairs, &Times::latency_s);
  if (data.problem.empty() && (!data.speed || !data.latency)) {
    data.problem = absl::StrFormat(
        "%s and fp16 were both timed on %d block%s of prompts, expected at least 2 (each run of a block counts)", kTwin,
        data.pairs, data.pairs == 1 ? "" : "s");
  }
  auto common = KeepCommonRecords(records.pair);
  if (common.ok()) data.resampled = Resample(PairUnits(common->measurements), options);
  return data;
}

NoiseFloor FloorOf(const TwinData& twin, const Profile& profile) {
  NoiseFloor floor;
  floor.problem = twin.problem;
  if (!twin.problem.empty()) return floor;
  floor.separate_processes = twin.separate_processes;
  floor.pairs = twin.pairs;
  floor.speed = *twin.speed;
  floor.latency = *twin.latency;
  const Resampled& r = twin.resampled;
  if (r.variants() != 2 || !r.has(kBaselineIndex).deviations || !r.has(kTwinIndex).deviations) return floor;
  const auto difference = [&](std::int32_t resample) {
    return StabilityOf(r.At(resample, kTwinIndex), profile) - StabilityOf(r.At(resample, kBaselineIndex), profile);
  };
  floor.stability = SelfDifference{difference(Resampled::kAllUnits), IntervalOf(r.resamples(), difference)};
  return floor;
}

double TermFloor(TermKind kind, const NoiseFloor& floor, Normalization normalization, const std::vector<double>& raw,
                 double a, double b) {
  if (!floor.problem.empty() || raw.empty()) return 0;
  const bool minmax = normalization == Normalization::kMinMax;
  const auto [low, high] = std::minmax_element(raw.begin(), raw.end());
  const double spread = *high - *low;
  // Without spread every value is 0.
  if (minmax && !(spread > 0)) return 0;
  if (kind == TermKind::kSpeed) {
    const double log = floor.speed.Floor();
    return minmax ? std::max(a, b) * -std::expm1(-log) / spread : log / std::log(2);
  }
  if (kind == TermKind::kStability && floor.stability) {
    return floor.stability->Floor() / (minmax ? spread : kStabilityUnit);
  }
  return 0;
}

bool AllWithin(TermKind kind, const NoiseFloor& floor, const std::vector<double>& raw, double baseline,
               const std::vector<double>& normalized) {
  const double most = TermFloor(kind, floor, Normalization::kBaseline, raw, baseline, baseline);
  return most > 0 && std::all_of(normalized.begin(), normalized.end(), [&](double v) { return std::abs(v) <= most; });
}

std::vector<std::string> FloorWarnings(const NoiseFloor& floor, const std::vector<std::string>& within) {
  std::vector<std::string> warnings;
  if (!floor.problem.empty()) {
    warnings.push_back(
        absl::StrCat("the noise floor is not known, so noise may pass for a difference: ", floor.problem));
    return warnings;
  }
  if (floor.speed.Differs()) {
    warnings.push_back(absl::StrFormat(
        "fp16 differs from itself by %+.2g %% tokens/s [%.2g, %.2g]: the device is noisy or drifts, and differences up "
        "to %s are noise",
        100 * std::expm1(floor.speed.value), 100 * std::expm1(floor.speed.interval.low),
        100 * std::expm1(floor.speed.interval.high), Percent(std::expm1(floor.speed.Floor()))));
  }
  for (const std::string& term : within) {
    warnings.push_back(absl::StrFormat(
        "%s: every variant lies within what fp16 differs from itself, so the term counts nothing", term));
  }
  return warnings;
}

}  // namespace uaqf::ranking
