#include "server/ranking/agreement_measures.h"

#include <gmock/gmock.h>

#include "server/ranking/binomial.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kEps = 1e-12;

std::vector<VariantMeasures> MeasuresOfJob(Recorder& recorder) {
  const auto measures = Measure(recorder.measurements());
  EXPECT_TRUE(measures.ok()) << measures.status();
  return measures.ok() ? *measures : std::vector<VariantMeasures>{};
}

TEST(ShareOfSameTokens, IsOfTheOutput) {
  const std::vector<std::int32_t> output = {1, 2, 3, 4};
  EXPECT_EQ(ShareOfSameTokens(output, output), 1);
  EXPECT_EQ(ShareOfSameTokens(output, std::vector<std::int32_t>{1, 2, 9}), 0.5);
  EXPECT_EQ(ShareOfSameTokens(output, std::vector<std::int32_t>{1, 2, 3, 4, 5}), 1);
  EXPECT_EQ(ShareOfSameTokens(output, std::vector<std::int32_t>{}), 0);
}

// Published examples: 0 of 10 and 10 of 10 (Wilson 1927; any table).
TEST(WilsonInterval, LeavesRoomForDoubtWhereAllAreAlike) {
  EXPECT_EQ(WilsonInterval(0, 10).low, 0);
  EXPECT_NEAR(WilsonInterval(0, 10).high, 0.2775, 1e-4);
  EXPECT_NEAR(WilsonInterval(10, 10).low, 0.7225, 1e-4);
  EXPECT_EQ(WilsonInterval(10, 10).high, 1);
  EXPECT_NEAR(WilsonInterval(5, 10).low, 0.2366, 1e-4);
  EXPECT_NEAR(WilsonInterval(5, 10).high, 0.7634, 1e-4);
}

// Two prompts of ten tokens. fp16 itself keeps all alone and 8 and 10 in a batch; a keeps 9 and 10 alone, and 5 and 7.
Recorder SmallJob() {
  Recorder recorder({"fp16", "a"});
  recorder.Output(0, 0, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {{1, 10}, {8, 8}});
  recorder.Output(0, 1, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {{1, 10}, {8, 10}});
  recorder.Output(1, 0, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {{1, 9}, {8, 5}});
  recorder.Output(1, 1, {1, 2, 3, 4, 0, 0, 0, 0, 0, 0}, {{1, 10}, {8, 7}});
  return recorder;
}

TEST(Behaviour, IsOfEachRunWithItsPartsOfKernelAndQuantization) {
  Recorder recorder = SmallJob();
  const auto measures = MeasuresOfJob(recorder);
  ASSERT_TRUE(measures[1].behaviour.has_value());
  const BehaviourMeasure& a = *measures[1].behaviour;
  EXPECT_EQ(a.prompts, 2);
  ASSERT_EQ(a.self.size(), 2u);
  EXPECT_EQ(a.self[0].batch, 1);
  EXPECT_NEAR(a.self[0].agreement.tokens.value, 0.95, kEps);
  EXPECT_EQ(a.self[0].agreement.equal, 0.5);
  EXPECT_NEAR(*a.self[0].kernel, 0, kEps);
  EXPECT_NEAR(a.self[0].quantization->value, 0.05, kEps);
  EXPECT_EQ(a.self[1].batch, 8);
  EXPECT_NEAR(a.self[1].agreement.tokens.value, 0.6, kEps);
  EXPECT_NEAR(*a.self[1].kernel, 0.1, kEps) << "what fp16 loses in the same batch";
  EXPECT_NEAR(a.self[1].quantization->value, 0.3, kEps) << "the rest of what it loses";
  EXPECT_NEAR(a.self[1].quantization->value + *a.self[1].kernel, 1 - a.self[1].agreement.tokens.value, kEps);
  ASSERT_TRUE(a.self[1].quantization->half_width.has_value());
  EXPECT_NEAR(*a.self[1].quantization->half_width, 0, 1e-9) << "the same of both prompts";
}

TEST(Behaviour, HasWhatFlipsAgainstFp16) {
  Recorder recorder = SmallJob();
  const auto measures = MeasuresOfJob(recorder);
  EXPECT_FALSE(measures[0].behaviour->with_fp16.has_value());
  EXPECT_FALSE(measures[0].behaviour->self[1].quantization.has_value()) << "all that fp16 loses is the kernels'";
  EXPECT_NEAR(*measures[0].behaviour->self[1].kernel, 0.1, kEps);
  ASSERT_TRUE(measures[1].behaviour->with_fp16.has_value());
  EXPECT_NEAR(measures[1].behaviour->with_fp16->tokens.value, 0.7, kEps);
  EXPECT_EQ(measures[1].behaviour->with_fp16->equal, 0.5);
}

