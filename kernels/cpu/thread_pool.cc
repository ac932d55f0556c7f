#include "kernels/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace uaqf::kernels {
namespace {

// Past this many empty turns (about 20 us) another thread must hold our processor, or the caller is busy: let it run.
constexpr int kSpinsBeforeYield = 1000;

std::vector<int> AffinityOfThisThread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void PinThisThread(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus) CPU_SET(cpu, &set);
  // Create() checked the list; if the set shrank since, running unpinned beats failing.
  static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof(set), &set));
}

void Relax(int* spins) {
  if (++*spins < kSpinsBeforeYield) {
    __builtin_ia32_pause();
  } else {
    sched_yield();
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(const std::vector<int>& cpus) {
  if (cpus.empty()) return absl::InvalidArgumentError("got an empty list of processors, expected one for each thread");
  const std::vector<int> usable = AffinityOfThisThread();
  for (int cpu : cpus) {
    bool found = false;
    for (int candidate : usable) found = found || candidate == cpu;
    if (!found) {
      return absl::InvalidArgumentError(absl::StrCat("processor ", cpu, " is not among the ", usable.size(),
                                                     " that this process may use; see taskset -p"));
    }
  }
  std::unique_ptr<ThreadPool> pool(new ThreadPool(static_cast<int>(cpus.size()), cpus));
  pool->Start();
  return pool;
}

std::unique_ptr<ThreadPool> ThreadPool::CreateUnpinned(int lanes) {
  std::unique_ptr<ThreadPool> pool(new ThreadPool(lanes, {}));
  pool->Start();
  return pool;
}

ThreadPool::ThreadPool(int lanes, std::vector<int> cpus) : lanes_(lanes), cpus_(std::move(cpus)), workers_(lanes - 1) {}

void ThreadPool::Start() {
  for (int lane = 1; lane < lanes_; ++lane) {
    workers_[lane - 1].thread = std::thread([this, lane] { LaneMain(lane); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (Lane& worker : workers_) worker.thread.join();
}

void ThreadPool::Enter() {
  if (depth_++ > 0) return;
  if (!cpus_.empty()) {
    caller_cpus_ = AffinityOfThisThread();
    PinThisThread({cpus_[0]});
  }
  active_.store(true, std::memory_order_relaxed);
  // Wakes the lanes: each finds an empty task, and then spins.
  Run({[](void*, int64_t, int64_t, int) {}, nullptr, 0});
}

void ThreadPool::Leave() {
  if (--depth_ > 0) return;
  active_.store(false, std::memory_order_relaxed);
  if (!cpus_.empty()) PinThisThread(caller_cpus_);
}

void ThreadPool::RunLane(const Task& task, int lane) const {
  const int64_t begin = task.count * lane / lanes_;
  const int64_t end = task.count * (lane + 1) / lanes_;
  if (begin < end) task.call(task.body, begin, end, lane);
}

void ThreadPool::Run(const Task& task) {
  if (workers_.empty()) return RunLane(task, 0);
  task_ = task;
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  generation_.store(generation, std::memory_order_release);
  // Outside a region the lanes may be asleep. In the first moment of one they may be too: Enter() runs with depth 1.
  if (!active_.load(std::memory_order_relaxed) || task.count == 0) generation_.notify_all();
  RunLane(task, 0);
  for (Lane& worker : workers_) {
    int spins = 0;
    while (worker.done.load(std::memory_order_acquire) != generation) Relax(&spins);
  }
}

void ThreadPool::LaneMain(int lane) {
  if (!cpus_.empty()) PinThisThread({cpus_[lane]});
  uint32_t seen = 0;
  Lane& self = workers_[lane - 1];
  for (;;) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen) {
      if (active_.load(std::memory_order_relaxed)) {
        Relax(&spins);
      } else {
        generation_.wait(seen, std::memory_order_acquire);
      }
    }
    if (stop_.load()) return;
    ++seen;
    RunLane(task_, lane);
    self.done.store(seen, std::memory_order_release);
  }
}

}  // namespace uaqf::kernels
