// The baseline's twin: planned, hosted and leased like a variant, but for its quality.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/core/divergence.h"
#include "server/core/plan.h"
#include "server/core/validate.h"
#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

JobSpec SpecWithTwin() { return Rig::Spec({"fp16", "rtn-w8", kBaselineTwin}); }

std::string NameIn(const JobSpec& spec, const Chunk& chunk) { return spec.variants[chunk.variant]; }

// Situation: a job with everything there is to score.
TEST(Twin, IsTimedInTurnsWithTheOthersAndNeverScored) {
  JobSpec spec = SpecWithTwin();
  spec.quality.text_set = "t";
  spec.quality.task_set = "q";
  spec.quality.article_set = "a";
  spec.quality.divergence = true;
  Survey survey;
  survey.text_windows = survey.task_items = survey.articles = 6;
  std::map<std::string, std::map<ChunkKind, int>> chunks;
  std::map<std::pair<std::int32_t, std::int32_t>, std::set<std::string>> timed;  // by (repeat, first)
  for (const Chunk& chunk : MakePlan(spec, 6, survey)) {
    ++chunks[NameIn(spec, chunk)][chunk.kind];
    if (chunk.kind == ChunkKind::kTiming) timed[{chunk.repeat, chunk.first}].insert(NameIn(spec, chunk));
  }
  EXPECT_EQ(chunks[kBaselineTwin], (std::map<ChunkKind, int>{{ChunkKind::kTiming, 3}}));
  EXPECT_EQ(chunks[kBaselineTwin][ChunkKind::kTiming], chunks[kBaselineVariant][ChunkKind::kTiming]);
  for (const auto& [place, names] : timed) EXPECT_EQ(names.size(), 3u);
}

TEST(Twin, CountsAmongThePlannedRecordsAsFarAsItIsTimed) {
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8"});
  spec.quality.divergence = true;
  spec.timing.repeats = 3;
  const std::int64_t without = PlannedRecords(spec, 10, 5, 4, 2);
  spec.variants.emplace_back(kBaselineTwin);
  EXPECT_EQ(PlannedRecords(spec, 10, 5, 4, 2), without + 30);
}

TEST(Twin, IsNeitherComparedNorCountedAgainstTheLimitOfVariants) {
  JobSpec spec = SpecWithTwin();
  spec.quality.text_set = "t";
  spec.quality.divergence = true;
  spec.quality.divergence_mode = DivergenceMode::kStreamed;
  EXPECT_EQ(StreamedVariants(spec, {}), (std::vector<bool>{false, true, false}));
  Limits limits;
  limits.max_variants = 2;
  EXPECT_TRUE(ValidateSpec(spec, 4, limits).ok());
}

TEST(Twin, IsTheVariantThatItHostsOnceMore) {
  const VariantInfo fp16 = {"fp16", "", true, ""};
  EXPECT_TRUE(IsVariant(fp16, kBaselineTwin));
  EXPECT_FALSE(IsVariant(fp16, "fp16x"));
}

// Situation: a device with too few workers for all. The twin is in a group with a baseline.
TEST(Twin, HasABaselineInItsGroup) {
  HostingRoom room;
  room.workers = 2;
  EXPECT_EQ(MakeGroups(SpecWithTwin(), room), (std::vector<VariantGroup>{{0, 1}, {0, 2}}));
}

// Runs job "j" to its end with workers of one device. Which worker timed each variant, in the order of the leases.
std::vector<std::pair<WorkerId, std::string>> Finish(Rig* rig, const std::vector<WorkerId>& workers) {
  std::vector<std::pair<WorkerId, std::string>> timed;
  for (int i = 0; i < 300 && rig->State("j") != JobState::kSucceeded; ++i) {
    for (const WorkerId& id : workers) {
      const std::vector<Lease> leases = rig->Leases(id);
      if (!leases.empty() && leases.front().kind == ChunkKind::kTiming) timed.emplace_back(id, leases.front().variant);
      rig->CompleteOne(id);
      rig->Report(rig->ReportOf(id));
    }
  }
  EXPECT_EQ(rig->State("j"), JobState::kSucceeded);
  return timed;
}

std::set<WorkerId> WorkersOf(const std::vector<std::pair<WorkerId, std::string>>& timed, const std::string& variant) {
  std::set<WorkerId> workers;
  for (const auto& [worker, name] : timed) {
    if (name == variant) workers.insert(worker);
  }
  return workers;
}

TEST(Twin, IsTimedByAnotherProcessWhereThereAreWorkersEnough) {
  for (const std::vector<WorkerId>& workers : {std::vector<WorkerId>{"a", "b"}, {"a", "b", "c"}}) {
    Rig rig;
    JobSpec spec = SpecWithTwin();
    spec.timing.repeats = 3;
    rig.Submit("j", spec, 8);
    for (const WorkerId& id : workers) rig.Report(rig.ReportOf(id));
    for (const WorkerId& id : workers) rig.Connect(id);
    const auto timed = Finish(&rig, workers);
    const std::set<WorkerId> baseline = WorkersOf(timed, kBaselineVariant), twin = WorkersOf(timed, kBaselineTwin);
    ASSERT_EQ(baseline.size(), 1u) << workers.size() << " workers";
    ASSERT_EQ(twin.size(), 1u) << workers.size() << " workers";
    EXPECT_NE(*baseline.begin(), *twin.begin()) << workers.size() << " workers";
  }
}

