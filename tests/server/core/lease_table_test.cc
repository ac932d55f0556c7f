// Leases: their clock, their epochs, and every answer a batch can get.
#include <gtest/gtest.h>

#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

class LeaseTable : public ::testing::Test {
 protected:
  void SetUp() override {
    rig_.Submit("j", Rig::Spec({"fp16"}), 2);
    rig_.Connect("w");
    lease_ = rig_.Leases("w").at(0);
  }

  Rig rig_;
  Lease lease_;
};

// Situation: nothing is heard for the whole lease.
TEST_F(LeaseTable, HoldsALeaseUntilOneNanosecondBeforeItsEnd) {
  const std::int64_t end = rig_.now().mono_ns + lease_.remaining_ns;
  rig_.SetNow(end - 1);
  rig_.Advance(0);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kLeased);
  rig_.Advance(1);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kPending);
}

TEST_F(LeaseTable, SaysWhenItWantsToBeWokenForTheNextExpiry) {
  EXPECT_EQ(rig_.scheduler().NextDeadline(), rig_.now().mono_ns + lease_.remaining_ns);
}

// Situation: no tick came between the end of the lease and the batch.
TEST_F(LeaseTable, RejectsResultFromExpiredLeaseEvenBeforeATick) {
  rig_.SetNow(rig_.now().mono_ns + lease_.remaining_ns);
  EXPECT_EQ(rig_.Send(Rig::Whole("w", lease_)).verdict, Verdict::kLeaseLost);
}

TEST_F(LeaseTable, TakesResultInTheLastNanosecond) {
  rig_.SetNow(rig_.now().mono_ns + lease_.remaining_ns - 1);
  EXPECT_EQ(rig_.Send(Rig::Whole("w", lease_)).verdict, Verdict::kStored);
}

TEST_F(LeaseTable, IgnoresASteppedWallClock) {
  rig_.SetWall(rig_.now().wall_ns + 3600 * kSecond);
  rig_.Advance(kSecond);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kLeased);
  rig_.SetWall(rig_.now().wall_ns - 7200 * kSecond);
  rig_.Advance(lease_.remaining_ns - kSecond);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kPending);
}

TEST_F(LeaseTable, ExtendsALeaseWhileTheWorkerReportsItsAttempt) {
  for (int beat = 0; beat < 10; ++beat) {
    rig_.Advance(lease_.remaining_ns - 1);
    rig_.Report(rig_.ReportOf("w"));
  }
  EXPECT_EQ(rig_.ChunkOf("j", 0).epoch, 1);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kLeased);
}

// Situation: the worker is alive, but does not know of the lease or dropped it.
TEST_F(LeaseTable, DoesNotExtendALeaseThatTheWorkerDoesNotReport) {
  rig_.Advance(lease_.remaining_ns - 1);
  WorkerReport report = rig_.ReportOf("w");
  report.attempts.clear();
  rig_.Report(report);
  rig_.Advance(1);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kPending);
}

TEST_F(LeaseTable, GivesEachLeaseOfAChunkAHigherEpoch) {
  for (std::int64_t epoch = 1; epoch <= 2; ++epoch) {
    EXPECT_EQ(rig_.Leases("w").at(0).attempt.epoch, epoch);
    rig_.Advance(rig_.Leases("w").at(0).remaining_ns);
    rig_.Connect("w");
  }
  EXPECT_EQ(rig_.Leases("w").at(0).attempt.epoch, 3);
}

TEST_F(LeaseTable, GivesNoLeaseToASilentWorkerUntilItReports) {
  rig_.Advance(lease_.remaining_ns);
  EXPECT_TRUE(rig_.Leases("w").empty());
  rig_.Report(rig_.ReportOf("w"));
  EXPECT_FALSE(rig_.Leases("w").empty());
}

// Situation: SIGSTOP past the lease; another worker finishes; SIGCONT.
TEST_F(LeaseTable, RefusesAStaleWorkerAndKeepsWhatTheOtherStored) {
  rig_.Advance(lease_.remaining_ns);
  rig_.Connect("other");
  ASSERT_EQ(rig_.Leases("other").at(0).attempt.chunk, lease_.attempt.chunk);
  while (rig_.CompleteOne("other")) {
  }
  ASSERT_EQ(rig_.State("j"), JobState::kSucceeded);
  EXPECT_EQ(rig_.Send(Rig::Whole("w", lease_)).verdict, Verdict::kLeaseLost);
  EXPECT_TRUE(rig_.effects().mutations.empty());
}

// Situation: an acknowledgement was lost and the worker sends again.
TEST_F(LeaseTable, StoresARepeatedBatchOnce) {
  EXPECT_EQ(rig_.Send(Rig::Whole("w", lease_)).verdict, Verdict::kStored);
  EXPECT_EQ(rig_.Send(Rig::Whole("w", lease_)).verdict, Verdict::kStored);
  EXPECT_TRUE(rig_.effects().mutations.empty());
}

