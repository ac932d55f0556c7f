// Jobs that may end before everything is measured: in rounds, told of after each, stopped in part or as a whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "server/core/plan.h"
#include "server/core/validate.h"
#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

JobSpec InRounds(std::vector<std::string> variants) {
  JobSpec spec = Rig::Spec(std::move(variants));
  spec.allocation.until_decided = 0.95;
  spec.allocation.profile = "balanced";
  return spec;
}

JobSpec WithEverything() {
  JobSpec spec = InRounds({"fp16", "rtn-w8", "rtn-w4"});
  spec.timing.repeats = 3;
  spec.quality.text_set = "t";
  spec.quality.task_set = "q";
  spec.quality.article_set = "a";
  spec.quality.divergence = true;
  spec.agreement = {4, 16, {8}};
  return spec;
}

Survey SurveyOf(std::int32_t windows) {
  Survey survey;
  survey.text_windows = windows;
  survey.task_items = 5;
  survey.articles = 3;
  return survey;
}

using Piece = std::tuple<ChunkKind, std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t>;

std::multiset<Piece> Pieces(const std::vector<Chunk>& plan) {
  std::multiset<Piece> pieces;
  for (const Chunk& c : plan) pieces.insert({c.kind, c.variant, c.repeat, c.first, c.count, c.summary_k});
  return pieces;
}

TEST(Rounds, MeasureWhatTheOtherOrderMeasures) {
  for (std::int32_t prompts : {1, 2, 5, 12}) {
    for (std::int32_t windows : {0, 1, 5, 11, 60}) {
      JobSpec spec = WithEverything();
      const auto rounds = MakePlan(spec, prompts, SurveyOf(windows));
      spec.allocation = {};
      EXPECT_EQ(Pieces(rounds), Pieces(MakePlan(spec, prompts, SurveyOf(windows)))) << prompts << " " << windows;
    }
  }
}

TEST(Rounds, FollowEachOtherEachWithItsShareOfTheWindows) {
  const JobSpec spec = WithEverything();
  const Survey survey = SurveyOf(11);
  std::int32_t round = -1;
  std::map<std::int32_t, std::map<std::int32_t, std::set<std::int32_t>>> windows;  // by round, variant
  for (const Chunk& chunk : MakePlan(spec, 12, survey)) {
    const std::int32_t own = RoundOf(spec, 12, survey, chunk);
    EXPECT_GE(own, round) << "chunk " << chunk.index;
    round = own;
    const bool outside =
        chunk.kind == ChunkKind::kTask || chunk.kind == ChunkKind::kArticle || chunk.kind == ChunkKind::kAgreement;
    EXPECT_EQ(own < 0, outside);
    if (chunk.kind == ChunkKind::kPerplexity) windows[own][chunk.variant].insert(chunk.first);
  }
  EXPECT_EQ(round, 5);
  EXPECT_EQ(RoundCount(spec, 12), 6);
  // Three chunks of windows over six rounds, the same for all variants.
  EXPECT_EQ(windows.size(), 3u);
  for (const auto& [at, by_variant] : windows) {
    EXPECT_EQ(by_variant.size(), 3u);
    for (const auto& [variant, first] : by_variant) EXPECT_EQ(first, by_variant.begin()->second);
  }
}

TEST(Rounds, AreNoneOfAJobThatMeasuresEverything) {
  JobSpec spec = WithEverything();
  spec.allocation = {};
  EXPECT_EQ(RoundCount(spec, 12), 0);
  EXPECT_EQ(RoundOf(spec, 12, SurveyOf(11), Chunk{}), -1);
}

const std::vector<WorkerId> kWorkers = {"a", "b", "c"};

// As many workers on the device as there are variants: only then do these take turns.
void ConnectAll(Rig* rig) {
  for (const WorkerId& id : kWorkers) rig->Report(rig->ReportOf(id));
  for (const WorkerId& id : kWorkers) rig->Connect(id);
}

// Completes leases until the owner is told of a finished round, or nothing is left.
bool RunRound(Rig* rig) {
  for (int i = 0; i < 200; ++i) {
    for (const WorkerId& id : kWorkers) {
      if (rig->CompleteOne(id) && !rig->effects().looks.empty()) return true;
      rig->Report(rig->ReportOf(id));
      if (!rig->effects().looks.empty()) return true;
    }
    if (Ended(rig->State("j"))) return false;
  }
  return false;
}

