#include "worker/link/board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace uaqf::link {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

v1::Lease MakeLease(int chunk, int64_t epoch = 1, int seconds = 3) {
  v1::Lease lease;
  *lease.mutable_attempt() = ToProto(Attempt{"jobs/a", chunk, epoch});
  lease.mutable_duration()->set_seconds(seconds);
  lease.set_variant("fp16");
  return lease;
}

v1::DesiredState Wanting(std::initializer_list<v1::Lease> leases) {
  v1::DesiredState desired;
  desired.mutable_assignment()->set_model("m");
  desired.mutable_assignment()->set_variant("fp16");
  for (const v1::Lease& lease : leases) *desired.add_leases() = lease;
  return desired;
}

v1::HostedVariant Hosting(v1::VariantState state) {
  v1::HostedVariant hosted;
  hosted.set_model("m");
  hosted.set_variant("fp16");
  hosted.set_state(state);
  return hosted;
}

class BoardTest : public testing::Test {
 protected:
  // Begins the lease that the board offers next.
  Attempt BeginNext() {
    const Task task = board_.WaitForTask();
    const Attempt attempt = FromProto(std::get<v1::Lease>(task).attempt());
    board_.Begin(attempt);
    return attempt;
  }

  int reports_wanted_ = 0;
  Board board_{{"workers/w", "s1", {}, "test"}, [this] { ++reports_wanted_; }};
};

TEST_F(BoardTest, ReportsWhoItIsWithGrowingSequence) {
  const v1::WorkerState first = board_.Report();
  const v1::WorkerState second = board_.Report();
  EXPECT_EQ(first.worker(), "workers/w");
  EXPECT_EQ(first.session(), "s1");
  EXPECT_LT(first.sequence(), second.sequence());
}

TEST_F(BoardTest, SurveysBeforeItHostsAndHostsBeforeItRuns) {
  v1::DesiredState desired = Wanting({MakeLease(0)});
  desired.add_surveys()->set_job("jobs/b");
  board_.Apply(desired, 0);
  EXPECT_EQ(std::get<v1::Survey>(board_.WaitForTask()).job(), "jobs/b");

  v1::SurveyResult result;
  result.set_job("jobs/b");
  board_.SurveyDone(result);
  EXPECT_EQ(std::get<v1::VariantAssignment>(board_.WaitForTask()).variant(), "fp16");

  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  EXPECT_EQ(std::get<v1::Lease>(board_.WaitForTask()).attempt().chunk(), 0);
  EXPECT_EQ(reports_wanted_, 2);
  EXPECT_EQ(board_.Report().surveys_size(), 1);
}

TEST_F(BoardTest, LoadsAgainWhenTheSequenceLengthChanges) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  v1::DesiredState desired = Wanting({MakeLease(0)});
  desired.mutable_assignment()->set_max_sequence_tokens(512);
  board_.Apply(desired, 0);
  EXPECT_EQ(std::get<v1::VariantAssignment>(board_.WaitForTask()).max_sequence_tokens(), 512);
}

TEST_F(BoardTest, RunsNothingUnderAVariantThatFailedToLoad) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_FAILED));
  board_.Apply(Wanting({MakeLease(0)}), 0);
  board_.Stop();
  EXPECT_EQ(board_.WaitForTask().index(), 0u);
}

TEST_F(BoardTest, DropsWhatIsHostedWhenNothingIsAssigned) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply({}, 0);
  EXPECT_TRUE(std::holds_alternative<DropHosted>(board_.WaitForTask()));
}

TEST_F(BoardTest, DoesNotBeginAnAttemptTwice) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0), MakeLease(1)}), 0);
  const Attempt first = BeginNext();
  EXPECT_TRUE(board_.Ended(first));
  // A desired state that crossed the acknowledgement still lists it.
  board_.Settled(first);
  board_.Apply(Wanting({MakeLease(0), MakeLease(1)}), 0);
  EXPECT_EQ(BeginNext().chunk, 1);
}

