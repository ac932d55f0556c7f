// The rules of scheduler.h: who hosts which variant on which device, and when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/scheduler.h"
#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

using ::testing::HasSubstr;

// Connects workers on one device before the job is planned, so that all are told at once what to host. All are ready
// with it then, but for the one that is still `loading`.
void ConnectTogether(Rig* rig, const std::vector<WorkerId>& ids, const WorkerId& loading = "") {
  for (const WorkerId& id : ids) rig->Report(rig->ReportOf(id));
  WorkerReport report = rig->ReportOf(ids[0]);
  report.surveys = {{"j", Survey{10, 0, 0, ""}}};
  rig->Report(report);
  for (const WorkerId& id : ids) {
    report = rig->ReportOf(id);
    if (id == loading) report.hosted.state = VariantState::kLoading;
    rig->scheduler().OnReport(report, rig->now()).IgnoreError();
  }
  rig->Flush();
}

// Situation: three workers on one device, one variant each.
TEST(Scheduler, LetsOneWorkerAtATimeUseADevice) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8", "rtn-w4"}), 4);
  for (const char* id : {"a", "b", "c"}) rig.Connect(id);
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    int holders = 0;
    for (const char* id : {"a", "b", "c"}) holders += !rig.Leases(id).empty();
    ASSERT_LE(holders, 1);
    for (const char* id : {"a", "b", "c"}) {
      rig.CompleteOne(id);
      rig.Report(rig.ReportOf(id));
    }
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

TEST(Scheduler, UsesTwoDevicesAtOnce) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 4);
  rig.Connect("a", "d0");
  rig.Connect("b", "d1");
  EXPECT_FALSE(rig.Leases("a").empty());
  EXPECT_FALSE(rig.Leases("b").empty());
}

// Situation: two workers share each of two GPUs, known by their UUIDs. Timing is alone on a GPU, and both GPUs time.
TEST(Scheduler, TimesOnBothGpusAtOnceButNeverTwiceOnOne) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8", "rtn-w4"});
  spec.timing.repeats = 4;
  const std::map<WorkerId, std::string> gpu = {{"a", "GPU-1"}, {"b", "GPU-1"}, {"c", "GPU-2"}, {"d", "GPU-2"}};
  rig.Submit("j", spec, 8);
  for (const auto& [id, device] : gpu) rig.Connect(id, device);
  bool both = false;
  for (int i = 0; i < 300 && rig.State("j") != JobState::kSucceeded; ++i) {
    std::map<std::string, std::set<WorkerId>> timing;
    for (const auto& [id, device] : gpu) {
      for (const Lease& lease : rig.Leases(id)) {
        if (lease.kind == ChunkKind::kTiming) timing[device].insert(id);
      }
    }
    for (const auto& [device, workers] : timing) ASSERT_EQ(workers.size(), 1u) << device;
    both |= timing.size() == 2;
    for (const auto& [id, device] : gpu) {
      rig.CompleteOne(id);
      rig.Report(rig.ReportOf(id, device));
    }
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_TRUE(both);
}

// Situation: two workers on a device and three variants. fp16 stays, and takes turns with each of the others.
TEST(Scheduler, MeasuresInGroupsWithTheBaselineInEachWhatWorkersCannotHostTogether) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8", "rtn-w4"}), 4);
  ConnectTogether(&rig, {"a", "b"});
  std::vector<std::pair<std::int32_t, std::string>> order;  // group, variant
  for (int i = 0; i < 200 && rig.State("j") != JobState::kSucceeded; ++i) {
    for (const char* id : {"a", "b"}) {
      const std::vector<Lease> leases = rig.Leases(id);
      if (!leases.empty() && leases[0].kind == ChunkKind::kTiming) {
        order.emplace_back(rig.ChunkOf("j", leases[0].attempt.chunk).group, leases[0].variant);
      }
      rig.CompleteOne(id);
      rig.Report(rig.ReportOf(id));
    }
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_TRUE(
      std::is_sorted(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; }));
  for (const auto& run : {std::pair(0, "fp16"), std::pair(0, "rtn-w8"), std::pair(1, "fp16"), std::pair(1, "rtn-w4")}) {
    EXPECT_EQ(std::count(order.begin(), order.end(), std::pair<std::int32_t, std::string>(run)), 2) << run.second;
  }
}

