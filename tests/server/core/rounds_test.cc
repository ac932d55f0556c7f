// Jobs that may end before everything is measured: in rounds, told of after each, stopped in part or as a whole.
#include "server/core/rounds.h"

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
  spec.shuffled = true;
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
  const Rounds rounds(spec, 12, survey, 1);
  std::int32_t round = -1;
  std::map<std::int32_t, std::map<std::int32_t, std::set<std::int32_t>>> windows;  // by round, variant
  for (const Chunk& chunk : MakePlan(spec, 12, survey)) {
    const std::int32_t own = rounds.RoundOf(chunk);
    EXPECT_GE(own, round) << "chunk " << chunk.index;
    round = own;
    const bool outside =
        chunk.kind == ChunkKind::kTask || chunk.kind == ChunkKind::kArticle || chunk.kind == ChunkKind::kAgreement;
    EXPECT_EQ(own < 0, outside);
    if (chunk.kind == ChunkKind::kPerplexity) windows[own][chunk.variant].insert(chunk.first);
  }
  EXPECT_EQ(round, 5);
  EXPECT_EQ(rounds.count(), 6);
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
  const Rounds rounds(spec, 12, SurveyOf(11), 1);
  EXPECT_EQ(rounds.count(), 0);
  EXPECT_EQ(rounds.RoundOf(Chunk{}), -1);
  EXPECT_EQ(rounds.TurnOf(Chunk{}), 0);
  EXPECT_EQ(rounds.turns(), 1);
}

// 41 prompts in blocks of two: 21 rounds, of which four are the first eight prompts.
TEST(Rounds, ComeInStagesOfDoubleLength) {
  const Rounds rounds(WithEverything(), 41, SurveyOf(11), 1);
  std::vector<std::int32_t> ends;
  for (std::int32_t stage = 0; stage < rounds.stages(); ++stage) ends.push_back(rounds.EndOf(stage));
  EXPECT_THAT(ends, ElementsAre(4, 8, 16, 21));
  EXPECT_EQ(Rounds(WithEverything(), 3, SurveyOf(0), 1).stages(), 1);
}

TEST(Rounds, OfSeveralGroupsTakeTurnsStageByStage) {
  const JobSpec spec = WithEverything();
  const Survey survey = SurveyOf(11);
  const Rounds rounds(spec, 41, survey, 2);
  std::int32_t turn = 0, round = -1;
  std::map<std::int32_t, std::set<std::int32_t>> groups;
  for (const Chunk& chunk : MakePlan(spec, 41, survey, {{0, 1}, {0, 2}})) {
    EXPECT_GE(rounds.TurnOf(chunk), turn) << "chunk " << chunk.index;
    turn = rounds.TurnOf(chunk);
    groups[turn].insert(chunk.group);
    if (rounds.RoundOf(chunk) < 0) continue;
    EXPECT_GE(rounds.RoundOf(chunk), round) << "chunk " << chunk.index;
    EXPECT_LE(rounds.RoundOf(chunk), round + 1) << "chunk " << chunk.index;
    round = rounds.RoundOf(chunk);
  }
  EXPECT_EQ(round, 2 * 21 - 1);
  EXPECT_EQ(turn, 2 * 4 - 1);
  for (const auto& [at, in] : groups) EXPECT_THAT(in, ElementsAre(at % 2));
}

