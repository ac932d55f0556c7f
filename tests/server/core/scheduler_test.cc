// The rules of scheduler.h, one by one.
#include "server/core/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <limits>
#include <set>

#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// Connects workers on one device before the job is planned, so that all are told at once what to host. All are ready
// with it then, but for the one that is still `loading`.
void ConnectTogether(Rig* rig, const std::vector<WorkerId>& ids, const WorkerId& loading = "") {
  for (const WorkerId& id : ids) rig->Report(rig->ReportOf(id));
  WorkerReport report = rig->ReportOf(ids[0]);
  report.surveys = {{"j", Survey{10, 0, 0, ""}}};
  rig->Report(report);
  for (const WorkerId& id : ids) {
    report = rig->ReportOf(id);
    if (id == loading) report.hosted.state = VariantState::kLoading;
    rig->scheduler().OnReport(report, rig->now()).IgnoreError();
  }
  rig->Flush();
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

// --- The way of a job

TEST(Scheduler, CompletesEveryVariantWithOneWorker) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"rtn-w8", "fp16", "rtn-w4"}), 5);
  rig.Connect("w");
  std::vector<std::string> hosted;
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    const std::string variant = rig.scheduler().Desired("w", rig.now()).variant;
    if (hosted.empty() || hosted.back() != variant) hosted.push_back(variant);
    if (!rig.CompleteOne("w")) rig.Report(rig.ReportOf("w"));
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  // One load for each variant, the baseline first.
  EXPECT_THAT(hosted, ElementsAre("fp16", "rtn-w8", "rtn-w4"));
}

TEST(Scheduler, AsksForASurveyBeforeItPlans) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Report(rig.ReportOf("w"));
  const DesiredState desired = rig.scheduler().Desired("w", rig.now());
  ASSERT_EQ(desired.surveys.size(), 1u);
  EXPECT_EQ(desired.surveys[0].job, "j");
  EXPECT_TRUE(desired.variant.empty());
}

// Situation: the one who was asked goes away without an answer.
TEST(Scheduler, AsksAnotherWorkerForTheSurvey) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Report(rig.ReportOf("a"));
  rig.Report(rig.ReportOf("b"));
  ASSERT_EQ(rig.scheduler().Desired("a", rig.now()).surveys.size(), 1u);
  rig.scheduler().OnDisconnect("a", "a/0", rig.now());
  rig.Flush();
  EXPECT_EQ(rig.scheduler().Desired("b", rig.now()).surveys.size(), 1u);
}

TEST(Scheduler, FailsAJobWhoseInputsDoNotFitTheModel) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Report(rig.ReportOf("w"));
  WorkerReport report = rig.ReportOf("w");
  report.surveys = {{"j", Survey{5000, 0, 0, ""}}};
  rig.Report(report);
  EXPECT_EQ(rig.State("j"), JobState::kFailed);
  EXPECT_THAT(rig.effects().ended, ElementsAre("j"));
  EXPECT_THAT(rig.scheduler().Job("j", rig.now())->error, HasSubstr("longest input has 5000 tokens"));
}

TEST(Scheduler, ShowsAnEndedJobUntilTheNextEffects) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 1);
  rig.Connect("w");
  while (rig.CompleteOne("w")) {
  }
  ASSERT_TRUE(rig.scheduler().Job("j", rig.now()).has_value());
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->state, JobState::kSucceeded);
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->progress.records_done, 2);
  rig.Flush();
  EXPECT_FALSE(rig.scheduler().Job("j", rig.now()).has_value());
}

TEST(Scheduler, DropsTheVariantWhenItsJobHasEnded) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 1);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).variant, "fp16");
  ASSERT_TRUE(rig.scheduler().CancelJob("j", rig.now()).ok());
  rig.Flush();
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).variant, "");
  EXPECT_TRUE(rig.Leases("w").empty());
  EXPECT_THAT(rig.effects().workers, ElementsAre("w"));
}

TEST(Scheduler, StoresNothingOfACancelledJob) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Connect("w");
  const Lease lease = rig.Leases("w").at(0);
  ASSERT_TRUE(rig.scheduler().CancelJob("j", rig.now()).ok());
  // In the same turn of the loop, before the cancellation is committed.
  EXPECT_EQ(rig.scheduler().OnBatch(Rig::Whole("w", lease), rig.now()).verdict, Verdict::kLeaseLost);
  rig.Flush();
  EXPECT_EQ(rig.State("j"), JobState::kCancelled);
  EXPECT_TRUE(absl::IsNotFound(rig.scheduler().CancelJob("j", rig.now())));
}