TEST_F(BoardTest, BeginsTheNextEpochOfAChunkItLost) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0, 1)}), 0);
  board_.Settled(BeginNext());
  board_.Apply(Wanting({MakeLease(0, 2)}), 0);
  EXPECT_EQ(BeginNext().epoch, 2);
}

TEST_F(BoardTest, PausesAtTwoThirdsOfTheLeaseAndGoesOnWhenItIsRenewed) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0)}), 10 * kSecond);
  const Attempt attempt = BeginNext();
  EXPECT_EQ(board_.MayContinue(attempt, 12 * kSecond - 1), Board::Permit::kGo);
  EXPECT_EQ(board_.MayContinue(attempt, 12 * kSecond), Board::Permit::kWait);
  board_.Apply(Wanting({MakeLease(0)}), 12 * kSecond);
  EXPECT_EQ(board_.MayContinue(attempt, 12 * kSecond), Board::Permit::kGo);
}

TEST_F(BoardTest, CancelsTheRunningAttemptThatIsNotListedAnyMore) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0)}), 0);
  const Attempt attempt = BeginNext();
  EXPECT_FALSE(board_.cancelled());
  board_.Apply(Wanting({}), 0);
  EXPECT_TRUE(board_.cancelled());
  EXPECT_EQ(board_.MayContinue(attempt, 0), Board::Permit::kStop);
  board_.Dropped(attempt);
  EXPECT_TRUE(board_.Quiescent());
}

TEST_F(BoardTest, KeepsAnAttemptThatAwaitsItsVerdictAlthoughItIsNotListedAnyMore) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0)}), 0);
  const Attempt attempt = BeginNext();
  board_.RecordMade(attempt);
  EXPECT_TRUE(board_.Ended(attempt));
  board_.Apply(Wanting({}), 0);
  EXPECT_FALSE(board_.Quiescent());
  EXPECT_EQ(board_.Report().attempts(0).records_made(), 1);
  board_.Settled(attempt);
  EXPECT_TRUE(board_.Quiescent());
}

TEST_F(BoardTest, ReportsAFailureUntilTheAttemptIsNotListedAnyMore) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0)}), 0);
  board_.Failed(BeginNext(), "broken");
  EXPECT_EQ(board_.Report().attempts(0).error(), "broken");
  board_.Apply(Wanting({MakeLease(0)}), 0);
  EXPECT_EQ(board_.Report().attempts(0).error(), "broken");
  board_.Apply(Wanting({}), 0);
  EXPECT_EQ(board_.Report().attempts_size(), 0);
}

// Situation: the record stream gives an attempt up while the runner is in the middle of it.
TEST_F(BoardTest, StopsARunningAttemptThatFailedAndStillTellsOfIt) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0)}), 0);
  const Attempt attempt = BeginNext();
  board_.Failed(attempt, "unreadable");
  EXPECT_TRUE(board_.cancelled());
  EXPECT_EQ(board_.MayContinue(attempt, 0), Board::Permit::kStop);
  EXPECT_FALSE(board_.Ended(attempt));
  board_.Dropped(attempt);
  EXPECT_EQ(board_.Report().attempts(0).error(), "unreadable");
}

TEST_F(BoardTest, GivesBackWhatItHasNotBegunWhenItDrains) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  board_.Apply(Wanting({MakeLease(0), MakeLease(1)}), 0);
  EXPECT_EQ(board_.Report().attempts_size(), 2);
  BeginNext();
  board_.Drain();
  const v1::WorkerState report = board_.Report();
  EXPECT_TRUE(report.draining());
  ASSERT_EQ(report.attempts_size(), 1);
  EXPECT_EQ(report.attempts(0).attempt().chunk(), 0);
  EXPECT_FALSE(board_.Quiescent());
}

TEST_F(BoardTest, BeginsNothingWhileTheCoordinatorDrains) {
  board_.SetHosted(Hosting(v1::VARIANT_STATE_READY));
  v1::DesiredState desired = Wanting({MakeLease(0)});
  desired.set_drain(true);
  board_.Apply(desired, 0);
  board_.Stop();
  EXPECT_EQ(board_.WaitForTask().index(), 0u);
}

}  // namespace
}  // namespace uaqf::link