TEST(Behaviour, AddsUpWhatDiffersLoopsAndIsNotFinite) {
  Recorder recorder = SmallJob();
  recorder.measurements().agreements[3].loop = true;
  recorder.measurements().agreements[2].not_finite_tokens = 2;
  const auto measures = MeasuresOfJob(recorder);
  EXPECT_NEAR(*measures[0].behaviour->penalty, (0.1 + 0) / 2, kEps);
  EXPECT_NEAR(*measures[1].behaviour->penalty, ((0.1 + 0.5) / 2 + (0 + 0.3) / 2) / 2 + 0.5 + 0.5, kEps);
  EXPECT_EQ(measures[1].behaviour->loops, 0.5);
  EXPECT_EQ(measures[1].behaviour->not_finite, 0.5);
  EXPECT_GT(measures[1].behaviour->loops_interval.high, 0.5);
}

// A variant that takes no batches has not done what fp16 did, and cannot be better for it.
TEST(Behaviour, HasNoPenaltyWhereARunIsMissing) {
  Recorder recorder({"fp16", "a", "b"});
  recorder.Output(0, 0, {1, 2}, {{1, 2}, {8, 1}});
  recorder.Output(1, 0, {1, 2}, {{1, 2}});
  recorder.Output(2, 0, {1, 2}, {{1, 2}, {8, 2}, {32, 0}});
  recorder.measurements().agreements[1].batches_refused = "its cache is quantized";
  const auto measures = MeasuresOfJob(recorder);
  EXPECT_FALSE(measures[1].behaviour->penalty.has_value());
  EXPECT_EQ(measures[1].behaviour->problem, "no batches: its cache is quantized");
  EXPECT_EQ(measures[1].behaviour->self.size(), 1u) << "what it did is told";
  EXPECT_EQ(*measures[2].behaviour->penalty, 0) << "a run that fp16 lacks counts nothing";
}

TEST(Behaviour, IsMissingWithoutRecordsAndNeedsNoFp16) {
  Recorder none({"fp16", "a"});
  EXPECT_FALSE(MeasuresOfJob(none)[0].behaviour.has_value());
  Recorder alone({"a"});
  alone.Output(0, 0, {1}, {{1, 1}});
  const auto measures = MeasuresOfJob(alone);
  ASSERT_TRUE(measures[0].behaviour.has_value());
  EXPECT_EQ(measures[0].behaviour->self[0].agreement.tokens.value, 1);
  EXPECT_FALSE(measures[0].behaviour->self[0].kernel.has_value());
  EXPECT_FALSE(measures[0].behaviour->penalty.has_value());
}

TEST(Behaviour, RefusesRecordsThatCannotBe) {
  const auto refusal = [](const std::function<void(Measurements*)>& spoil) {
    Recorder recorder = SmallJob();
    spoil(&recorder.measurements());
    return std::string(Measure(recorder.measurements()).status().message());
  };
  EXPECT_THAT(refusal([](Measurements* m) { m->agreements[1].item = 0; }), HasSubstr("it is there twice"));
  EXPECT_THAT(refusal([](Measurements* m) { m->agreements[1].ids.clear(); }), HasSubstr("at least one token"));
  EXPECT_THAT(refusal([](Measurements* m) { m->agreements[1].variant = 7; }), HasSubstr("expected a variant"));
  EXPECT_THAT(refusal([](Measurements* m) { m->agreements[1].repeats[1].same_tokens = 11; }), HasSubstr("11 tokens"));
  EXPECT_THAT(refusal([](Measurements* m) { m->agreements[1].repeats[1].batch = 1; }), HasSubstr("ascending"));
}

TEST(CommonRecords, KeepOutputsThatAllHave) {
  Recorder recorder = SmallJob();
  recorder.Output(0, 2, {1}, {{1, 1}, {8, 1}});
  auto common = KeepCommonRecords(recorder.measurements());
  ASSERT_TRUE(common.ok());
  EXPECT_EQ(common->measurements.agreements.size(), 4u);
  EXPECT_TRUE(AnyContains(common->notes, "compared on 2 of fp16's 3 agreement records"));
}

// --- As a term

// Six prompts, on which `a` keeps `share` of its tokens in a batch and fp16 all.
Recorder JobWithOutputs(double share) {
  Recorder recorder({"fp16", "a"});
  for (int item = 0; item < 6; ++item) {
    for (int v = 0; v < 2; ++v) {
      for (int repeat = 0; repeat < 2; ++repeat) recorder.Timing(v, item, repeat, v == 0 ? 2.0 : 1.0, 10);
      const int same = v == 0 ? 10 : static_cast<int>(10 * share) + (item % 2 == 0 ? 1 : -1);
      recorder.Output(v, item, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {{8, same}});
    }
  }
  return recorder;
}

Profile Weighing(double behaviour) {
  Profile profile;
  profile.weights.speed = 1 - behaviour;
  profile.weights.behaviour = behaviour;
  return profile;
}

absl::StatusOr<Ranking> RankedBy(Recorder recorder, const Profile& profile) {
  auto common = KeepCommonRecords(std::move(recorder.measurements()));
  EXPECT_TRUE(common.ok()) << common.status();
  const auto measures = Measure(common->measurements);
  EXPECT_TRUE(measures.ok()) << measures.status();
  const DecisionData data = PrepareDecision(common->measurements);
  RankOptions options;
  options.data = &data;
  return Rank(*measures, profile, JobFacts{}, options);
}