// Runs a job of three variants on three workers of a device whose memory holds fp16 and one more.
void ExpectAtMostTwoHosted(std::int64_t device, std::int64_t each, std::int64_t kv_bytes_per_token) {
  Rig rig;
  rig.SetMemory(device, each, kv_bytes_per_token);
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8", "rtn-w4"}), 4);
  ConnectTogether(&rig, {"a", "b", "c"});
  for (int i = 0; i < 200 && rig.State("j") != JobState::kSucceeded; ++i) {
    int hosted = 0;
    for (const char* id : {"a", "b", "c"}) hosted += !rig.scheduler().Desired(id, rig.now()).variant.empty();
    ASSERT_LE(hosted, 2);
    for (const char* id : {"a", "b", "c"}) {
      rig.CompleteOne(id);
      rig.Report(rig.ReportOf(id));
    }
  }
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

TEST(Scheduler, HostsNoMoreThanTheMemoryOfTheDeviceHolds) { ExpectAtMostTwoHosted(13, 6, 0); }

// Nearly all that a variant takes is its cache of the longest sequence.
TEST(Scheduler, CountsTheCachesOfVariants) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 4);
  rig.Connect("w");
  const std::int64_t tokens = rig.scheduler().Desired("w", rig.now()).max_sequence_tokens;
  ASSERT_GT(tokens, 0);
  ExpectAtMostTwoHosted(tokens * 25, 1, 10);
}

TEST(Scheduler, LeasesInPlanOrderSoThatVariantsTakeTurns) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 6);
  ConnectTogether(&rig, {"a", "b"});
  std::vector<std::int32_t> order;
  for (int i = 0; i < 100 && rig.State("j") != JobState::kSucceeded; ++i) {
    for (const char* id : {"a", "b"}) {
      const std::vector<Lease> leases = rig.Leases(id);
      if (leases.empty()) continue;
      order.push_back(leases[0].attempt.chunk);
      rig.CompleteOne(id);
    }
  }
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(order.size(), 12u);
}

TEST(Scheduler, GivesAWorkerSeveralChunksThatFollowEachOther) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 20);
  rig.Connect("w");
  const std::vector<Lease> leases = rig.Leases("w");
  ASSERT_EQ(leases.size(), 4u);
  for (std::size_t i = 0; i < leases.size(); ++i) EXPECT_EQ(leases[i].attempt.chunk, static_cast<std::int32_t>(i));
  rig.CompleteOne("w");
  EXPECT_EQ(rig.Leases("w").size(), 4u);
}

// Situation: a worker comes late; the variant it shall host would be loaded beside a measurement.
TEST(Scheduler, LoadsNothingBesideATimingAndTimesNothingBesideALoad) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 2);
  rig.Connect("a");
  rig.CompleteOne("a");
  ASSERT_EQ(rig.Leases("a").at(0).kind, ChunkKind::kTiming);
  rig.Report(rig.ReportOf("b"));
  EXPECT_EQ(rig.scheduler().Desired("b", rig.now()).variant, "");
  rig.CompleteOne("a");
  EXPECT_EQ(rig.scheduler().Desired("b", rig.now()).variant, "rtn-w8");

  // b loads: its GENERATION may run when it is ready, and only then a TIMING.
  WorkerReport loading = rig.ReportOf("b");
  loading.hosted.state = VariantState::kLoading;
  rig.Report(loading);
  EXPECT_TRUE(rig.Leases("b").empty());
  rig.Report(rig.ReportOf("b"));
  EXPECT_FALSE(rig.Leases("b").empty());
}

TEST(Scheduler, TimesNothingWhileAnotherWorkerOfTheDeviceLoads) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 2);
  ConnectTogether(&rig, {"a", "b"}, /*loading=*/"b");
  ASSERT_EQ(rig.Leases("a").size(), 1u);
  rig.CompleteOne("a");  // its GENERATION; the TIMING behind it must wait
  EXPECT_TRUE(rig.Leases("a").empty());
  rig.Report(rig.ReportOf("b"));
  EXPECT_FALSE(rig.Leases("b").empty());
}

// Situation: a variant is calibrated for an hour, thirty layers of two minutes each; the worker reports as it is asked.
TEST(Scheduler, WaitsForAWorkerThatCalibratesForLongAndTellsHowFarItIs) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"rtn-w4"}), 2);
  rig.AnswerSurvey("a");
  WorkerReport report = rig.ReportOf("a");
  report.hosted.state = VariantState::kLoading;
  for (int second = 0; second < 3600; ++second) {
    report.sequence = rig.ReportOf("a").sequence;
    report.hosted.calibration = {second / 120, 30};
    rig.Report(report);
    rig.Advance(kSecond);
    ASSERT_EQ(rig.scheduler().Desired("a", rig.now()).variant, "rtn-w4") << "after " << second << " s";
    if (second != 6 * 120) continue;
    const JobProgress progress = rig.scheduler().Job("j", rig.now())->progress;
    EXPECT_EQ(progress.current, "calibrating rtn-w4, layer 7 of 30");
    EXPECT_EQ(progress.variants[0].state, VariantState::kLoading);
    EXPECT_EQ(progress.variants[0].calibration, (CalibrationProgress{6, 30}));
    EXPECT_EQ(rig.scheduler().Workers().at(0).hosted.calibration.layers_done, 6);
  }
  rig.Report(rig.ReportOf("a"));
  EXPECT_FALSE(rig.Leases("a").empty());
  const JobProgress progress = rig.scheduler().Job("j", rig.now())->progress;
  EXPECT_EQ(progress.current, "rtn-w4 generation");
  EXPECT_EQ(progress.variants[0].calibration.layers_total, 0);
}