TEST_F(LeaseTable, AsksForBatchesThatAreMissing) {
  RecordBatch batch = Rig::Whole("w", lease_);
  batch.sequence = 1;
  EXPECT_EQ(rig_.Send(batch).verdict, Verdict::kGap);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kLeased);
}

TEST_F(LeaseTable, RefusesABatchOfAnotherWorker) {
  rig_.Connect("other");
  EXPECT_EQ(rig_.Send(Rig::Whole("other", lease_)).verdict, Verdict::kLeaseLost);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kLeased);
}

TEST_F(LeaseTable, RefusesBatchesOfUnknownJobsAndChunks) {
  RecordBatch batch = Rig::Whole("w", lease_);
  batch.attempt.job = "nope";
  EXPECT_EQ(rig_.Send(batch).verdict, Verdict::kLeaseLost);
  for (std::int32_t chunk : {-1, 1000, INT32_MAX, INT32_MIN}) {
    batch.attempt = {"j", chunk, 1};
    EXPECT_EQ(rig_.Send(batch).verdict, Verdict::kLeaseLost) << chunk;
  }
}

// Situation: the coordinator was killed and started again while a worker computes.
TEST_F(LeaseTable, GivesEveryLeaseOneFullGracePeriodAfterARestart) {
  rig_.Advance(lease_.remaining_ns - 1);
  rig_.RestartCoordinator();
  rig_.Advance(rig_.Spec({}).lease_ns - 1);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kLeased);
  EXPECT_EQ(rig_.Send(Rig::Whole("w", lease_)).verdict, Verdict::kStored);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kDone);
}

TEST_F(LeaseTable, ContinuesAHalfSentAttemptAfterARestart) {
  RecordBatch first = Rig::Whole("w", lease_);
  first.records.pop_back();
  first.has_end = false;
  ASSERT_EQ(rig_.Send(first).verdict, Verdict::kStored);
  rig_.RestartCoordinator();
  EXPECT_EQ(rig_.Send(first).verdict, Verdict::kStored);
  RecordBatch second = Rig::Whole("w", lease_);
  second.records.erase(second.records.begin());
  second.sequence = 1;
  EXPECT_EQ(rig_.Send(second).verdict, Verdict::kStored);
  EXPECT_EQ(rig_.ChunkOf("j", 0).state, ChunkState::kDone);
  EXPECT_EQ(rig_.store().Dump("j").variants[0].tally.records_done, 2);
}

// Situation: one device, two workers; the one with the lease has not come back after the restart of the coordinator.
TEST_F(LeaseTable, KeepsADeviceForItsLeaseAcrossARestart) {
  rig_.RestartCoordinator();
  rig_.Connect("other");
  EXPECT_TRUE(rig_.Leases("other").empty());
  rig_.Advance(rig_.Spec({}).lease_ns);
  rig_.Report(rig_.ReportOf("other"));
  EXPECT_FALSE(rig_.Leases("other").empty());
}

TEST_F(LeaseTable, TakesBackTheLeasesOfAProcessThatWasReplaced) {
  rig_.Restart("w");
  EXPECT_EQ(rig_.ChunkOf("j", 0).failures, 1);
  EXPECT_EQ(rig_.Leases("w").at(0).attempt.epoch, 2);
}

TEST_F(LeaseTable, RefusesTheReportsOfAReplacedSession) {
  const WorkerReport old = rig_.ReportOf("w");
  rig_.Restart("w");
  EXPECT_TRUE(absl::IsAborted(rig_.scheduler().OnReport(old, rig_.now())));
}

TEST_F(LeaseTable, IgnoresReportsThatWereOvertaken) {
  WorkerReport late = rig_.ReportOf("w");
  late.hosted = HostedVariant{};
  rig_.Report(rig_.ReportOf("w"));
  rig_.Report(late);
  EXPECT_EQ(rig_.scheduler().Workers().at(0).hosted.variant, "fp16");
}

// Every way in which records can contradict their lease.
TEST_F(LeaseTable, RejectsRecordsThatContradictTheLease) {
  struct Case {
    const char* name;
    void (*spoil)(RecordBatch*);
    const char* reason;
  };
  const Case cases[] = {
      {"outside", [](RecordBatch* b) { b->records[0].item = 7; }, "item 7 is outside the lease, expected one of 0, 1"},
      {"negative", [](RecordBatch* b) { b->records[0].item = -1; }, "item -1 is outside"},
      {"twice", [](RecordBatch* b) { b->records[1].item = 0; }, "item 0 came twice"},
      {"repeat", [](RecordBatch* b) { b->records[0].repeat = 1; }, "repeat is 1, expected 0"},
      {"body", [](RecordBatch* b) { b->records[0].body = RecordBody::kWindow; }, "not a generation record"},
      {"few", [](RecordBatch* b) { b->records.pop_back(); }, "the end says 2 records, 1 came, expected 2"},
      {"count", [](RecordBatch* b) { b->end.record_count = 3; }, "the end says 3 records, 2 came, expected 2"},
      {"tokens", [](RecordBatch* b) { b->records[0].output_tokens = -1; }, "emitted -1 tokens"},
      {"empty failure", [](RecordBatch* b) { b->records[0].body = RecordBody::kFailure; }, "without a reason"},
  };
  for (const Case& c : cases) {
    Rig rig;
    rig.Submit("j", Rig::Spec({"fp16"}), 2);
    rig.Connect("w");
    RecordBatch batch = Rig::Whole("w", rig.Leases("w").at(0));
    c.spoil(&batch);
    const BatchReply reply = rig.Send(batch);
    EXPECT_EQ(reply.verdict, Verdict::kRejected) << c.name;
    EXPECT_NE(reply.reason.find(c.reason), std::string::npos) << c.name << ": " << reply.reason;
    EXPECT_EQ(rig.ChunkOf("j", 0).failures, 1) << c.name;
  }
}

