// The rules of scheduler.h: leases that fail, expire, are given back or tainted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "server/core/scheduler.h"
#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

using ::testing::HasSubstr;

// The worker answers the survey, and then cannot host what it is told to.
void FailTheFirstLoad(Rig* rig, const WorkerId& id) {
  rig->AnswerSurvey(id);
  WorkerReport report = rig->ReportOf(id);
  report.hosted.state = VariantState::kFailed;
  report.hosted.error = "no memory";
  rig->Report(report);
}

// A report in which the worker gives up one chunk.
WorkerReport Giving(Rig* rig, const WorkerId& id, std::int32_t chunk) {
  WorkerReport report = rig->ReportOf(id);
  for (AttemptProgress& attempt : report.attempts) {
    if (attempt.attempt.chunk == chunk) attempt.error = "out of memory";
  }
  return report;
}

bool Holds(Rig* rig, const WorkerId& id, std::int32_t chunk) {
  const std::vector<Lease> leases = rig->Leases(id);
  return std::any_of(leases.begin(), leases.end(), [&](const Lease& lease) { return lease.attempt.chunk == chunk; });
}

TEST(Scheduler, RetriesAFailedChunkOnAnotherWorker) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Connect("a");
  rig.Report(Giving(&rig, "a", 0));
  EXPECT_TRUE(Holds(&rig, "a", 0));  // nobody else is there: the same worker again
  rig.Connect("b");
  rig.Report(Giving(&rig, "a", 0));
  EXPECT_FALSE(Holds(&rig, "a", 0));
  rig.CompleteOne("a");  // its TIMING, beside which b must not load
  rig.Connect("b");
  EXPECT_TRUE(Holds(&rig, "b", 0));
}

TEST(Scheduler, SplitsThenQuarantinesWhatKeepsFailing) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.timing.block_prompts = 8;
  rig.Submit("j", spec, 8);
  rig.Connect("w");
  int failures = 0;
  for (int i = 0; i < 200 && rig.State("j") == JobState::kRunning; ++i) {
    const Lease lease = rig.Leases("w").at(0);
    const bool poisoned =
        lease.kind == ChunkKind::kGeneration && std::count(lease.items.begin(), lease.items.end(), 5) > 0;
    if (!poisoned) {
      rig.CompleteOne("w");
      continue;
    }
    ++failures;
    WorkerReport report = rig.ReportOf("w");
    report.attempts[0].error = "prompt 5 is poison";
    rig.Report(report);
  }
  ASSERT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_EQ(failures, 3 + 3);  // attempt_limit on the whole, one for each halving of 8
  const JobDump dump = rig.store().Dump("j");
  EXPECT_EQ(dump.variants[0].tally.records_quarantined, 1);
  EXPECT_EQ(dump.variants[0].tally.records_done, 15);
  int quarantined = 0;
  for (const Chunk& chunk : dump.chunks) {
    if (chunk.state != ChunkState::kQuarantined) continue;
    ++quarantined;
    EXPECT_EQ(chunk.first, 5);
    EXPECT_EQ(chunk.count, 1);
  }
  EXPECT_EQ(quarantined, 1);
}

TEST(Scheduler, ChargesOnlyTheAttemptThatRanWhenAWorkerDies) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 20);
  rig.Connect("w");
  ASSERT_EQ(rig.Leases("w").size(), 4u);
  rig.Restart("w");
  EXPECT_EQ(rig.ChunkOf("j", 0).failures, 1);
  for (std::int32_t chunk = 1; chunk < 4; ++chunk) EXPECT_EQ(rig.ChunkOf("j", chunk).failures, 0) << chunk;
}

TEST(Scheduler, TakesBackWithoutChargeWhatADrainingWorkerHasNotBegun) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 20);
  rig.Connect("w");
  WorkerReport report = rig.ReportOf("w");
  report.attempts.resize(1);
  report.draining = true;
  rig.Report(report);
  ASSERT_EQ(rig.Leases("w").size(), 1u);
  EXPECT_EQ(rig.ChunkOf("j", 1).state, ChunkState::kPending);
  EXPECT_EQ(rig.ChunkOf("j", 1).failures, 0);
  EXPECT_EQ(rig.Send(Rig::Whole("w", rig.Leases("w").at(0))).verdict, Verdict::kStored);
  EXPECT_TRUE(rig.Leases("w").empty());
}