TEST(BehaviourTerm, LowersTheUtilityByWhatIsBeyondFp16InTenths) {
  const auto ranking = RankedBy(JobWithOutputs(0.7), Weighing(0.5));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  const RankedVariant& a = Find(*ranking, "a");
  ASSERT_EQ(a.terms.size(), 2u);
  EXPECT_EQ(a.terms[1].name, "behaviour");
  EXPECT_NEAR(a.terms[1].raw, 0.3, 1e-9);
  EXPECT_NEAR(a.terms[1].normalized, 3, 1e-9);
  EXPECT_NEAR(*a.utility, 0.5 * 1 - 0.5 * 3, 1e-9) << "twice as fast, three tenths of its tokens differ";
  EXPECT_EQ(ranking->winner, "fp16");
  EXPECT_THAT(ranking->formula, HasSubstr("- 0.5 B~"));
  EXPECT_THAT(ranking->formula, HasSubstr("B~ = (unlike tokens + loops + not finite - 0) / 0.1"));
}

TEST(BehaviourTerm, IsResampledOverPromptsAndSwept) {
  const auto ranking = RankedBy(JobWithOutputs(0.9), Weighing(0.4));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  const RankedVariant& a = Find(*ranking, "a");
  ASSERT_TRUE(a.terms[1].interval.has_value());
  EXPECT_LT(a.terms[1].interval->low, 1);
  EXPECT_GT(a.terms[1].interval->high, 1);
  ASSERT_TRUE(a.standing.has_value());
  const auto sweep = std::find_if(ranking->sweeps.begin(), ranking->sweeps.end(),
                                  [](const WeightSweep& s) { return s.term == "behaviour"; });
  ASSERT_NE(sweep, ranking->sweeps.end());
  // (1 - w) * 1 = w * 1.
  ASSERT_EQ(sweep->segments.size(), 2u);
  EXPECT_EQ(sweep->segments[0].winner, "a");
  EXPECT_NEAR(sweep->segments[0].to, 0.5, 1e-9);
  EXPECT_EQ(sweep->segments[1].winner, "fp16");
}

TEST(BehaviourTerm, IsAnAxisOfTheFrontWhateverItsWeight) {
  Recorder recorder = JobWithOutputs(0.7);
  const auto ranking = RankedBy(recorder, Weighing(0));
  ASSERT_TRUE(ranking.ok());
  EXPECT_EQ(ranking->winner, "a");
  EXPECT_EQ(Find(*ranking, "fp16").dominated_by, "") << "it is steadier";
  recorder.measurements().agreements.clear();
  EXPECT_EQ(Find(*RankedBy(recorder, Weighing(0)), "fp16").dominated_by, "a");
}

TEST(BehaviourTerm, IsNotDecidableWithoutRecordsAndSaysHowToMeasure) {
  Recorder recorder = JobWithOutputs(0.7);
  recorder.measurements().agreements.clear();
  const absl::Status status = RankedBy(recorder, Weighing(0.5)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("jobs submit --agreement"));
}

TEST(BehaviourTerm, LeavesOutAVariantThatLacksARun) {
  Recorder recorder({"fp16", "a", "b"});
  for (int v = 0; v < 3; ++v) {
    for (int item = 0; item < 6; ++item) {
      for (int repeat = 0; repeat < 2; ++repeat) recorder.Timing(v, item, repeat, 2.0 - 0.5 * v, 10);
      recorder.Output(v, item, {1, 2},
                      v == 2 ? std::vector<RepeatedOutput>{{1, 2}} : std::vector<RepeatedOutput>{{1, 2}, {8, 2}});
    }
  }
  const auto ranking = RankedBy(recorder, Weighing(0.5));
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  EXPECT_EQ(Find(*ranking, "b").status, RankStatus::kNotMeasured);
  EXPECT_THAT(Find(*ranking, "b").reason, HasSubstr("it lacks a run that fp16 has"));
  EXPECT_EQ(ranking->winner, "a");
}

TEST(BehaviourTerm, IsMinMaxedOverAllVariants) {
  Profile profile = Weighing(0.5);
  profile.normalization = Normalization::kMinMax;
  const auto ranking = RankedBy(JobWithOutputs(0.7), profile);
  ASSERT_TRUE(ranking.ok()) << ranking.status();
  EXPECT_NEAR(Find(*ranking, "a").terms[1].normalized, 1, 1e-9);
  EXPECT_NEAR(Find(*ranking, "fp16").terms[1].normalized, 0, 1e-9);
}

TEST(BehaviourTerm, TellsTooFewPrompts) {
  Recorder recorder = JobWithOutputs(0.7);
  auto& rows = recorder.measurements().agreements;
  rows.erase(std::remove_if(rows.begin(), rows.end(), [](const AgreementRow& row) { return row.item > 3; }),
             rows.end());
  const auto ranking = RankedBy(recorder, Weighing(0.5));
  ASSERT_TRUE(ranking.ok());
  EXPECT_EQ(ranking->resamples, 0);
  EXPECT_TRUE(AnyContains(ranking->warnings, "4 prompts generated again, expected at least 5"));
}

}  // namespace
}  // namespace uaqf::ranking
