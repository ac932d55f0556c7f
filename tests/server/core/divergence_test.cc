// Comparisons with FP16: who is compared by summaries, what waits for them, and how they grow.
#include "server/core/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "server/core/active_job.h"
#include "server/core/validate.h"
#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

using testing::ElementsAre;

JobSpec Spec(DivergenceMode mode, std::vector<std::string> variants = {"fp16", "rtn-w8", "rtn-w4"}) {
  JobSpec spec = Rig::Spec(std::move(variants));
  spec.quality.text_set = "t";
  spec.quality.context_tokens = 16;
  spec.quality.divergence = true;
  spec.quality.divergence_mode = mode;
  return spec;
}

// Of 100 bytes; fp16 takes 60.
HostingRoom Room() { return {2, 100, {60, 41, 40}}; }

RecordRow Bounded(double lower, double width, std::int32_t positions = 100) {
  RecordRow row;
  row.body = RecordBody::kDivergence;
  row.scored_tokens = positions;
  row.summary_k = 64;
  row.kl_sum = lower * positions;
  row.kl_upper_sum = (lower + width) * positions;
  return row;
}

TEST(Streamed, IsWhatDoesNotFitBesideTheBaseline) {
  EXPECT_THAT(StreamedVariants(Spec(DivergenceMode::kAuto), Room()), ElementsAre(false, true, false));
}

TEST(Streamed, IsNothingWhereTheRoomIsNotKnown) {
  const JobSpec spec = Spec(DivergenceMode::kAuto);
  for (const HostingRoom& room : {HostingRoom{}, HostingRoom{2, 0, {60, 41, 40}}, HostingRoom{2, 100, {0, 0, 0}},
                                  HostingRoom{2, 100, {0, 99, 99}}}) {
    EXPECT_THAT(StreamedVariants(spec, room), ElementsAre(false, false, false));
  }
}

TEST(Streamed, IsWhatWasAskedFor) {
  EXPECT_THAT(StreamedVariants(Spec(DivergenceMode::kExact), Room()), ElementsAre(false, false, false));
  EXPECT_THAT(StreamedVariants(Spec(DivergenceMode::kStreamed), {}), ElementsAre(false, true, true));
}

TEST(Streamed, IsNothingWithoutAComparisonOrABaseline) {
  JobSpec spec = Spec(DivergenceMode::kStreamed);
  spec.quality.divergence = false;
  EXPECT_THAT(StreamedVariants(spec, Room()), ElementsAre(false, false, false));
  EXPECT_THAT(StreamedVariants(Spec(DivergenceMode::kAuto, {"rtn-w8", "rtn-w4"}), {1, 10, {9, 9}}),
              ElementsAre(false, false));
}

TEST(SummaryK, GrowsByFourToTheGreatestThatAWindowHolds) {
  EXPECT_EQ(FirstSummaryK(2048), 1024);
  EXPECT_EQ(NextSummaryK(1024, 2048), 4096);
  EXPECT_EQ(NextSummaryK(4096, 2048), 16384);
  EXPECT_EQ(NextSummaryK(16384, 2048), 0);
  EXPECT_EQ(NextSummaryK(4096, 32768), 0) << "a window would be too large";
}

TEST(SummaryK, IsNeverBelowTheAgreementAndNeverBeyondAWindow) {
  for (std::int32_t context = 2; context <= 1 << 20; context *= 2) {
    EXPECT_GE(FirstSummaryK(context), kLeastSummaryK);
    EXPECT_LE(SummaryBytes(FirstSummaryK(context), context), kMostSummaryBytes) << context;
  }
}

TEST(TooLoose, IsAWidthAboveBothTolerances) {
  EXPECT_FALSE(TooLoose(Bounded(0.001, 0.009)));
  EXPECT_TRUE(TooLoose(Bounded(0.001, 0.011)));
  EXPECT_FALSE(TooLoose(Bounded(1, 0.04)));
  EXPECT_TRUE(TooLoose(Bounded(1, 0.06)));
}