TEST(Scheduler, RunsJobsInTheOrderTheyCame) {
  Rig rig;
  rig.Submit("a", Rig::Spec({"fp16"}), 3);
  rig.Submit("b", Rig::Spec({"fp16"}), 3);
  rig.Connect("w");
  std::vector<JobId> order;
  while (!rig.Leases("w").empty()) {
    order.push_back(rig.Leases("w").at(0).attempt.job);
    rig.CompleteOne("w");
    rig.Connect("w");
  }
  EXPECT_EQ(rig.State("b"), JobState::kSucceeded);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// --- Devices

// Situation: three workers on one device, one variant each.
TEST(Scheduler, LetsOneWorkerAtATimeUseADevice) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8", "rtn-w4"}), 4);
  for (const char* id : {"a", "b", "c"}) rig.Connect(id);
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    int holders = 0;
    for (const char* id : {"a", "b", "c"}) holders += !rig.Leases(id).empty();
    ASSERT_LE(holders, 1);
    for (const char* id : {"a", "b", "c"}) {
      rig.CompleteOne(id);
      rig.Report(rig.ReportOf(id));
    }
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

TEST(Scheduler, UsesTwoDevicesAtOnce) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 4);
  rig.Connect("a", "d0");
  rig.Connect("b", "d1");
  EXPECT_FALSE(rig.Leases("a").empty());
  EXPECT_FALSE(rig.Leases("b").empty());
}

TEST(Scheduler, LeasesInPlanOrderSoThatVariantsTakeTurns) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 6);
  ConnectTogether(&rig, {"a", "b"});
  std::vector<std::int32_t> order;
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    for (const char* id : {"a", "b"}) {
      const std::vector<Lease> leases = rig.Leases(id);
      if (leases.empty()) continue;
      order.push_back(leases[0].attempt.chunk);
      rig.CompleteOne(id);
    }
  }
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(order.size(), 12u);
}

TEST(Scheduler, GivesAWorkerSeveralChunksThatFollowEachOther) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 20);
  rig.Connect("w");
  const std::vector<Lease> leases = rig.Leases("w");
  ASSERT_EQ(leases.size(), 4u);
  for (std::size_t i = 0; i < leases.size(); ++i) EXPECT_EQ(leases[i].attempt.chunk, static_cast<std::int32_t>(i));
  rig.CompleteOne("w");
  EXPECT_EQ(rig.Leases("w").size(), 4u);
}

// Situation: a worker comes late; the variant it shall host would be loaded beside a measurement.
TEST(Scheduler, LoadsNothingBesideATimingAndTimesNothingBesideALoad) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 2);
  rig.Connect("a");
  rig.CompleteOne("a");
  ASSERT_EQ(rig.Leases("a").at(0).kind, ChunkKind::kTiming);
  rig.Report(rig.ReportOf("b"));
  EXPECT_EQ(rig.scheduler().Desired("b", rig.now()).variant, "");
  rig.CompleteOne("a");
  EXPECT_EQ(rig.scheduler().Desired("b", rig.now()).variant, "rtn-w8");

  // b loads: its GENERATION may run when it is ready, and only then a TIMING.
  WorkerReport loading = rig.ReportOf("b");
  loading.hosted.state = VariantState::kLoading;
  rig.Report(loading);
  EXPECT_TRUE(rig.Leases("b").empty());
  rig.Report(rig.ReportOf("b"));
  EXPECT_FALSE(rig.Leases("b").empty());
}

TEST(Scheduler, TimesNothingWhileAnotherWorkerOfTheDeviceLoads) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 2);
  ConnectTogether(&rig, {"a", "b"}, /*loading=*/"b");
  ASSERT_EQ(rig.Leases("a").size(), 1u);
  rig.CompleteOne("a");  // its GENERATION; the TIMING behind it must wait
  EXPECT_TRUE(rig.Leases("a").empty());
  rig.Report(rig.ReportOf("b"));
  EXPECT_FALSE(rig.Leases("b").empty());
}

// Situation: a GPU and a CPU worker serve one coordinator.
TEST(Scheduler, MeasuresAJobOnOneKindOfDevice) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 2);
  rig.Connect("a", "d0");
  WorkerReport gpu = rig.ReportOf("g", "GPU-1");
  gpu.device.backend = "cuda";
  rig.Report(gpu);
  EXPECT_EQ(rig.scheduler().Desired("g", rig.now()).variant, "");
  while (rig.State("j") != JobState::kSucceeded) {
    if (!rig.CompleteOne("a")) rig.Report(rig.ReportOf("a"));
  }
  rig.Submit("k", Rig::Spec({"fp16"}), 2);
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

TEST(Scheduler, AsksForAsMuchCacheAsTheJobNeeds) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.quality.text_set = "t";
  spec.quality.context_tokens = 64;
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).max_sequence_tokens, 64);
}

