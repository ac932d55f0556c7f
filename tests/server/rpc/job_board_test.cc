#include "server/rpc/job_board.h"

#include <gtest/gtest.h>

#include "proto/wire/status.h"

namespace uaqf::rpc {
namespace {

v1::Job Job(const std::string& name, std::int64_t done) {
  v1::Job job;
  job.set_name(name);
  job.mutable_progress()->set_records_done(done);
  return job;
}

struct Watcher : JobWatcher {
  void OnJob(const JobState& state) override { states.push_back(state); }
  std::vector<JobState> states;
};

TEST(JobBoard, TellsAWatcherTheStateThatHoldsAndThoseAfterIt) {
  JobBoard board(10);
  board.Publish(Job("jobs/a", 1), false);
  board.Publish(Job("jobs/a", 2), false);
  auto watcher = std::make_shared<Watcher>();
  const auto now = board.Watch("jobs/a", watcher);
  ASSERT_TRUE(now.ok() && now->has_value());
  EXPECT_EQ((**now).job->progress().records_done(), 2);
  board.Publish(Job("jobs/b", 9), false);
  board.Publish(Job("jobs/a", 3), false);
  ASSERT_EQ(watcher->states.size(), 1u) << "of its own job only";
  EXPECT_EQ(watcher->states[0].job->progress().records_done(), 3);
  EXPECT_GT(watcher->states[0].version, (**now).version);
}

TEST(JobBoard, ForgetsAJobAfterItsFinalState) {
  JobBoard board(10);
  board.Publish(Job("jobs/a", 1), false);
  auto watcher = std::make_shared<Watcher>();
  ASSERT_TRUE(board.Watch("jobs/a", watcher).ok());
  EXPECT_EQ(board.watchers(), 1u);
  board.Publish(Job("jobs/a", 2), true);
  EXPECT_TRUE(watcher->states.back().final);
  EXPECT_EQ(board.watchers(), 0u);
  EXPECT_FALSE(board.Latest("jobs/a").has_value());
  EXPECT_FALSE(board.Watch("jobs/a", watcher)->has_value()) << "the store knows what has ended";
  board.Unwatch("jobs/a", watcher.get());
  EXPECT_EQ(board.watchers(), 0u);
}

TEST(JobBoard, RefusesWatchersBeyondItsLimit) {
  JobBoard board(1);
  board.Publish(Job("jobs/a", 1), false);
  auto first = std::make_shared<Watcher>();
  auto second = std::make_shared<Watcher>();
  ASSERT_TRUE(board.Watch("jobs/a", first).ok());
  EXPECT_EQ(wire::Reason(board.Watch("jobs/a", second).status()), "TOO_MANY_WATCHERS");
  board.Unwatch("jobs/a", first.get());
  EXPECT_TRUE(board.Watch("jobs/a", second).ok());
}

TEST(JobBoard, DoesNotKeepAWatcherAlive) {
  JobBoard board(10);
  board.Publish(Job("jobs/a", 1), false);
  auto watcher = std::make_shared<Watcher>();
  const std::weak_ptr<Watcher> weak = watcher;
  ASSERT_TRUE(board.Watch("jobs/a", watcher).ok());
  watcher.reset();
  EXPECT_TRUE(weak.expired());
  board.Publish(Job("jobs/a", 2), false);
}

}  // namespace
}  // namespace uaqf::rpc