TEST(TooLoose, IsNothingExactAndNothingThatIsNoNumber) {
  RecordRow exact = Bounded(1, 5);
  exact.summary_k = 0;
  EXPECT_FALSE(TooLoose(exact));
  EXPECT_FALSE(TooLoose(Bounded(std::numeric_limits<double>::quiet_NaN(), 1)));
}

TEST(Plan, SummarizesEachBlockBeforeItIsComparedInTheFirstGroupAlone) {
  const JobSpec spec = Spec(DivergenceMode::kStreamed);
  Survey survey;
  survey.text_windows = kWindowsPerChunk + 1;
  std::vector<std::vector<std::int32_t>> seen;
  for (const Chunk& chunk : MakePlan(spec, 2, survey, {{0, 1}, {0, 2}}, {false, true, false})) {
    if (chunk.kind != ChunkKind::kSummary && chunk.kind != ChunkKind::kDivergence) continue;
    seen.push_back({static_cast<std::int32_t>(chunk.kind), chunk.variant, chunk.group, chunk.first, chunk.summary_k});
  }
  const std::int32_t summary = 7, divergence = 5, k = kFirstSummaryK, next = kWindowsPerChunk;
  EXPECT_THAT(seen, ElementsAre(ElementsAre(summary, 0, 0, 0, k), ElementsAre(divergence, 1, 0, 0, k),
                                ElementsAre(summary, 0, 0, next, k), ElementsAre(divergence, 1, 0, next, k),
                                ElementsAre(divergence, 2, 1, 0, 0), ElementsAre(divergence, 2, 1, next, 0)));
}

TEST(Validate, AStreamedComparisonNeedsTheBaseline) {
  const absl::Status status = ValidateSpec(Spec(DivergenceMode::kStreamed, {"rtn-w8"}), 2, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("add fp16, or choose EXACT"));
}

// Two workers on one device, seven windows in two blocks.
class StreamedJob : public ::testing::Test {
 protected:
  void Begin(std::vector<std::string> variants = {"fp16", "rtn-w8"}) {
    rig_.Submit("j", Spec(DivergenceMode::kStreamed, std::move(variants)), 2);
    for (const char* worker : {"a", "b", "c"}) rig_.Connect(worker);
    for (const char* worker : {"a", "b", "c"}) rig_.Connect(worker);
  }

  // Lets the workers complete what comes, with bounds of that width, until no more comes or `until` is true.
  template <typename Until>
  void Work(double width, Until until) {
    for (int round = 0; round < 400; ++round) {
      bool worked = false;
      for (const char* worker : {"a", "b", "c"}) {
        rig_.Report(rig_.ReportOf(worker));
        const std::vector<Lease> leases = rig_.Leases(worker);
        if (leases.empty()) continue;
        if (until(leases.front())) return;
        worked = true;
        if (fails_(leases.front())) {
          WorkerReport report = rig_.ReportOf(worker);
          report.attempts.front().error = "no room";
          rig_.Report(report);
          continue;
        }
        RecordBatch batch = Rig::Whole(worker, leases.front());
        for (RecordRow& row : batch.records) {
          if (leases.front().summary_k > 0 && leases.front().kind == ChunkKind::kDivergence) {
            row.kl_upper_sum = row.kl_sum + width * row.scored_tokens;
          }
        }
        ASSERT_EQ(rig_.Send(batch).verdict, Verdict::kStored);
      }
      if (!worked) return;
    }
  }
  void WorkToTheEnd(double width) {
    Work(width, [](const Lease&) { return false; });
    EXPECT_EQ(rig_.State("j"), JobState::kSucceeded);
  }

  std::vector<Chunk> Of(ChunkKind kind) {
    std::vector<Chunk> chunks;
    for (const Chunk& chunk : rig_.store().Dump("j").chunks) {
      if (chunk.kind == kind && chunk.state != ChunkState::kSplit) chunks.push_back(chunk);
    }
    return chunks;
  }
  std::int64_t GivenUp(ChunkKind kind) {
    const std::vector<Chunk> chunks = Of(kind);
    return std::count_if(chunks.begin(), chunks.end(),
                         [](const Chunk& chunk) { return chunk.state == ChunkState::kQuarantined; });
  }