TEST(Scheduler, RejectsABatchThatContradictsItself) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Connect("w");
  const Lease lease = rig.Leases("w").at(0);
  RecordBatch batch = Rig::Whole("w", lease);
  batch.contradiction = "the variant takes no memory";
  const BatchReply reply = rig.Send(batch);
  EXPECT_EQ(reply.verdict, Verdict::kRejected);
  EXPECT_EQ(reply.reason, "the variant takes no memory");
  EXPECT_EQ(rig.ChunkOf("j", lease.attempt.chunk).failures, 1);
}

TEST(Scheduler, RejectsAWindowThatScoredMoreOrFewerTokensThanItHas) {
  for (const std::int32_t off : {-9, -1, 1, INT32_MAX - 11}) {
    Rig rig;
    JobSpec spec = Rig::Spec({"fp16"});
    spec.quality.text_set = "t";
    spec.quality.context_tokens = 11;
    rig.Submit("j", spec, 2);
    rig.Connect("w");
    ASSERT_TRUE(rig.CompleteOne("w"));
    const Lease lease = rig.Leases("w").at(0);
    ASSERT_EQ(lease.kind, ChunkKind::kPerplexity);
    RecordBatch batch = Rig::Whole("w", lease);
    batch.records.back().scored_tokens += off;
    const BatchReply reply = rig.Send(batch);
    EXPECT_EQ(reply.verdict, Verdict::kRejected) << off;
    EXPECT_THAT(reply.reason, HasSubstr("expected exactly 10"));
  }
}

// Situation: a sick worker and a well one on two devices.
TEST(Scheduler, BenchesAWorkerWhoseFailuresOthersComplete) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 20);
  rig.Connect("sick", "d0");
  rig.Connect("well", "d1");
  for (int i = 0; i < 200 && rig.State("j") == JobState::kRunning; ++i) {
    if (!rig.Leases("sick").empty()) rig.Restart("sick", "d0");
    rig.Report(rig.ReportOf("well", "d1"));
    rig.CompleteOne("well");
  }
  ASSERT_EQ(rig.State("j"), JobState::kSucceeded);
  const std::vector<WorkerView> workers = rig.scheduler().Workers();
  EXPECT_TRUE(workers.at(0).benched);
  EXPECT_FALSE(workers.at(1).benched);
  EXPECT_EQ(rig.store().Dump("j").variants[0].tally.records_quarantined, 0);
  rig.Submit("k", Rig::Spec({"fp16"}), 2);
  rig.Report(rig.ReportOf("sick", "d0"));
  EXPECT_TRUE(rig.scheduler().Desired("sick", rig.now()).surveys.empty());
}

// Situation: the worker holds leases at the moment it is benched, and goes on reporting them.
TEST(Scheduler, TakesBackTheLeasesOfABenchedWorker) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.attempt_limit = 100;
  rig.Submit("j", spec, 40);
  rig.Connect("sick", "d0");
  rig.Connect("well", "d1");
  for (int i = 0; i < 3; ++i) rig.Restart("sick", "d0");
  ASSERT_FALSE(rig.Leases("sick").empty());
  for (int i = 0; i < 100 && rig.State("j") == JobState::kRunning; ++i) {
    rig.Report(rig.ReportOf("sick", "d0"));
    rig.Report(rig.ReportOf("well", "d1"));
    rig.CompleteOne("well");
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_TRUE(rig.scheduler().Workers().at(0).benched);
}