// Situation: the worker hosts the variant from before, with a cache that is too short for the next job.
TEST(Scheduler, WaitsForALongerCache) {
  Rig rig;
  rig.Submit("a", Rig::Spec({"fp16"}), 1);
  JobSpec longer = Rig::Spec({"fp16"});
  longer.timing.max_output_tokens = 100;
  rig.Submit("b", longer, 1);
  rig.Connect("w");
  WorkerReport before = rig.ReportOf("w");
  const std::int32_t tokens = before.hosted.max_sequence_tokens;
  while (rig.State("a") != JobState::kSucceeded) rig.CompleteOne("w");
  rig.Connect("w");
  ASSERT_EQ(tokens, 14);
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).max_sequence_tokens, 110);
  EXPECT_EQ(rig.Leases("w").at(0).attempt.job, "b");
}

// --- Output lengths

TEST(Scheduler, TimesWithTheBaselinesNaturalLengths) {
  Rig rig;
  JobSpec spec = Rig::Spec({"rtn-w8", "fp16"});
  spec.timing.output_length = OutputLength::kMatched;
  spec.timing.block_prompts = 3;
  rig.Submit("j", spec, 5);
  rig.Connect("a");
  rig.Connect("b");
  std::set<std::vector<std::int32_t>> lengths;
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    for (const char* id : {"a", "b"}) {
      for (const Lease& lease : rig.Leases(id)) {
        if (lease.kind == ChunkKind::kTiming) lengths.insert(lease.output_tokens);
      }
      rig.CompleteOne(id);
    }
  }
  // The rig's natural length of prompt i is i + 1, at most max_output_tokens = 4.
  EXPECT_THAT(lengths, ElementsAre(std::vector<std::int32_t>{1, 2, 3}, std::vector<std::int32_t>{4, 4}));
}

// Situation: fp16 cannot generate for prompt 1: its record says so, or it is quarantined.
TEST(Scheduler, TimesAPromptTheBaselineFailedOnAtFullLength) {
  for (const bool quarantined : {false, true}) {
    Rig rig;
    JobSpec spec = Rig::Spec({"fp16"});
    spec.timing.output_length = OutputLength::kMatched;
    spec.timing.block_prompts = quarantined ? 1 : 2;
    spec.attempt_limit = 1;
    rig.Submit("j", spec, 2);
    rig.Connect("w");
    RecordBatch batch = Rig::Whole("w", rig.Leases("w").at(quarantined ? 1 : 0));
    if (quarantined) {
      batch.records[0].repeat = 9;
      EXPECT_EQ(rig.Send(batch).verdict, Verdict::kRejected);
      EXPECT_TRUE(rig.CompleteOne("w"));
    } else {
      batch.records[1].body = RecordBody::kFailure;
      batch.records[1].failure = "prompt beyond the context";
      EXPECT_EQ(rig.Send(batch).verdict, Verdict::kStored);
    }
    std::vector<std::int32_t> tokens;
    for (const Lease& lease : rig.Leases("w")) {
      ASSERT_EQ(lease.kind, ChunkKind::kTiming);
      tokens.insert(tokens.end(), lease.output_tokens.begin(), lease.output_tokens.end());
    }
    EXPECT_THAT(tokens, UnorderedElementsAre(1, 4)) << quarantined;
    EXPECT_EQ(rig.store().Dump("j").variants[0].tally.records_quarantined, 1);
  }
}

// Situation: MATCHED, and the coordinator restarts between the baseline's generation and the timing.
TEST(Scheduler, KnowsTheLengthsAfterARestart) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.timing.output_length = OutputLength::kMatched;
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  rig.CompleteOne("w");
  rig.RestartCoordinator();
  rig.Connect("w");
  EXPECT_EQ(rig.Leases("w").at(0).output_tokens, (std::vector<std::int32_t>{1, 2}));
}

// --- Failure

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
        lease.kind == ChunkKind::kGeneration && lease.first_item <= 5 && 5 < lease.first_item + lease.item_count;
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
  rig.Report(rig.ReportOf("w"));
  WorkerReport report = rig.ReportOf("w");
  report.surveys = {{"j", Survey{10, 0, 0, ""}}};
  rig.Report(report);
  report = rig.ReportOf("w");
  report.hosted.state = VariantState::kFailed;
  report.hosted.error = "no memory";
  rig.Report(report);
  EXPECT_EQ(rig.State("j"), JobState::kFailed);
  EXPECT_THAT(rig.scheduler().Job("j", rig.now())->error, HasSubstr("fp16: no memory"));
}

