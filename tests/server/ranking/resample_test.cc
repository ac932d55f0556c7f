// Units drawn with replacement, the same for all variants.
#include "server/ranking/resample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "server/ranking/statistics.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

// fp16 and two variants on `prompts` prompts of two runs and `windows` windows; b takes half the time of a, always.
Recorder Job(int prompts, int windows) {
  Recorder recorder({"fp16", "a", "b"});
  for (int prompt = 0; prompt < prompts; ++prompt) {
    for (int run = 0; run < 2; ++run) {
      const double a = 1 + 0.1 * ((prompt * 7 + run * 3) % 11);
      recorder.Timing(0, prompt, run, 3 + 0.05 * (prompt % 5), 50).Timing(1, prompt, run, a, 50);
      recorder.Timing(2, prompt, run, a / 2, 50);
    }
  }
  for (int window = 0; window < windows; ++window) {
    for (int v = 0; v < 3; ++v) recorder.Window(v, window, 3 + 0.1 * v + 0.01 * ((window * 5 + v) % 7));
  }
  return recorder;
}

Resampled Of(Recorder recorder, std::uint64_t seed = 1) {
  return Resample(PairUnits(recorder.measurements()), {.seed = seed});
}

TEST(Resample, OfAllUnitsIsWhatWasMeasured) {
  Recorder recorder = Job(12, 9);
  const auto measures = Measure(recorder.measurements());
  ASSERT_TRUE(measures.ok());
  const Resampled resampled = Of(recorder);
  for (std::size_t v = 0; v < 3; ++v) {
    const ResampledFigures& all = resampled.At(Resampled::kAllUnits, v);
    const VariantMeasures& m = (*measures)[v];
    EXPECT_NEAR(all.tokens_per_s, m.tokens_per_s->value, 1e-9);
    EXPECT_NEAR(all.latency_s, m.latency_s->value, 1e-12);
    EXPECT_NEAR(all.latency_deviation_s, *m.latency_deviation_s, 1e-12);
    EXPECT_NEAR(all.throughput_deviation, *m.throughput_deviation, 1e-9);
    EXPECT_NEAR(all.nll, *m.nll, 1e-12);
  }
}

TEST(Resample, DrawsTheSameUnitsForEveryVariant) {
  const Resampled resampled = Of(Job(12, 9));
  bool moved = false;
  for (std::int32_t r = 0; r < resampled.resamples(); ++r) {
    EXPECT_NEAR(resampled.At(r, 2).tokens_per_s, 2 * resampled.At(r, 1).tokens_per_s, 1e-9);
    moved = moved || std::abs(resampled.At(r, 1).tokens_per_s - resampled.At(-1, 1).tokens_per_s) > 1e-3;
  }
  EXPECT_TRUE(moved);
}

TEST(Resample, IsTheSameForTheSameSeedOnly) {
  const Resampled one = Of(Job(12, 9)), again = Of(Job(12, 9)), other = Of(Job(12, 9), 2);
  bool differs = false;
  for (std::int32_t r = 0; r < one.resamples(); ++r) {
    EXPECT_EQ(one.At(r, 1).latency_s, again.At(r, 1).latency_s);
    EXPECT_EQ(one.At(r, 1).nll, again.At(r, 1).nll);
    differs = differs || one.At(r, 1).latency_s != other.At(r, 1).latency_s;
  }
  EXPECT_TRUE(differs);
}

// The mean of n values has the standard error sd / sqrt(n); resamples are moved out to what t asks of that.
TEST(Resample, SpreadsAsWideAsAMeanOfSoFewUnitsIsUnsure) {
  constexpr int kPrompts = 10;
  const Resampled resampled = Of(Job(kPrompts, 9));
  Recorder recorder = Job(kPrompts, 9);
  Moments units;
  const PairedUnits paired = PairUnits(recorder.measurements());
  for (const double sum : paired.variants[1].latency_s) units.Add(sum / 2);
  Moments means;
  for (std::int32_t r = 0; r < resampled.resamples(); ++r) means.Add(resampled.At(r, 1).latency_s);
  EXPECT_NEAR(means.mean(), units.mean(), 0.05 * *units.Deviation());
  EXPECT_NEAR(1.959964 * *means.Deviation(), *units.HalfWidth(), 0.05 * *units.HalfWidth());
}