// Situation: two devices with a worker each, and the one that timed the baseline is done first. It leaves the twin to
// the other, and takes it where the other is gone.
TEST(Twin, IsLeftToAnotherProcessThanTheBaselines) {
  for (const bool other_stays : {true, false}) {
    Rig rig;
    JobSpec spec = SpecWithTwin();
    rig.Submit("j", spec, 8);
    rig.Connect("a", "d0");
    rig.Connect("b", "d1");
    std::vector<std::pair<WorkerId, std::string>> timed;
    for (int i = 0; i < 300 && rig.State("j") != JobState::kSucceeded; ++i) {
      for (const auto& [id, device] : {std::pair("a", "d0"), std::pair("b", "d1")}) {
        // b is slow, or stops after a while.
        if (id[0] == 'b' && (other_stays ? i % 3 != 0 : i > 6)) continue;
        const std::vector<Lease> leases = rig.Leases(id);
        if (!leases.empty() && leases[0].kind == ChunkKind::kTiming) timed.emplace_back(id, leases[0].variant);
        rig.CompleteOne(id);
        rig.Report(rig.ReportOf(id, device));
      }
      rig.Advance(kSecond);
    }
    EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
    EXPECT_EQ(WorkersOf(timed, kBaselineVariant), (std::set<WorkerId>{"a"}));
    EXPECT_EQ(WorkersOf(timed, kBaselineTwin), (std::set<WorkerId>{other_stays ? "b" : "a"}));
  }
}

// Situation: the coordinator starts anew while both are hosted. Each worker goes on with its own.
TEST(Twin, StaysWithItsProcessWhenTheCoordinatorStartsAgain) {
  Rig rig;
  rig.Submit("j", SpecWithTwin(), 8);
  for (const char* id : {"a", "b", "c"}) rig.Report(rig.ReportOf(id));
  for (const char* id : {"a", "b", "c"}) rig.Connect(id);
  std::map<WorkerId, std::string> before;
  std::vector<WorkerReport> reports;
  for (const char* id : {"a", "b", "c"}) {
    before[id] = rig.scheduler().Desired(id, rig.now()).variant;
    reports.push_back(rig.ReportOf(id));
  }
  rig.RestartCoordinator();
  for (const WorkerReport& report : reports) rig.Report(report);
  for (const char* id : {"a", "b", "c"}) EXPECT_EQ(rig.scheduler().Desired(id, rig.now()).variant, before[id]) << id;
  std::set<std::string> hosted;
  for (const auto& [id, variant] : before) hosted.insert(variant);
  EXPECT_EQ(hosted, (std::set<std::string>{"fp16", "rtn-w8", kBaselineTwin}));
}

// Situation: one worker hosts one variant after the other. The whole job lies between the baseline and its twin.
TEST(Twin, ComesLastOnASingleWorker) {
  Rig rig;
  rig.Submit("j", SpecWithTwin(), 8);
  rig.Connect("a");
  std::vector<std::string> order;
  for (const auto& [worker, variant] : Finish(&rig, std::vector<WorkerId>{"a"})) {
    if (order.empty() || order.back() != variant) order.push_back(variant);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"fp16", "rtn-w8", kBaselineTwin}));
}

// Situation: the lengths that all emit are those of the baseline.
TEST(Twin, EmitsAsManyTokensAsTheBaseline) {
  Rig rig;
  JobSpec spec = SpecWithTwin();
  spec.timing.output_length = OutputLength::kMatched;
  rig.Submit("j", spec, 4);
  rig.Connect("a");
  std::map<std::string, std::vector<std::int32_t>> tokens;
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    for (const Lease& lease : rig.Leases("a")) {
      if (lease.kind == ChunkKind::kTiming && lease.items.front() == 0) tokens[lease.variant] = lease.output_tokens;
    }
    rig.CompleteOne("a");
    rig.Report(rig.ReportOf("a"));
  }
  EXPECT_EQ(tokens[kBaselineTwin], (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(tokens[kBaselineTwin], tokens[kBaselineVariant]);
}

// Situation: no worker can host it once more. The others are measured nevertheless.
TEST(Twin, FailsAlone) {
  Rig rig;
  rig.Submit("j", SpecWithTwin(), 4);
  rig.Connect("a");
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    WorkerReport report = rig.ReportOf("a");
    if (report.hosted.variant == kBaselineTwin) {
      report.hosted.state = VariantState::kFailed;
      report.hosted.error = "no memory";
    }
    rig.Report(report);
    rig.CompleteOne("a");
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  const JobDump job = rig.store().Dump("j");
  EXPECT_EQ(job.variants[2].state, VariantState::kFailed);
  EXPECT_EQ(job.variants[0].state, VariantState::kDone);
  EXPECT_EQ(job.variants[1].state, VariantState::kDone);
}

}  // namespace
}  // namespace uaqf::core