  // Attempts that are to fail.
  std::function<bool(const Lease&)> fails_ = [](const Lease&) { return false; };
  Rig rig_;
};

TEST_F(StreamedJob, LeasesAComparisonOnlyBehindItsSummary) {
  Begin();
  std::int32_t summarized = 0;
  Work(0, [&](const Lease& lease) {
    summarized += lease.kind == ChunkKind::kSummary;
    return lease.kind == ChunkKind::kDivergence;
  });
  EXPECT_GT(summarized, 0);
  WorkToTheEnd(0);
  EXPECT_EQ(Of(ChunkKind::kSummary).size(), 2u);
  EXPECT_EQ(Of(ChunkKind::kDivergence).size(), 2u);
}

// Situation: two variants ask for more.
TEST_F(StreamedJob, GrowsEachBlockOnceForAllVariants) {
  Begin({"fp16", "rtn-w8", "rtn-w4"});
  WorkToTheEnd(1);
  EXPECT_EQ(Of(ChunkKind::kSummary).size(), 3u * 2) << "three values of k, two blocks";
  EXPECT_EQ(Of(ChunkKind::kDivergence).size(), 3u * 2 * 2);
}

TEST_F(StreamedJob, GrowsNothingThatIsTight) {
  Begin();
  WorkToTheEnd(0.009);
  EXPECT_EQ(Of(ChunkKind::kDivergence).size(), 2u);
}

// Situation: a second summary is planned, and a loose batch of an open attempt is stored, when the coordinator stops.
TEST_F(StreamedJob, GoesOnGrowingAfterARestart) {
  Begin();
  Work(1, [](const Lease& lease) { return lease.summary_k > kFirstSummaryK; });
  rig_.RestartCoordinator();
  for (const char* worker : {"a", "b", "c"}) rig_.Connect(worker);
  Work(1, [&](const Lease& lease) { return lease.kind == ChunkKind::kDivergence && lease.summary_k > kFirstSummaryK; });
  for (const char* worker : {"a", "b", "c"}) {
    if (rig_.Leases(worker).empty()) continue;
    RecordBatch batch = Rig::Whole(worker, rig_.Leases(worker).front());
    batch.records.resize(1);
    batch.has_end = false;
    batch.records.front().kl_upper_sum += 1000;
    ASSERT_EQ(rig_.Send(batch).verdict, Verdict::kStored);
    const Lease lease = rig_.Leases(worker).front();
    rig_.RestartCoordinator();
    rig_.Connect(worker);
    RecordBatch rest = Rig::Whole(worker, lease);
    rest.sequence = 1;
    rest.records.erase(rest.records.begin());
    ASSERT_EQ(rig_.Send(rest).verdict, Verdict::kStored);
    break;
  }
  EXPECT_EQ(Of(ChunkKind::kSummary).back().summary_k, kMostSummaryK) << "the restarted one knows that it was loose";
  WorkToTheEnd(1);
  EXPECT_EQ(Of(ChunkKind::kSummary).size(), 3u * 2);
  EXPECT_EQ(Of(ChunkKind::kDivergence).size(), 3u * 2);
}

// Situation: the worker that makes the summaries dies, and another takes its place.
TEST_F(StreamedJob, WaitsForASummaryWhoseWorkerWasLost) {
  Begin();
  Work(0, [](const Lease& lease) { return lease.kind == ChunkKind::kSummary; });
  for (const char* worker : {"a", "b", "c"}) rig_.Restart(worker);
  WorkToTheEnd(0);
}

// Situation: FP16's worker can make no summary, and the workers of the others find none.
TEST_F(StreamedJob, LetsWhatWaitsForASummaryThatWasGivenUpFailByItself) {
  Begin();
  fails_ = [](const Lease& lease) { return lease.summary_k > 0; };
  WorkToTheEnd(0);
  EXPECT_EQ(GivenUp(ChunkKind::kSummary), 7) << "each window by itself";
  EXPECT_EQ(GivenUp(ChunkKind::kDivergence), 7);
}

