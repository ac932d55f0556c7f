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

GpuState Quiet() {
  GpuState state;
  state.sm_mhz = 1980;
  state.memory_mhz = 3201;
  state.temperature_c = 50;
  state.processes = {{kOwn, "uaqf-worker", 5'000}};
  return state;
}

GpuUse Summary(const std::vector<GpuState>& looks, const GpuCounters& before = {}, const GpuCounters& after = {}) {
  return SummarizeGpu(looks, before, after, kOwn, "uaqf-worker");
}

TEST(SummarizeGpu, TakesCountersAsDifferencesAndClocksAsMeansAfterTheFirstLook) {
  GpuState first = Quiet();
  first.sm_mhz = 345;  // still asleep
  GpuState second = Quiet();
  second.temperature_c = 61;
  GpuState last = Quiet();
  last.sm_mhz = 1960;
  const GpuUse use = Summary({first, second, last}, {.energy_mj = 1'000'000, .power_capped_ns = 50},
                             {.energy_mj = 1'250'000, .power_capped_ns = 450});
  EXPECT_DOUBLE_EQ(use.sm_mhz, 1970);
  EXPECT_DOUBLE_EQ(use.memory_mhz, 3201);
  EXPECT_EQ(use.energy_mj, 250'000);
  EXPECT_EQ(use.power_capped_ns, 400);
  EXPECT_EQ(use.temperature_c, 61);
  EXPECT_THAT(TaintsOf(use), IsEmpty());
}

TEST(SummarizeGpu, CountsNeitherItselfNorOtherWorkersAsForeign) {
  GpuState state = Quiet();
  state.processes.push_back({101, "uaqf-worker", 9'000});
  EXPECT_THAT(Summary({state, state}).foreign_processes, IsEmpty());
}

TEST(SummarizeGpu, NamesAForeignProcessOnceHoweverOftenItIsSeen) {
  GpuState busy = Quiet();
  busy.processes.push_back({4242, "python3", 9'000});
  const GpuUse use = Summary({Quiet(), busy, busy, Quiet()});
  EXPECT_THAT(use.foreign_processes, ElementsAre("python3 4242"));
  EXPECT_THAT(TaintsOf(use), ElementsAre(HasSubstr("python3 4242")));
}

// In a container NVML may list process ids of the host, its own among them.
TEST(SummarizeGpu, SaysNothingOfProcessesInAnotherNamespace) {
  GpuState state = Quiet();
  state.processes = {{777'000, "", 5'000}};
  EXPECT_THAT(Summary({state, state}).foreign_processes, IsEmpty());
}

TEST(GpuTaints, ComeFromHeatAndFromOutsideButNotFromThePowerLimit) {
  GpuState capped = Quiet();
  capped.slowdowns = kPowerCap | kGpuIdle;
  EXPECT_THAT(TaintsOf(Summary({Quiet(), capped}, {}, {.power_capped_ns = 5'000'000'000})), IsEmpty());
  for (const uint64_t bit : {kHardwareSlowdown, kThermalSoftware, kThermalHardware, kPowerBrake}) {
    GpuState slow = Quiet();
    slow.slowdowns = bit | kPowerCap;
    const std::vector<std::string> taints = TaintsOf(Summary({Quiet(), slow}));
    ASSERT_EQ(taints.size(), 1u) << bit;
    EXPECT_THAT(taints[0], HasSubstr("slowed down")) << bit;
    EXPECT_THAT(taints[0], testing::Not(HasSubstr("power cap"))) << bit;
  }
}

TEST(GpuTaints, IncludeThermalTimeAndUncorrectedErrorsOfTheAttemptAlone) {
  const GpuCounters before = {.thermal_ns = 9'000'000'000, .ecc_uncorrected = 3};
  EXPECT_THAT(TaintsOf(Summary({Quiet(), Quiet()}, before, before)), IsEmpty());
  GpuCounters after = before;
  after.thermal_ns += 20'000'000;
  after.ecc_uncorrected += 1;
  EXPECT_THAT(TaintsOf(Summary({Quiet(), Quiet()}, before, after)),
              ElementsAre(HasSubstr("by heat for 20 ms"), HasSubstr("1 uncorrected ECC")));
}

TEST(SlowdownNames, LeaveOutIdleAndShowUnknownBits) {
  EXPECT_THAT(SlowdownNames(kGpuIdle), IsEmpty());
  EXPECT_THAT(SlowdownNames(kPowerCap | 0x10000), ElementsAre("power cap", "0x10000"));
}

class ScriptedSensor final : public GpuSensor {
 public:
  ScriptedSensor(std::vector<GpuState>* looks, int64_t* counts) : looks_(looks), counts_(counts) {}
  GpuState Look() override {
    const GpuState now = looks_->front();
    if (looks_->size() > 1) looks_->erase(looks_->begin());
    return now;
  }
  GpuCounters Count() override { return {.energy_mj = 1'000 * ++*counts_}; }
  std::string DriverVersion() override { return "1.2.3"; }

 private:
  std::vector<GpuState>* looks_;
  int64_t* counts_;
};

TEST(GpuMonitor, JudgesWhatItSawBetweenBeginAndEnd) {
  test::FakeClock clock;
  GpuState own = Quiet();
  own.processes = {{getpid(), "measure_test", 7'000}};
  GpuState hot = own;
  hot.slowdowns = kThermalHardware;
  std::vector<GpuState> script = {own, hot, own};
  int64_t counts = 0;
  GpuMonitor monitor(
      {}, std::make_unique<ScriptedSensor>(&script, &counts), [] { return absl::OkStatus(); }, &clock);
  monitor.Begin();
  clock.now_ns += 500;
  monitor.BetweenItems();
  const DeviceUse use = monitor.End();
  EXPECT_EQ(use.wall_ns, 500);
  ASSERT_TRUE(use.gpu.has_value());
  EXPECT_THAT(use.taints, ElementsAre(HasSubstr("hardware thermal slowdown")));
  EXPECT_EQ(use.gpu->energy_mj, 1'000);
  EXPECT_EQ(counts, 2) << "counters are slow to read: only before and after the items";
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