VariantState StateOf(Rig* rig, const std::string& variant) {
  const std::optional<JobView> job = rig->scheduler().Job("j", rig->now());
  for (const VariantProgress& progress : job->progress.variants) {
    if (progress.variant == variant) return progress.state;
  }
  return VariantState::kPending;
}

// Situation: three rounds of a block each.
TEST(Rounds, AreToldOfButTheLast) {
  Rig rig;
  rig.Submit("j", InRounds({"fp16", "rtn-w8"}), 6);
  ConnectAll(&rig);
  int looks = 0;
  while (RunRound(&rig)) ++looks;
  EXPECT_EQ(looks, 2);
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

TEST(Rounds, GoOnWithoutAVariantThatIsStopped) {
  Rig rig;
  rig.Submit("j", InRounds({"fp16", "rtn-w8", "rtn-w4"}), 6);
  ConnectAll(&rig);
  ASSERT_TRUE(RunRound(&rig));
  rig.scheduler().Stop("j", {{1, "surely worse"}, {0, "never fp16"}, {7, "no such variant"}}, "", rig.now());
  rig.Flush();
  EXPECT_EQ(StateOf(&rig, "rtn-w8"), VariantState::kStopped);
  // A restart knows it.
  rig.RestartCoordinator();
  ConnectAll(&rig);
  while (rig.State("j") == JobState::kRunning && RunRound(&rig)) {
  }
  ASSERT_EQ(rig.State("j"), JobState::kSucceeded);
  std::map<std::int32_t, int> done;
  const JobDump dump = rig.store().Dump("j");
  for (const Chunk& chunk : dump.chunks) {
    if (chunk.kind == ChunkKind::kTiming && chunk.state == ChunkState::kDone) ++done[chunk.variant];
  }
  EXPECT_EQ(done[0], 3);
  EXPECT_EQ(done[2], 3);
  EXPECT_LT(done[1], 3);
  EXPECT_GE(done[1], 1);
}

TEST(Rounds, EndWhenNothingIsLeftToDecide) {
  Rig rig;
  rig.Submit("j", InRounds({"fp16", "rtn-w8"}), 20);
  ConnectAll(&rig);
  ASSERT_TRUE(RunRound(&rig));
  rig.scheduler().Stop("j", {}, "decided: rtn-w8 is best", rig.now());
  rig.Flush();
  ASSERT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->error, "decided: rtn-w8 is best");
  EXPECT_LT(rig.scheduler().Job("j", rig.now())->progress.records_done, 40);
  // What comes too late is harmless.
  rig.scheduler().Stop("j", {{1, "late"}}, "", rig.now());
  rig.Flush();
}

// Situation: each attempt takes the device 10 s, of which it has 45.
TEST(Rounds, EndWhenTheDeviceTimeIsSpent) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8"});
  spec.allocation.device_time_ns = 45 * kSecond;
  spec.lease_ns = 600 * kSecond;
  rig.Submit("j", spec, 20);
  rig.Connect("w");
  int attempts = 0;
  while (rig.State("j") != JobState::kSucceeded && attempts < 40) {
    rig.Advance(10 * kSecond);
    attempts += rig.CompleteOne("w") ? 1 : 0;
    if (rig.State("j") == JobState::kRunning) rig.Report(rig.ReportOf("w"));
  }
  EXPECT_EQ(attempts, 5);
  EXPECT_THAT(rig.scheduler().Job("j", rig.now())->error, HasSubstr("45 s is spent"));
}

TEST(Rounds, NeedWhatTheyDecideBy) {
  JobSpec spec = InRounds({"fp16", "rtn-w8"});
  EXPECT_TRUE(ValidateSpec(spec, 4, {}).ok());
  spec.allocation.until_decided = 1;
  EXPECT_THAT(ValidateSpec(spec, 4, {}).message(), HasSubstr("until_decided is 1, expected a probability to 0.999"));
  spec = InRounds({"rtn-w4", "rtn-w8"});
  EXPECT_THAT(ValidateSpec(spec, 4, {}).message(), HasSubstr("needs fp16 among the variants"));
}

}  // namespace
}  // namespace uaqf::core
