// Parts of the prompts, ranked for themselves.
#include "server/ranking/slices.h"

#include <gmock/gmock.h>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

// Prompts 0 to 9 are code, where a is twice as fast as fp16; 10 to 19 are prose, where it is half as fast; 20 is
// neither.
Recorder Job() {
  Recorder recorder({"fp16", "a"});
  for (int prompt = 0; prompt < 21; ++prompt) {
    for (int run = 0; run < 2; ++run) {
      const double latency_s = 2 + 0.01 * ((prompt * 7 + run) % 5);
      recorder.Timing(0, prompt, run, latency_s, 50);
      recorder.Timing(1, prompt, run, prompt < 10 ? latency_s / 2 : latency_s * 2, 50);
    }
  }
  for (int window = 0; window < 6; ++window) recorder.Window(0, window, 3).Window(1, window, 3.01);
  return recorder;
}

SliceLabels Labels() {
  SliceLabels labels{{"code", "empty", "prose"}, std::vector<std::int32_t>(21)};
  for (int prompt = 10; prompt < 20; ++prompt) labels.of_item[prompt] = 2;
  labels.of_item[20] = -1;
  return labels;
}

TEST(RankSlices, FindsTheWinnerOfEachPart) {
  Recorder recorder = Job();
  const std::vector<Slice> slices =
      RankSlices(recorder.measurements(), Labels(), BuiltIn("balanced"), JobFacts{}, /*ignore_sanity=*/false);
  ASSERT_EQ(slices.size(), 2U) << "none without prompts";
  EXPECT_EQ(slices[0].name, "code");
  EXPECT_EQ(slices[0].prompts, 10);
  ASSERT_TRUE(slices[0].ranking.ok()) << slices[0].ranking.status();
  EXPECT_EQ(slices[0].ranking->winner, "a");
  EXPECT_GT(slices[0].ranking->variants[0].standing->probability_best, 0.99);
  EXPECT_EQ(slices[1].name, "prose");
  EXPECT_EQ(slices[1].ranking->winner, "fp16");
}

TEST(RankSlices, OfAllPromptsIsTheRankingItself) {
  Recorder recorder = Job();
  const SliceLabels all{{"all"}, std::vector<std::int32_t>(21)};
  const std::vector<Slice> slices =
      RankSlices(recorder.measurements(), all, BuiltIn("latency"), JobFacts{}, /*ignore_sanity=*/false);
  const auto measures = Measure(recorder.measurements());
  const DecisionData data = PrepareDecision(recorder.measurements());
  RankOptions options;
  options.data = &data;
  const auto ranking = Rank(*measures, BuiltIn("latency"), JobFacts{}, options);
  ASSERT_TRUE(ranking.ok() && slices[0].ranking.ok());
  EXPECT_EQ(slices[0].ranking->variants[0].utility, ranking->variants[0].utility);
  EXPECT_EQ(slices[0].ranking->variants[0].standing->utility.low, ranking->variants[0].standing->utility.low);
}

TEST(RankSlices, SaysWhyAPartCannotBeRanked) {
  Recorder recorder({"fp16", "a"});
  recorder.Timing(0, 0, 0, 2, 50).Timing(1, 0, 0, 1, 50);
  const SliceLabels labels{{"one"}, {0}};
  const std::vector<Slice> slices =
      RankSlices(recorder.measurements(), labels, BuiltIn("balanced"), JobFacts{}, /*ignore_sanity=*/false);
  ASSERT_EQ(slices.size(), 1U);
  EXPECT_EQ(slices[0].ranking.status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace uaqf::ranking