TEST_F(LeaseTable, RejectsATimingOfAnotherLengthThanAsked) {
  ASSERT_TRUE(rig_.CompleteOne("w"));
  const Lease timing = rig_.Leases("w").at(0);
  ASSERT_EQ(timing.kind, ChunkKind::kTiming);
  ASSERT_EQ(timing.output_tokens, (std::vector<std::int32_t>{4, 4}));
  RecordBatch batch = Rig::Whole("w", timing);
  batch.records[1].output_tokens = 3;
  EXPECT_EQ(rig_.Send(batch).reason, "item 1: emitted 3 tokens, expected exactly 4");
}

// Every state a chunk can be in against a batch of an older, the same, and a newer epoch.
TEST(LeaseStates, AnswerEveryPairOfStateAndEpoch) {
  struct Case {
    ChunkState state;
    std::int64_t epoch_delta;
    Verdict expected;
  };
  const Case cases[] = {
      {ChunkState::kPending, -1, Verdict::kLeaseLost},    {ChunkState::kPending, 0, Verdict::kLeaseLost},
      {ChunkState::kPending, 1, Verdict::kLeaseLost},     {ChunkState::kLeased, -1, Verdict::kLeaseLost},
      {ChunkState::kLeased, 0, Verdict::kStored},         {ChunkState::kLeased, 1, Verdict::kLeaseLost},
      {ChunkState::kDone, -1, Verdict::kLeaseLost},       {ChunkState::kDone, 0, Verdict::kStored},
      {ChunkState::kDone, 1, Verdict::kLeaseLost},        {ChunkState::kQuarantined, -1, Verdict::kLeaseLost},
      {ChunkState::kQuarantined, 0, Verdict::kLeaseLost}, {ChunkState::kQuarantined, 1, Verdict::kLeaseLost},
      {ChunkState::kSplit, -1, Verdict::kLeaseLost},      {ChunkState::kSplit, 0, Verdict::kLeaseLost},
      {ChunkState::kSplit, 1, Verdict::kLeaseLost},       {ChunkState::kAbandoned, -1, Verdict::kLeaseLost},
      {ChunkState::kAbandoned, 0, Verdict::kLeaseLost},   {ChunkState::kAbandoned, 1, Verdict::kLeaseLost},
  };
  for (const Case& c : cases) {
    JobSnapshot job;
    job.id = "j";
    job.spec = Rig::Spec({"fp16"});
    job.state = JobState::kRunning;
    job.planned = true;
    job.prompt_count = 2;
    job.variants.resize(1);
    Chunk chunk;
    chunk.kind = ChunkKind::kGeneration;
    chunk.count = 2;
    chunk.state = c.state;
    chunk.epoch = 3;
    Chunk other = chunk;  // keeps the job open
    other.index = other.position = 1;
    other.kind = ChunkKind::kTiming;
    other.state = ChunkState::kPending;
    job.chunks = {chunk, other};
    if (c.state == ChunkState::kLeased) {
      OpenAttempt attempt;
      attempt.epoch = 3;
      attempt.worker = "w";
      attempt.device = "d0";
      job.attempts = {attempt};
    }
    Scheduler scheduler;
    Snapshot snapshot;
    snapshot.jobs = {job};
    scheduler.Restore(snapshot, {kSecond, 0});
    Lease lease;
    lease.attempt = {"j", 0, 3 + c.epoch_delta};
    lease.kind = ChunkKind::kGeneration;
    lease.items = {0, 1};
    const BatchReply reply = scheduler.OnBatch(Rig::Whole("w", lease), {2 * kSecond, 0});
    EXPECT_EQ(reply.verdict, c.expected) << static_cast<int>(c.state) << " " << c.epoch_delta;
    const bool writes = c.state == ChunkState::kLeased && c.epoch_delta == 0;
    EXPECT_EQ(!scheduler.TakeEffects({2 * kSecond, 0}).mutations.empty(), writes);
  }
}

}  // namespace
}  // namespace uaqf::core
