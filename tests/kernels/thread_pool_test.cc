#include "kernels/thread_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <set>
#include <vector>

#include "kernels/arithmetic.h"
#include "kernels/bandwidth.h"
#include "kernels/isa.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

using ::testing::HasSubstr;

double ProcessorSeconds() {
  timespec used = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

int FirstUsableCpu() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) return cpu;
  }
  return 0;
}

TEST(ThreadPool, EveryIndexIsVisitedOnceInEqualRuns) {
  for (const int lanes : {1, 2, 3, 7}) {
    const auto pool = ThreadPool::CreateUnpinned(lanes);
    for (const int64_t count : {0, 1, 2, 6, 7, 100}) {
      std::vector<std::atomic<int>> visits(count);
      std::atomic<int64_t> longest{0};
      pool->ParallelFor(count, [&](int64_t begin, int64_t end, int lane) {
        EXPECT_LT(lane, lanes);
        int64_t seen = longest.load();
        while (end - begin > seen && !longest.compare_exchange_weak(seen, end - begin)) {
        }
        for (int64_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const auto& visit : visits) EXPECT_EQ(visit.load(), 1);
      EXPECT_LE(longest.load(), (count + lanes - 1) / lanes);
    }
  }
}

TEST(ThreadPool, RegionsNestAndManyTasksFollowEachOther) {
  const auto pool = ThreadPool::CreateUnpinned(3);
  int64_t total = 0;
  std::vector<int64_t> sums(3);
  for (int round = 0; round < 20; ++round) {
    const ThreadPool::ActiveRegion outer(*pool);
    for (int task = 0; task < 100; ++task) {
      const ThreadPool::ActiveRegion inner(*pool);
      pool->ParallelFor(30, [&](int64_t begin, int64_t end, int lane) { sums[lane] += end - begin; });
    }
  }
  for (int64_t sum : sums) total += sum;
  EXPECT_EQ(total, 20 * 100 * 30);
}

TEST(ThreadPool, WorksOutsideARegionToo) {
  const auto pool = ThreadPool::CreateUnpinned(4);
  std::atomic<int> calls{0};
  for (int task = 0; task < 50; ++task) pool->ParallelFor(4, [&](int64_t, int64_t, int) { ++calls; });
  EXPECT_EQ(calls.load(), 200);
}

// Lanes that spin while nobody decodes would slow the worker that is being timed.
TEST(ThreadPool, IdlePoolUsesNoProcessor) {
  const auto pool = ThreadPool::CreateUnpinned(4);
  { const ThreadPool::ActiveRegion region(*pool); }
  pool->ParallelFor(4, [](int64_t, int64_t, int) {});
  // Time passes by waiting on what no one signals; three spinning lanes would use up to 0.6 s of processors.
  const double before = ProcessorSeconds();
  timespec pause = {0, 200'000'000};
  nanosleep(&pause, nullptr);
  EXPECT_LT(ProcessorSeconds() - before, 0.05);
}

TEST(ThreadPool, PinsTheCallerOnlyWhileARegionIsActive) {
  cpu_set_t before;
  sched_getaffinity(0, sizeof(before), &before);
  const int cpu = FirstUsableCpu();
  const auto pool = ThreadPool::Create({cpu, cpu});
  ASSERT_TRUE(pool.ok());
  {
    const ThreadPool::ActiveRegion region(**pool);
    std::vector<int> where(2, -1);
    (*pool)->ParallelFor(2, [&](int64_t, int64_t, int lane) { where[lane] = sched_getcpu(); });
    EXPECT_THAT(where, ::testing::ElementsAre(cpu, cpu));
  }
  cpu_set_t after;
  sched_getaffinity(0, sizeof(after), &after);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(ThreadPool, RefusesProcessorsItCannotUse) {
  EXPECT_THAT(ThreadPool::Create({}).status().ToString(), HasSubstr("empty list of processors"));
  EXPECT_THAT(ThreadPool::Create({FirstUsableCpu(), 1023}).status().ToString(), HasSubstr("processor 1023"));
}

TEST(Isa, NamesAreParsedAndUnknownOnesRefused) {
  for (const Isa isa : UsableIsas()) EXPECT_EQ(*ParseIsa(IsaName(isa)), isa);
  EXPECT_THAT(ParseIsa("neon").status().ToString(), HasSubstr("got instruction set 'neon', expected portable, avx2"));
}

TEST(Bandwidth, IsPositiveAndBelowWhatAnyMachineReads) {
  const auto pool = ThreadPool::CreateUnpinned(2);
  for (const Isa isa : UsableIsas()) {
    const double gbps = MeasureReadGbps(1 << 22, 2, *pool, isa);
    EXPECT_GT(gbps, 0.05);
    EXPECT_LT(gbps, 5000);
  }
}

TEST(Arithmetic, IsPositiveAndBelowWhatAnyThreadDoes) {
  const auto pool = ThreadPool::CreateUnpinned(1);
  for (const Isa isa : UsableIsas()) {
    const double gflops = MeasureGflops(1, *pool, isa);
    EXPECT_GT(gflops, 0.05) << IsaName(isa);
    EXPECT_LT(gflops, 1000) << IsaName(isa) << ": a thread";
  }
}

}  // namespace
}  // namespace uaqf::kernels