// Situation: FP16's worker cannot make the larger summary. Who asked for it fails; the next variant keeps the bound it
// has, if it asks after that.
TEST_F(StreamedJob, AsksForNoSummaryThatWasGivenUp) {
  Begin({"fp16", "rtn-w8", "rtn-w4"});
  fails_ = [](const Lease& lease) { return lease.summary_k > kFirstSummaryK; };
  WorkToTheEnd(1);
  EXPECT_EQ(GivenUp(ChunkKind::kSummary), 7);
  for (const Chunk& chunk : Of(ChunkKind::kSummary)) EXPECT_LE(chunk.summary_k, 4 * kFirstSummaryK);
}

// Situation: the same, and the loose comparison ends only then.
TEST(Growth, EndsWhereASummaryWasGivenUp) {
  ActiveJob job("j", Spec(DivergenceMode::kStreamed), 2, 0);
  job.survey.text_windows = 5;
  job.SetPlan(MakePlan(job.spec, 2, job.survey, {{0, 1, 2}}, {false, true, true}));
  std::vector<std::int32_t> compared;
  const std::vector<Chunk> plan = job.chunks;
  for (const Chunk& chunk : plan) {
    if (chunk.kind != ChunkKind::kSummary && chunk.kind != ChunkKind::kDivergence) continue;
    job.Lease(chunk.index);
    job.Finish(chunk.index, ChunkState::kDone);
    if (chunk.kind == ChunkKind::kDivergence) compared.push_back(chunk.index);
  }
  const std::vector<Chunk> grown = job.Grow(compared[0]);
  ASSERT_EQ(grown.size(), 2u);
  EXPECT_TRUE(job.WaitsForSummaries());
  job.Lease(grown[0].index);
  job.Finish(grown[0].index, ChunkState::kQuarantined);
  EXPECT_FALSE(job.WaitsForSummaries());
  EXPECT_TRUE(job.Grow(compared[1]).empty());
}

TEST_F(StreamedJob, RefusesARecordOfAnotherK) {
  Begin();
  Work(0, [](const Lease& lease) { return lease.kind == ChunkKind::kDivergence; });
  for (const char* worker : {"a", "b", "c"}) {
    if (rig_.Leases(worker).empty()) continue;
    RecordBatch batch = Rig::Whole(worker, rig_.Leases(worker).front());
    batch.records.front().summary_k = 0;
    const BatchReply reply = rig_.Send(batch);
    EXPECT_EQ(reply.verdict, Verdict::kRejected);
    EXPECT_THAT(reply.reason, testing::HasSubstr("summary_k is 0, expected 1 to 1024"));
    return;
  }
  FAIL() << "nobody compares";
}

// Situation: AUTO, and the device holds one of them at a time.
TEST_F(StreamedJob, IsPlannedWhereTheDeviceDoesNotHoldBoth) {
  rig_.SetMemory(100, 60);
  rig_.Submit("j", Spec(DivergenceMode::kAuto, {"fp16", "rtn-w8"}), 2);
  for (const char* worker : {"a", "b", "c"}) rig_.Connect(worker);
  EXPECT_EQ(Of(ChunkKind::kDivergence).front().summary_k, kFirstSummaryK);
  WorkToTheEnd(0);
}

TEST_F(StreamedJob, IsNotPlannedWhereTheDeviceHoldsBoth) {
  rig_.SetMemory(120, 60);
  rig_.Submit("j", Spec(DivergenceMode::kAuto, {"fp16", "rtn-w8"}), 2);
  for (const char* worker : {"a", "b", "c"}) rig_.Connect(worker);
  EXPECT_EQ(Of(ChunkKind::kDivergence).front().summary_k, 0);
  EXPECT_TRUE(Of(ChunkKind::kSummary).empty());
}

}  // namespace
}  // namespace uaqf::core
