#include "server/rpc/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>

#include "absl/synchronization/notification.h"

namespace uaqf::rpc {
namespace {

TEST(Executor, RefusesWhatDoesNotFitAndWhatComesAfterItsStop) {
  absl::Notification started, go;
  Executor executor(1, 2);
  ASSERT_TRUE(executor.Post([&] {
    started.Notify();
    go.WaitForNotification();
  }));
  started.WaitForNotification();
  std::atomic<int> ran{0};
  EXPECT_TRUE(executor.Post([&] { ++ran; }));
  EXPECT_TRUE(executor.Post([&] { ++ran; }));
  EXPECT_FALSE(executor.Post([&] { ++ran; })) << "one runs and two wait";
  go.Notify();
  executor.Stop();
  EXPECT_FALSE(executor.Post([&] { ++ran; }));
}

TEST(Executor, DestroysWhatWaitsWhenItStops) {
  absl::Notification started, go;
  auto held = std::make_shared<int>(0);
  {
    Executor executor(1, 10);
    ASSERT_TRUE(executor.Post([&] {
      started.Notify();
      go.WaitForNotification();
    }));
    started.WaitForNotification();
    ASSERT_TRUE(executor.Post([held] { ++*held; }));
    go.Notify();
  }
  EXPECT_EQ(held.use_count(), 1) << "run or destroyed, but not kept";
}

TEST(Executor, GoesOnAfterATaskThatThrows) {
  absl::Notification done;
  Executor executor(1, 10);
  ASSERT_TRUE(executor.Post([] { throw std::runtime_error("as a library would"); }));
  ASSERT_TRUE(executor.Post([&] { done.Notify(); }));
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

}  // namespace
}  // namespace uaqf::rpc
