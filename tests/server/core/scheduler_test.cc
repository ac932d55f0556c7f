// The rules of scheduler.h: the way of a job, output lengths, progress, draining.
#include "server/core/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <set>

#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

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

// A report over several models needs them after the worker that knew them has gone.
TEST(Scheduler, KeepsTheSizeAndReleaseOfTheModelWithTheJob) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  WorkerReport report = rig.ReportOf("w");
  report.models[0].parameters = 135'000'000;
  report.models[0].release_format = "Q4_1";
  ModelInfo other = report.models[0];
  other.model = "other";
  other.parameters = 7'000'000'000;
  report.models.push_back(other);
  rig.Report(report);
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->parameters, 0) << "nobody has read it";
  report.sequence = rig.ReportOf("w").sequence;
  report.surveys = {{"j", Survey{10, 0, 0, ""}}};
  rig.Report(report);
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->parameters, 135'000'000);
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->release_format, "Q4_1");
}

TEST(Scheduler, FailsAJobWhoseInputsDoNotFitTheModel) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.AnswerSurvey("w", 5000);
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
        records += static_cast<std::int64_t>(lease.items.size());
      }
      (void)scheduler.TakeEffects({now, 0});
    }
  }
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  RecordProperty("records_per_s", static_cast<int>(records / seconds));
  EXPECT_GT(records / seconds, 20'000);
}

TEST(Scheduler, ScoresArticlesOfTheirOwnSetInWindowsOfTheContext) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.quality.article_set = "articles";
  spec.quality.context_tokens = 512;
  rig.Submit("j", spec, 2);
  rig.Connect("a");
  EXPECT_GE(rig.scheduler().Desired("a", rig.now()).max_sequence_tokens, 512);
  std::vector<std::size_t> items;
  while (rig.State("j") != JobState::kSucceeded) {
    const std::vector<Lease> leases = rig.Leases("a");
    if (leases.empty()) {
      rig.Report(rig.ReportOf("a"));
      continue;
    }
    if (leases[0].kind == ChunkKind::kArticle) {
      EXPECT_EQ(leases[0].prompt_set, "articles");
      EXPECT_EQ(leases[0].context_tokens, 512);
      EXPECT_TRUE(leases[0].output_tokens.empty());
      items.push_back(leases[0].items.size());
    }
    ASSERT_TRUE(rig.CompleteOne("a"));
  }
  EXPECT_EQ(items, (std::vector<std::size_t>{2, 1}));
}

}  // namespace
}  // namespace uaqf::core