// Situation: a device is lost under a worker that had loaded its variant.
TEST(Scheduler, TakesBackTheLeasesOfAWorkerThatCanHostItsVariantNoMore) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 4);
  rig.Connect("a");
  ASSERT_FALSE(rig.Leases("a").empty());
  WorkerReport report = rig.ReportOf("a");
  report.hosted.state = VariantState::kFailed;
  report.hosted.error = "the device is lost";
  rig.Connect("b");
  rig.Report(report);
  rig.Connect("b");
  EXPECT_TRUE(rig.Leases("a").empty());
  EXPECT_FALSE(rig.Leases("b").empty());
  EXPECT_EQ(rig.ChunkOf("j", 0).failures, 0);
}

// Situation: a worker is killed now and then, but completes chunks in between.
TEST(Scheduler, DoesNotBenchAWorkerThatSucceedsInBetween) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.attempt_limit = 100;
  rig.Submit("j", spec, 60);
  rig.Connect("a", "d0");
  rig.Connect("b", "d1");
  for (int i = 0; i < 300 && rig.State("j") == JobState::kRunning; ++i) {
    rig.CompleteOne("a");
    if (i % 2 == 0) rig.Restart("a", "d0");
    rig.Report(rig.ReportOf("b", "d1"));
    rig.CompleteOne("b");
  }
  ASSERT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_FALSE(rig.scheduler().Workers().at(0).benched);
}

TEST(Scheduler, GoesOnWithoutAVariantThatCannotBeHosted) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 2);
  rig.Connect("w");
  for (int i = 0; i < 20 && rig.State("j") == JobState::kRunning; ++i) {
    if (rig.CompleteOne("w")) continue;
    WorkerReport report = rig.ReportOf("w");
    if (report.hosted.variant == "rtn-w8") {
      report.hosted.state = VariantState::kFailed;
      report.hosted.error = "no memory";
    }
    rig.Report(report);
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  const JobDump dump = rig.store().Dump("j");
  EXPECT_EQ(dump.variants[0].state, VariantState::kDone);
  EXPECT_EQ(dump.variants[1].state, VariantState::kFailed);
  EXPECT_EQ(dump.variants[1].error, "no memory");
}

TEST(Scheduler, FailsAJobOfWhichNothingCanBeHosted) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  FailTheFirstLoad(&rig, "w");
  EXPECT_EQ(rig.State("j"), JobState::kFailed);
  EXPECT_THAT(rig.scheduler().Job("j", rig.now())->error, HasSubstr("fp16: no memory"));
}

TEST(Scheduler, FailsAMatchedJobWithoutItsBaseline) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8"});
  spec.timing.output_length = OutputLength::kMatched;
  rig.Submit("j", spec, 2);
  FailTheFirstLoad(&rig, "w");
  EXPECT_EQ(rig.State("j"), JobState::kFailed);
  EXPECT_THAT(rig.scheduler().Job("j", rig.now())->error, HasSubstr("MATCHED timing needs its output lengths"));
}

// --- Taint

TEST(Scheduler, RunsATaintedTimingAgainTwiceThenKeepsAndFlagsIt) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Connect("w");
  rig.CompleteOne("w");
  for (std::int64_t epoch = 1; epoch <= 3; ++epoch) {
    const Lease lease = rig.Leases("w").at(0);
    ASSERT_EQ(lease.kind, ChunkKind::kTiming);
    ASSERT_EQ(lease.attempt.epoch, epoch);
    RecordBatch batch = Rig::Whole("w", lease);
    batch.end.evidence.taints = {"foreign load"};
    ASSERT_EQ(rig.Send(batch).verdict, Verdict::kStored);
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_TRUE(rig.ChunkOf("j", 1).flagged);
  EXPECT_EQ(rig.ChunkOf("j", 1).failures, 0);
  EXPECT_EQ(rig.store().Dump("j").variants[0].tally.attempts_tainted, 2);
}

TEST(Scheduler, KeepsAQualityChunkWhateverTheLoadBesideIt) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Connect("w");
  RecordBatch batch = Rig::Whole("w", rig.Leases("w").at(0));
  batch.end.evidence.taints = {"foreign load"};
  rig.Send(batch);
  EXPECT_EQ(rig.ChunkOf("j", 0).state, ChunkState::kDone);
  EXPECT_FALSE(rig.ChunkOf("j", 0).flagged);
}

}  // namespace
}  // namespace uaqf::core
