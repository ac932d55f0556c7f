// Evidence of a GPU, by a sensor that says what it is told.
#include "worker/measure/gpu_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/worker/measure/fake_text_model.h"

namespace uaqf::measure {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kOwn = 100;

GpuReading Quiet() {
  GpuReading reading;
  reading.sm_mhz = 1980;
  reading.memory_mhz = 3201;
  reading.temperature_c = 50;
  reading.processes = {{kOwn, "uaqf-worker", 5'000}};
  return reading;
}

GpuUse Summary(const std::vector<GpuReading>& readings) { return SummarizeGpu(readings, kOwn, "uaqf-worker"); }

TEST(SummarizeGpu, TakesCountersAsDifferencesAndClocksAsMeansAfterTheFirstLook) {
  GpuReading first = Quiet();
  first.sm_mhz = 345;  // still asleep
  first.energy_mj = 1'000'000;
  first.power_capped_ns = 50;
  GpuReading second = Quiet();
  second.temperature_c = 61;
  GpuReading last = Quiet();
  last.sm_mhz = 1960;
  last.energy_mj = 1'250'000;
  last.power_capped_ns = 450;
  const GpuUse use = Summary({first, second, last});
  EXPECT_DOUBLE_EQ(use.sm_mhz, 1970);
  EXPECT_DOUBLE_EQ(use.memory_mhz, 3201);
  EXPECT_EQ(use.energy_mj, 250'000);
  EXPECT_EQ(use.power_capped_ns, 400);
  EXPECT_EQ(use.temperature_c, 61);
  EXPECT_THAT(TaintsOf(use), IsEmpty());
}

TEST(SummarizeGpu, CountsNeitherItselfNorOtherWorkersAsForeign) {
  GpuReading reading = Quiet();
  reading.processes.push_back({101, "uaqf-worker", 9'000});
  EXPECT_THAT(Summary({reading, reading}).foreign_processes, IsEmpty());
}

TEST(SummarizeGpu, NamesAForeignProcessOnceHoweverOftenItIsSeen) {
  GpuReading busy = Quiet();
  busy.processes.push_back({4242, "python3", 9'000});
  const GpuUse use = Summary({Quiet(), busy, busy, Quiet()});
  EXPECT_THAT(use.foreign_processes, ElementsAre("python3 4242"));
  EXPECT_THAT(TaintsOf(use), ElementsAre(HasSubstr("python3 4242")));
}

// In a container NVML may list process ids of the host, its own among them.
TEST(SummarizeGpu, SaysNothingOfProcessesInAnotherNamespace) {
  GpuReading reading = Quiet();
  reading.processes = {{777'000, "", 5'000}};
  EXPECT_THAT(Summary({reading, reading}).foreign_processes, IsEmpty());
}

TEST(GpuTaints, ComeFromHeatAndFromOutsideButNotFromThePowerLimit) {
  GpuReading capped = Quiet();
  capped.slowdowns = kPowerCap | kGpuIdle;
  capped.power_capped_ns = 5'000'000'000;
  EXPECT_THAT(TaintsOf(Summary({Quiet(), capped})), IsEmpty());
  for (const uint64_t bit : {kHardwareSlowdown, kThermalSoftware, kThermalHardware, kPowerBrake}) {
    GpuReading slow = Quiet();
    slow.slowdowns = bit | kPowerCap;
    const std::vector<std::string> taints = TaintsOf(Summary({Quiet(), slow}));
    ASSERT_EQ(taints.size(), 1u) << bit;
    EXPECT_THAT(taints[0], HasSubstr("slowed down")) << bit;
    EXPECT_THAT(taints[0], testing::Not(HasSubstr("power cap"))) << bit;
  }
}

TEST(GpuTaints, IncludeThermalTimeAndUncorrectedErrorsOfTheAttemptAlone) {
  GpuReading before = Quiet();
  before.thermal_ns = 9'000'000'000;
  before.ecc_uncorrected = 3;
  EXPECT_THAT(TaintsOf(Summary({before, before})), IsEmpty());
  GpuReading after = before;
  after.thermal_ns += 20'000'000;
  after.ecc_uncorrected += 1;
  EXPECT_THAT(TaintsOf(Summary({before, after})),
              ElementsAre(HasSubstr("by heat for 20 ms"), HasSubstr("1 uncorrected ECC")));
}

TEST(SlowdownNames, LeaveOutIdleAndShowUnknownBits) {
  EXPECT_THAT(SlowdownNames(kGpuIdle), IsEmpty());
  EXPECT_THAT(SlowdownNames(kPowerCap | 0x10000), ElementsAre("power cap", "0x10000"));
}

class ScriptedSensor final : public GpuSensor {
 public:
  explicit ScriptedSensor(std::vector<GpuReading>* readings) : readings_(readings) {}
  GpuReading Read() override {
    const GpuReading now = readings_->front();
    if (readings_->size() > 1) readings_->erase(readings_->begin());
    return now;
  }
  std::string DriverVersion() override { return "1.2.3"; }

 private:
  std::vector<GpuReading>* readings_;
};

TEST(GpuMonitor, JudgesWhatItSawBetweenBeginAndEnd) {
  test::FakeClock clock;
  GpuReading own = Quiet();
  own.processes = {{getpid(), "measure_test", 7'000}};
  GpuReading hot = own;
  hot.slowdowns = kThermalHardware;
  std::vector<GpuReading> script = {own, hot, own};
  GpuMonitor monitor(
      {}, std::make_unique<ScriptedSensor>(&script), [] { return absl::OkStatus(); }, &clock);
  monitor.Begin();
  clock.now_ns += 500;
  monitor.BetweenItems();
  const DeviceUse use = monitor.End();
  EXPECT_EQ(use.wall_ns, 500);
  ASSERT_TRUE(use.gpu.has_value());
  EXPECT_THAT(use.taints, ElementsAre(HasSubstr("hardware thermal slowdown")));
  EXPECT_EQ(monitor.PeakMemoryBytes(), 7'000);
  monitor.Begin();
  EXPECT_THAT(monitor.End().taints, IsEmpty()) << "the next attempt begins anew";
}

TEST(GpuMonitor, WithoutASensorHasNoEvidenceAndNoTaint) {
  test::FakeClock clock;
  GpuMonitor monitor(
      {}, nullptr, [] { return absl::OkStatus(); }, &clock);
  monitor.Begin();
  const DeviceUse use = monitor.End();
  EXPECT_FALSE(use.gpu.has_value());
  EXPECT_THAT(use.taints, IsEmpty());
}

TEST(GpuMonitor, TaintsAnAttemptWhoseCachesWereNotCleared) {
  test::FakeClock clock;
  GpuMonitor monitor(
      {}, nullptr, [] { return absl::ResourceExhaustedError("out of memory"); }, &clock);
  monitor.Begin();
  monitor.ClearCaches();
  EXPECT_THAT(monitor.End().taints, ElementsAre(HasSubstr("out of memory")));
}

}  // namespace
}  // namespace uaqf::measure