TEST(Resample, NeedsFiveUnits) {
  EXPECT_FALSE(Of(Job(4, 9)).has(1).timings);
  EXPECT_TRUE(Of(Job(4, 9)).has(1).nll);
  EXPECT_TRUE(Of(Job(5, 4)).has(1).timings);
  EXPECT_FALSE(Of(Job(5, 4)).has(1).nll);
  EXPECT_FALSE(Resample({}).variants());
}

TEST(Resample, OfOneRunHasNoDeviations) {
  Recorder recorder({"fp16", "a"});
  for (int prompt = 0; prompt < 8; ++prompt) recorder.Timing(0, prompt, 0, 1, 10).Timing(1, prompt, 0, 2, 10);
  const Resampled resampled = Of(recorder);
  EXPECT_TRUE(resampled.has(1).timings);
  EXPECT_FALSE(resampled.has(1).deviations);
}

// More prompts than are drawn one by one.
TEST(Resample, DrawsBundlesOfManyPrompts) {
  constexpr int kPrompts = 2500;
  Recorder recorder = Job(kPrompts, 1500);
  const auto measures = Measure(recorder.measurements());
  const PairedUnits units = PairUnits(recorder.measurements());
  EXPECT_EQ(Bundle(units, kMostUnits).runs.size(), kMostUnits);
  const std::vector<double> runs = Bundle(units, kMostUnits).runs;
  EXPECT_EQ(std::count(runs.begin(), runs.end(), 6), 500) << "three prompts of two runs";
  EXPECT_EQ(std::count(runs.begin(), runs.end(), 4), 500) << "two prompts";
  const Resampled resampled = Resample(units);
  EXPECT_EQ(resampled.prompts(), 2500U);
  EXPECT_EQ(resampled.windows(), 1500U);
  EXPECT_NEAR(resampled.At(Resampled::kAllUnits, 1).tokens_per_s, (*measures)[1].tokens_per_s->value, 1e-9);
  EXPECT_NEAR(resampled.At(Resampled::kAllUnits, 1).nll, *(*measures)[1].nll, 1e-12);
  Moments unit, means;
  for (const double sum : units.variants[1].latency_s) unit.Add(sum / 2);
  for (std::int32_t r = 0; r < resampled.resamples(); ++r) means.Add(resampled.At(r, 1).latency_s);
  EXPECT_NEAR(1.959964 * *means.Deviation(), *unit.HalfWidth(), 0.1 * *unit.HalfWidth());
}

TEST(PairUnits, LeavesOutWhoRanOtherPromptsOrCollapsed) {
  Recorder recorder = Job(6, 6);
  recorder.Timing(1, 99, 0, 1, 10);
  recorder.Window(2, 99, NAN);
  recorder.measurements().windows.nll_sum[2] = NAN;  // of b
  const PairedUnits units = PairUnits(recorder.measurements());
  EXPECT_TRUE(units.variants[1].latency_s.empty());
  EXPECT_EQ(units.variants[2].latency_s.size(), 6U);
  EXPECT_EQ(units.variants[1].nll.size(), 6U);
  EXPECT_TRUE(units.variants[2].nll.empty());
}

TEST(PairUnits, WithoutFp16HasNone) {
  Recorder recorder({"a"});
  recorder.Timing(0, 0, 0, 1, 10);
  EXPECT_TRUE(PairUnits(recorder.measurements()).variants[0].latency_s.empty());
}

}  // namespace
}  // namespace uaqf::ranking
