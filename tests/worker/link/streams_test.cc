// Records and Session by themselves: nothing leaves while an item is measured.
#include <gtest/gtest.h>

#include <memory>

#include "absl/time/clock.h"
#include "proto/wire/channel.h"
#include "tests/worker/link/fake_worker_port.h"
#include "worker/link/records.h"
#include "worker/link/session.h"
#include "worker/measure/clock.h"

namespace uaqf::link {
namespace {

class StreamsTest : public testing::Test {
 protected:
  StreamsTest() {
    wire::Security security;
    security.insecure_dev = true;
    channel_ = *wire::Dial(coordinator_.address(), security);
    stub_ = v1::WorkerService::NewStub(channel_);
  }

  test::FakeWorkerPort coordinator_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  measure::SteadyClock clock_;
};

const Attempt kAttempt{"jobs/a", 0, 1};

TEST_F(StreamsTest, AddingARecordSendsNothing) {
  Records records({.worker = "workers/w", .flush_interval = absl::ZeroDuration()}, stub_.get(),
                  {[](const Attempt&) {}, [](const Attempt&, const std::string&) {}, [] {}});
  records.Tend(absl::Now());
  for (int i = 0; i < 5; ++i) records.Add(kAttempt, {});
  records.End(kAttempt, {});
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.batches().size() == 1; }));
  EXPECT_EQ(coordinator_.batches()[0].records_size(), 5);
  EXPECT_TRUE(coordinator_.batches()[0].has_end());
}

TEST_F(StreamsTest, FlushesWhatWasAddedOnceTheIntervalIsOver) {
  Records records({.worker = "workers/w", .flush_interval = absl::Seconds(3600)}, stub_.get(),
                  {[](const Attempt&) {}, [](const Attempt&, const std::string&) {}, [] {}});
  records.Tend(absl::Now());
  records.Add(kAttempt, {});
  records.FlushIfDue(absl::Now());  // the first flush is always due
  records.Add(kAttempt, {});
  records.Add(kAttempt, {});
  records.FlushIfDue(absl::Now());
  records.End(kAttempt, {});
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.batches().size() == 2; }));
  EXPECT_EQ(coordinator_.batches()[1].records_size(), 2);
  EXPECT_EQ(coordinator_.batches()[1].end().record_count(), 3);
}

TEST_F(StreamsTest, HoldsBackWhenTooMuchIsUnacknowledged) {
  Records records({.worker = "workers/w", .batch_records = 10, .most_unacknowledged = 20}, stub_.get(),
                  {[](const Attempt&) {}, [](const Attempt&, const std::string&) {}, [] {}});
  for (int i = 0; i < 20; ++i) records.Add(kAttempt, {});
  EXPECT_FALSE(records.WaitForRoom(absl::ZeroDuration()));
  records.Tend(absl::Now());
  EXPECT_TRUE(records.WaitForRoom(absl::Seconds(10)));
}

TEST_F(StreamsTest, ForgetsADroppedAttempt) {
  Records records({.worker = "workers/w", .batch_records = 1}, stub_.get(),
                  {[](const Attempt&) {}, [](const Attempt&, const std::string&) {}, [] {}});
  records.Add(kAttempt, {});
  EXPECT_FALSE(records.Empty());
  records.Drop(kAttempt);
  EXPECT_TRUE(records.Empty());
}

TEST_F(StreamsTest, AReportWaitsWhileAnItemIsMeasuredUntilItIsTwiceOverdue) {
  v1::DesiredState desired;
  coordinator_.Want(desired);  // asks for a report every 20 ms
  Session* self = nullptr;
  Board board({"workers/w", "s", {}, "test"}, [&self] { self->Want(); });
  Session session(stub_.get(), &board, &clock_, [] {});
  self = &session;
  const absl::Time start = absl::Now();
  ASSERT_TRUE(session.Tend(start).ok());
  ASSERT_TRUE(session.WaitUntilAnswered(1, absl::Seconds(10)));

  session.SetMeasuring(true);
  session.Want();
  ASSERT_TRUE(session.Tend(start + absl::Milliseconds(39)).ok());
  EXPECT_EQ(session.sent_sequence(), 1);
  ASSERT_TRUE(session.Tend(start + absl::Milliseconds(40)).ok());
  EXPECT_EQ(session.sent_sequence(), 2);
}

TEST_F(StreamsTest, AWantedReportLeavesBetweenItems) {
  coordinator_.Want({});
  Session* self = nullptr;
  Board board({"workers/w", "s", {}, "test"}, [&self] { self->Want(); });
  Session session(stub_.get(), &board, &clock_, [] {});
  self = &session;
  const absl::Time start = absl::Now();
  ASSERT_TRUE(session.Tend(start).ok());
  ASSERT_TRUE(session.WaitUntilAnswered(1, absl::Seconds(10)));
  session.SetMeasuring(true);
  session.ReportIfDue(start + absl::Milliseconds(10));
  EXPECT_EQ(session.sent_sequence(), 1) << "nothing was wanted, and none was due";
  board.SetHosted({});
  session.ReportIfDue(start + absl::Milliseconds(10));
  EXPECT_EQ(session.sent_sequence(), 2);
}

}  // namespace
}  // namespace uaqf::link
