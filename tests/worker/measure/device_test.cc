// Evidence, locks and lists of processors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <thread>

#include "tests/support/test_data.h"
#include "tests/worker/measure/fake_text_model.h"
#include "worker/measure/cache.h"
#include "worker/measure/cpu_monitor.h"
#include "worker/measure/cpu_set.h"
#include "worker/measure/device_lock.h"

namespace uaqf::measure {
namespace {

using testing::ElementsAre;

constexpr char kStat[] =
    "cpu  1000 20 300 9000 50 6 7 8 0 0\n"
    "cpu0 100 2 30 900 5 1 2 3 0 0\n"
    "cpu1 200 4 60 800 5 0 0 0 0 0\n"
    "cpu10 5000 0 0 0 0 0 0 0 0 0\n"
    "intr 12345\n";

int64_t OwnCpuNs() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

TEST(BusyTicks, CountsAllButIdleAndDiskOfTheGivenProcessors) {
  EXPECT_EQ(BusyTicks(kStat, {0}), 100 + 2 + 30 + 1 + 2 + 3);
  EXPECT_EQ(BusyTicks(kStat, {0, 1}), 138 + 264);
  EXPECT_EQ(BusyTicks(kStat, {7}), 0);
  EXPECT_EQ(BusyTicks("nothing of the kind", {0}), 0);
}

TEST(CpuInfo, ReadsNameAndMeanFrequency) {
  constexpr char kInfo[] =
      "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\ncpu MHz\t\t: 2000.5\n\nprocessor\t: 1\ncpu MHz\t\t: 1000.5\n";
  EXPECT_EQ(CpuName(kInfo), "Some CPU @ 2 GHz");
  EXPECT_DOUBLE_EQ(MeanMhz(kInfo), 1500.5);
  EXPECT_EQ(CpuName(""), "unknown processor");
  EXPECT_EQ(MeanMhz(""), 0);
}

TEST(CpuMonitor, DoesNotCountItsOwnWorkAsForeign) {
  SteadyClock clock;
  CpuMonitorOptions options;
  options.max_foreign_load = 1;
  CpuMonitor monitor(options, &clock);
  const int64_t own_before = OwnCpuNs();
  monitor.Begin();
  const int64_t end = clock.NowNs() + 300'000'000;
  while (clock.NowNs() < end) {
  }
  const DeviceUse use = monitor.End();
  EXPECT_GE(use.wall_ns, 300'000'000);
  const double capacity = static_cast<double>(use.wall_ns) * static_cast<double>(AvailableCpus().size());
  const double own = static_cast<double>(OwnCpuNs() - own_before) / capacity;
  EXPECT_GT(own, 0) << "nothing was tried";
  EXPECT_LE(use.foreign_load + own, 1.15) << "what this process used is not foreign";
  EXPECT_TRUE(use.taints.empty());
}

TEST(CpuMonitor, JudgesNoTimeThatIsTooShortForTheKernelsTicks) {
  test::FakeClock clock;
  CpuMonitorOptions options;
  options.max_foreign_load = -1;  // any load at all would taint
  CpuMonitor monitor(options, &clock);
  monitor.Begin();
  clock.now_ns += 199'000'000;
  EXPECT_TRUE(monitor.End().taints.empty());
  monitor.Begin();
  clock.now_ns += 200'000'000;
  EXPECT_EQ(monitor.End().taints.size(), 1u);
}

TEST(CpuMonitor, NamesTheDeviceByHostAndProcessors) {
  SteadyClock clock;
  const CpuMonitor monitor({}, &clock);
  EXPECT_EQ(monitor.device().id.rfind("cpu:", 0), 0u);
  EXPECT_EQ(monitor.device().id, CpuDeviceId(AvailableCpus()));
  EXPECT_EQ(monitor.device().backend, "cpu");
}

TEST(CpuList, ReadsWhatItWrites) {
  for (const char* text : {"0", "0-3", "0-3,6", "1,3,5-7"}) {
    const auto cpus = ParseCpuList(text);
    ASSERT_TRUE(cpus.ok()) << cpus.status();
    EXPECT_EQ(FormatCpuList(*cpus), text);
  }
  EXPECT_THAT(*ParseCpuList("6,0-1,1"), ElementsAre(0, 1, 6));
}

TEST(CpuList, RefusesWhatIsNone) {
  for (const char* text : {"", "a", "3-1", "1-", "-1", "0,,1", "99999"}) {
    EXPECT_EQ(ParseCpuList(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(DeviceLock, IsExclusiveForTimedWorkAndSharedForTheRest) {
  const std::string folder = test::ScratchFolder();
  auto a = *DeviceLock::Open(folder, "cpu:host:0-1");
  auto b = *DeviceLock::Open(folder, "cpu:host:0-1");
  ASSERT_TRUE(a->Acquire(DeviceLock::Mode::kShared, absl::ZeroDuration()));
  EXPECT_TRUE(b->Acquire(DeviceLock::Mode::kShared, absl::ZeroDuration()));
  b->Release();
  EXPECT_FALSE(b->Acquire(DeviceLock::Mode::kExclusive, absl::ZeroDuration()));
  a->Release();
  EXPECT_TRUE(b->Acquire(DeviceLock::Mode::kExclusive, absl::ZeroDuration()));
  EXPECT_FALSE(a->Acquire(DeviceLock::Mode::kShared, absl::Milliseconds(5)));
}

TEST(DeviceLock, OtherDevicesDoNotDisturb) {
  const std::string folder = test::ScratchFolder();
  auto a = *DeviceLock::Open(folder, "cpu:host:0");
  auto b = *DeviceLock::Open(folder, "cpu:host:1");
  ASSERT_TRUE(a->Acquire(DeviceLock::Mode::kExclusive, absl::ZeroDuration()));
  EXPECT_TRUE(b->Acquire(DeviceLock::Mode::kExclusive, absl::ZeroDuration()));
}

TEST(DeviceLock, WaitsForItsTurn) {
  const std::string folder = test::ScratchFolder();
  auto a = *DeviceLock::Open(folder, "d");
  auto b = *DeviceLock::Open(folder, "d");
  ASSERT_TRUE(a->Acquire(DeviceLock::Mode::kExclusive, absl::ZeroDuration()));
  bool acquired = false;
  std::thread waiting([&] { acquired = b->Acquire(DeviceLock::Mode::kExclusive, absl::Seconds(20)); });
  a->Release();
  waiting.join();
  EXPECT_TRUE(acquired);
}

TEST(DeviceLock, SaysWhichFolderCannotBeWritten) {
  const auto lock = DeviceLock::Open("/proc/uaqf", "d");
  EXPECT_EQ(lock.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(lock.status().message()), testing::HasSubstr("/proc/uaqf"));
}

TEST(Caches, HaveASize) { EXPECT_GE(LastLevelCacheBytes(), 64 * 1024); }

}  // namespace
}  // namespace uaqf::measure