TEST(Scheduler, FailsAMatchedJobWithoutItsBaseline) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8"});
  spec.timing.output_length = OutputLength::kMatched;
  rig.Submit("j", spec, 2);
  rig.Report(rig.ReportOf("w"));
  WorkerReport report = rig.ReportOf("w");
  report.surveys = {{"j", Survey{10, 0, 0, ""}}};
  rig.Report(report);
  report = rig.ReportOf("w");
  report.hosted.state = VariantState::kFailed;
  report.hosted.error = "no memory";
  rig.Report(report);
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

// --- Progress and draining

TEST(Scheduler, ShowsProgressWithMeansAndRate) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.quality.text_set = "t";
  spec.quality.context_tokens = 11;
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->progress.current, "fp16 generation");
  rig.CompleteOne("w");
  rig.CompleteOne("w");
  rig.CompleteOne("w");
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->progress.current, "fp16 repeat 1");
  const JobProgress progress = rig.scheduler().Job("j", rig.now())->progress;
  EXPECT_EQ(progress.records_done, 9);
  EXPECT_EQ(progress.records_total, 11);
  EXPECT_DOUBLE_EQ(progress.records_per_s, 9);
  EXPECT_EQ(progress.remaining_ns, 2 * kSecond / 9);
  EXPECT_DOUBLE_EQ(progress.variants[0].nll.value(), 2.0);
  EXPECT_FALSE(progress.variants[0].latency_s.has_value());
}

TEST(Scheduler, GrantsNothingWhileItDrains) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 20);
  rig.Connect("w");
  rig.scheduler().SetDraining(true, rig.now());
  rig.Flush();
  ASSERT_EQ(rig.Leases("w").size(), 4u);
  while (rig.CompleteOne("w")) {
  }
  EXPECT_EQ(rig.ChunkOf("j", 3).state, ChunkState::kDone);
  EXPECT_EQ(rig.ChunkOf("j", 4).state, ChunkState::kPending);
  EXPECT_TRUE(rig.scheduler().Desired("w", rig.now()).drain);
}

TEST(Scheduler, WantsToHearOfAWorkerSixTimesInALease) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.lease_ns = kSecond;
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).next_report_ns, kSecond / 6);
}

TEST(Scheduler, RefusesAReportWithoutWorkerSessionOrDevice) {
  for (int missing = 0; missing < 3; ++missing) {
    Rig rig;
    WorkerReport report = rig.ReportOf("w");
    if (missing == 0) report.worker.clear();
    if (missing == 1) report.session.clear();
    if (missing == 2) report.device.id.clear();
    EXPECT_TRUE(absl::IsInvalidArgument(rig.scheduler().OnReport(report, rig.now()))) << missing;
  }
}

TEST(Scheduler, WaitsForNothingWhenNothingCanHappen) {
  EXPECT_EQ(Scheduler().NextDeadline(), std::numeric_limits<std::int64_t>::max());
}

// Situation: a million records; each event must cost the same as in a small job.
TEST(Scheduler, KeepsUpWithTenThousandRecordsASecondInALargeJob) {
  SchedulerOptions options;
  Scheduler scheduler(options);
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8", "rtn-w4"});
  spec.timing.block_prompts = 10;
  spec.timing.repeats = 30;
  scheduler.AddJob("j", spec, 10'000, {0, 0});
  Rig rig;  // only for its reports
  std::int64_t now = kSecond;
  auto report = [&](const WorkerId& id, bool survey) {
    WorkerReport r = rig.ReportOf(id, absl::StrCat("d-", id));
    const DesiredState desired = scheduler.Desired(id, {now, 0});
    if (!desired.variant.empty()) {
      r.hosted = {desired.model, desired.variant, VariantState::kReady, "", desired.max_sequence_tokens};
    }
    if (survey) r.surveys = {{"j", Survey{10, 0, 0, ""}}};
    ASSERT_TRUE(scheduler.OnReport(r, {now, 0}).ok());
    (void)scheduler.TakeEffects({now, 0});
  };
  for (const char* id : {"a", "b", "c"}) report(id, false);
  report("a", true);
  for (const char* id : {"a", "b", "c"}) report(id, false);
  const std::clock_t begin = std::clock();  // processor time: others may use the machine
  std::int64_t records = 0;
  while (records < 100'000) {
    for (const char* id : {"a", "b", "c"}) {
      for (const Lease& lease : scheduler.Desired(id, {now, 0}).leases) {
        ASSERT_EQ(scheduler.OnBatch(Rig::Whole(id, lease), {now, 0}).verdict, Verdict::kStored);
        records += lease.item_count;
      }
      (void)scheduler.TakeEffects({now, 0});
    }
  }
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  RecordProperty("records_per_s", static_cast<int>(records / seconds));
  EXPECT_GT(records / seconds, 20'000);
}

}  // namespace
}  // namespace uaqf::core