// Of stages that end at 4, 8, 16, 21: in rounds, what the loads of a stage take, and where the stages from 1 on end.
TEST(Rounds, StretchAStageUntilItsLoadsAreATenthOfIt) {
  const Rounds rounds(WithEverything(), 41, SurveyOf(0), 1);
  EXPECT_EQ(rounds.LastStage(1, 0), 1);
  EXPECT_EQ(rounds.LastStage(1, 0.4), 1);
  EXPECT_EQ(rounds.LastStage(1, 0.41), 2);
  // Five rounds would be left, too few for a stage of their own.
  EXPECT_EQ(rounds.LastStage(1, 0.6), 3);
  EXPECT_EQ(rounds.LastStage(0, 100), 3);
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

// Runs one worker through the job, each chunk taking `chunk_ns`, each load `load_ns`; stops `stopped` at the look
// numbered `at`. What it hosted, one after the other.
std::vector<std::string> RunAlone(Rig* rig, std::int64_t chunk_ns, std::int64_t load_ns, std::int32_t stopped = -1,
                                  int at = 0) {
  std::vector<std::string> hosted;
  rig->Connect("w");
  int looks = 0;
  for (int i = 0; i < 5000 && !Ended(rig->State("j")); ++i) {
    const std::string wanted = rig->scheduler().Desired("w", rig->now()).variant;
    if (!wanted.empty() && (hosted.empty() || hosted.back() != wanted)) {
      hosted.push_back(wanted);
      rig->Advance(load_ns);
    }
    rig->Report(rig->ReportOf("w"));
    rig->Advance(chunk_ns);
    rig->CompleteOne("w");
    if (!rig->effects().looks.empty() && ++looks == at) {
      rig->scheduler().Stop("j", {{stopped, "surely worse"}}, "", rig->now());
      rig->Flush();
    }
  }
  return hosted;
}

std::map<std::string, std::set<std::int32_t>> TimedItems(Rig* rig) {
  std::map<std::string, std::set<std::int32_t>> items;
  const JobDump dump = rig->store().Dump("j");
  for (const AttemptDump& attempt : dump.attempts) {
    const Chunk& chunk = dump.chunks[static_cast<std::size_t>(attempt.chunk)];
    if (attempt.outcome != Outcome::kAccepted || chunk.kind != ChunkKind::kTiming) continue;
    for (const RecordKey& record : attempt.records) {
      items[dump.spec.variants[static_cast<std::size_t>(chunk.variant)]].insert(record.item);
    }
  }
  return items;
}

// Situation: one worker, 40 prompts in blocks of two, so stages that end after 8, 16, 32 and 40 prompts.
TEST(Rounds, LetVariantsTakeTurnsOnOneWorker) {
  Rig rig;
  JobSpec spec = InRounds({"fp16", "rtn-w8", "rtn-w4"});
  spec.lease_ns = 600 * kSecond;
  rig.Submit("j", spec, 40);
  const std::vector<std::string> hosted = RunAlone(&rig, kSecond, kMs);
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  // Whoever was last in a stage is first in the next.
  EXPECT_THAT(hosted, ElementsAre("fp16", "rtn-w8", "rtn-w4", "fp16", "rtn-w8", "fp16", "rtn-w4", "fp16", "rtn-w8"));
}

// MATCHED: the baseline comes first in each stage, or the others would wait for its lengths, loaded in vain.
TEST(Rounds, BeginEveryStageWithTheBaselineWhereItTellsLengths) {
  Rig rig;
  JobSpec spec = InRounds({"fp16", "rtn-w8"});
  spec.timing.output_length = OutputLength::kMatched;
  spec.lease_ns = 600 * kSecond;
  rig.Submit("j", spec, 40);
  EXPECT_THAT(RunAlone(&rig, kSecond, kMs),
              ElementsAre("fp16", "rtn-w8", "fp16", "rtn-w8", "fp16", "rtn-w8", "fp16", "rtn-w8"));
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

// Situation: the first stage takes 24 s for its chunks, and its loads 30 s: ten times that is more than all there is.
TEST(Rounds, StayLongerWhereLoadsTakeLong) {
  Rig rig;
  JobSpec spec = InRounds({"fp16", "rtn-w8", "rtn-w4"});
  spec.lease_ns = 600 * kSecond;
  rig.Submit("j", spec, 40);
  EXPECT_LE(RunAlone(&rig, kSecond, 10 * kSecond).size(), 6u);
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

TEST(Rounds, DecideOnOneWorkerBeforeTheLastVariantHasMeasuredAll) {
  Rig rig;
  JobSpec spec = InRounds({"fp16", "rtn-w8", "rtn-w4"});
  spec.lease_ns = 600 * kSecond;
  rig.Submit("j", spec, 40);
  RunAlone(&rig, kSecond, kMs, 1, 4);
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  const auto items = TimedItems(&rig);
  EXPECT_EQ(items.at("fp16").size(), 40u);
  EXPECT_EQ(items.at("rtn-w4").size(), 40u);
  EXPECT_EQ(items.at("rtn-w8").size(), 8u) << "stopped by what the first stage told";
}

// Situation: 100 s of the device, each chunk takes 1 s. Three variants alike would have measured a third each.
TEST(Rounds, GiveTheTimeOfAStoppedVariantToTheOthers) {
  std::map<bool, std::map<std::string, std::set<std::int32_t>>> measured;
  for (const bool stops : {false, true}) {
    Rig rig;
    JobSpec spec = InRounds({"fp16", "rtn-w8", "rtn-w4"});
    spec.lease_ns = 600 * kSecond;
    spec.allocation.device_time_ns = 100 * kSecond;
    rig.Submit("j", spec, 60);
    ConnectAll(&rig);
    int looks = 0;
    for (int i = 0; i < 1000 && !Ended(rig.State("j")); ++i) {
      for (const WorkerId& id : kWorkers) {
        if (Ended(rig.State("j"))) break;
        rig.Report(rig.ReportOf(id));
        if (rig.Leases(id).empty()) continue;
        rig.Advance(kSecond);
        rig.CompleteOne(id);
        if (rig.effects().looks.empty() || ++looks != 2 || !stops) continue;
        rig.scheduler().Stop("j", {{1, "surely worse"}}, "", rig.now());
        rig.Flush();
      }
    }
    EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
    EXPECT_THAT(rig.scheduler().Job("j", rig.now())->error, HasSubstr("100 s is spent"));
    measured[stops] = TimedItems(&rig);
  }
  // Of the 16 rounds, two prompts each, that 100 s are enough for.
  for (const char* variant : {"fp16", "rtn-w8", "rtn-w4"})
    EXPECT_NEAR(measured[false][variant].size(), 32, 2) << variant;
  EXPECT_LE(measured[true]["rtn-w8"].size(), 6u);
  EXPECT_GE(measured[true]["fp16"].size(), 44u);
  EXPECT_GE(measured[true]["rtn-w4"].size(), 44u);
}

// Situation: two workers, so groups of two variants, each with fp16.
TEST(Rounds, LetGroupsTakeTurns) {
  Rig rig;
  JobSpec spec = InRounds({"fp16", "rtn-w8", "rtn-w4"});
  rig.Submit("j", spec, 40);
  for (const char* id : {"a", "b"}) rig.Report(rig.ReportOf(id));
  for (const char* id : {"a", "b"}) rig.Connect(id);
  std::vector<std::string> hosted;
  for (int i = 0; i < 5000 && !Ended(rig.State("j")); ++i) {
    for (const char* id : {"a", "b"}) {
      rig.Report(rig.ReportOf(id));
      const std::string wanted = rig.scheduler().Desired(id, rig.now()).variant;
      if (!wanted.empty() && wanted != "fp16" && (hosted.empty() || hosted.back() != wanted)) hosted.push_back(wanted);
      rig.CompleteOne(id);
    }
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_THAT(hosted, ElementsAre("rtn-w8", "rtn-w4", "rtn-w8", "rtn-w4", "rtn-w8", "rtn-w4", "rtn-w8", "rtn-w4"));
}

TEST(Rounds, NeedWhatTheyDecideBy) {
  JobSpec spec = InRounds({"fp16", "rtn-w8"});
  EXPECT_TRUE(ValidateSpec(spec, 4, {}).ok());
  spec.allocation.until_decided = 1;
  EXPECT_THAT(ValidateSpec(spec, 4, {}).message(), HasSubstr("until_decided is 1, expected a probability to 0.999"));
  spec = InRounds({"fp16", "rtn-w8"});
  spec.shuffled = false;
  EXPECT_THAT(ValidateSpec(spec, 4, {}).message(), HasSubstr("item_order is AS_IN_SET with an allocation"));
  spec = InRounds({"rtn-w4", "rtn-w8"});
  EXPECT_THAT(ValidateSpec(spec, 4, {}).message(), HasSubstr("needs fp16 among the variants"));
}

}  // namespace
}  // namespace uaqf::core