TEST(Scheduler, ShowsAJobAgainWithEveryCalibratedLayer) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"rtn-w4"}), 2);
  rig.AnswerSurvey("a");
  for (int layer = 0; layer < 3; ++layer) {
    WorkerReport report = rig.ReportOf("a");
    report.hosted.state = VariantState::kLoading;
    report.hosted.calibration = {layer, 30};
    rig.Report(report);
    EXPECT_EQ(rig.effects().jobs, std::vector<JobId>{"j"});
  }
}

// Situation: one worker measures while another one calibrates.
TEST(Scheduler, TellsOfACalibrationBesideWhatRuns) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w4"}), 2);
  ConnectTogether(&rig, {"a", "b"}, /*loading=*/"b");
  WorkerReport report = rig.ReportOf("b");
  report.hosted.state = VariantState::kLoading;
  report.hosted.calibration = {30, 30};
  rig.Report(report);
  EXPECT_EQ(rig.scheduler().Job("j", rig.now())->progress.current,
            "fp16 generation; calibrating rtn-w4, layer 30 of 30");
}

// Situation: a GPU and a CPU worker serve one coordinator.
TEST(Scheduler, MeasuresAJobOnOneKindOfDevice) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16", "rtn-w8"}), 2);
  rig.Connect("a", "d0");
  WorkerReport gpu = rig.ReportOf("g", "GPU-1");
  gpu.device.backend = "cuda";
  rig.Report(gpu);
  EXPECT_EQ(rig.scheduler().Desired("g", rig.now()).variant, "");
  while (rig.State("j") != JobState::kSucceeded) {
    if (!rig.CompleteOne("a")) rig.Report(rig.ReportOf("a"));
  }
  rig.Submit("k", Rig::Spec({"fp16"}), 2);
  EXPECT_EQ(rig.State("j"), JobState::kSucceeded);
}

TEST(Scheduler, SaysWhichKindOfDeviceARunningJobWaitsFor) {
  Rig rig;
  rig.Submit("j", Rig::Spec({"fp16"}), 2);
  rig.Connect("a", "d0");
  ASSERT_TRUE(rig.CompleteOne("a"));
  EXPECT_THAT(rig.scheduler().Job("j", rig.now())->progress.current, HasSubstr("fp16"));
  const WorkerReport last = rig.ReportOf("a");
  rig.scheduler().OnDisconnect("a", last.session, rig.now());
  rig.Advance(60 * kSecond);
  WorkerReport gpu = rig.ReportOf("g", "GPU-1");
  gpu.device.backend = "cuda";
  rig.Report(gpu);
  EXPECT_THAT(rig.scheduler().Job("j", rig.now())->progress.current,
              HasSubstr(absl::StrCat("waiting for a worker on ", last.device.backend, " ", last.device.name)));
}

TEST(Scheduler, AsksForAsMuchCacheAsTheJobNeeds) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  spec.quality.text_set = "t";
  spec.quality.context_tokens = 64;
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).max_sequence_tokens, 64);
}

// Situation: the worker hosts the variant from before, with a cache that is too short for the next job.
TEST(Scheduler, WaitsForALongerCache) {
  Rig rig;
  rig.Submit("a", Rig::Spec({"fp16"}), 1);
  JobSpec longer = Rig::Spec({"fp16"});
  longer.timing.max_output_tokens = 100;
  rig.Submit("b", longer, 1);
  rig.Connect("w");
  WorkerReport before = rig.ReportOf("w");
  const std::int32_t tokens = before.hosted.max_sequence_tokens;
  while (rig.State("a") != JobState::kSucceeded) rig.CompleteOne("w");
  rig.Connect("w");
  ASSERT_EQ(tokens, 14);
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).max_sequence_tokens, 110);
  EXPECT_EQ(rig.Leases("w").at(0).attempt.job, "b");
}

}  // namespace
}  // namespace uaqf::core
