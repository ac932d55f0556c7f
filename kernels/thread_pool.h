#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"

namespace uaqf::kernels {

// A fixed team of threads for the operations of one engine. The caller is lane 0 and works too, so a pool of N has N-1
// threads of its own, each pinned to one processor. Outside an ActiveRegion they sleep and use no processor; inside
// one they spin, so that a barrier costs well under a microsecond.
//
// One thread at a time may use a pool. ParallelFor does not nest.
class ThreadPool {
 public:
  // One lane for each entry of `cpus`, pinned there; the caller is pinned to cpus[0] while a region is active. Fails
  // if the list is empty or a processor is not usable by this process.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(const std::vector<int>& cpus);

  // `lanes` unpinned lanes, for tests and tools. lanes >= 1.
  [[nodiscard]] static std::unique_ptr<ThreadPool> CreateUnpinned(int lanes);

  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int lanes() const { return lanes_; }

  // Calls fn(begin, end, lane) once on each lane that gets work, with [0, count) split in lane order into runs whose
  // lengths differ by at most one; returns when all are done. fn must not throw.
  template <typename Fn>
  void ParallelFor(int64_t count, Fn&& fn) {
    using Body = std::remove_reference_t<Fn>;
    Run({[](void* body, int64_t begin, int64_t end, int lane) { (*static_cast<Body*>(body))(begin, end, lane); },
         const_cast<void*>(static_cast<const void*>(std::addressof(fn))), count});
  }

  // Keeps the lanes awake for its lifetime: hold one around a token or a generation, not around a wait for input.
  // Regions nest. Must end on the thread that began it.
  class ActiveRegion {
   public:
    explicit ActiveRegion(ThreadPool& pool) : pool_(pool) { pool_.Enter(); }
    ~ActiveRegion() { pool_.Leave(); }
    ActiveRegion(const ActiveRegion&) = delete;
    ActiveRegion& operator=(const ActiveRegion&) = delete;

   private:
    ThreadPool& pool_;
  };

 private:
  struct Task {
    void (*call)(void* body, int64_t begin, int64_t end, int lane) = nullptr;
    void* body = nullptr;
    int64_t count = 0;
  };
  struct alignas(64) Lane {
    std::atomic<uint32_t> done{0};  // last generation this lane finished
    std::thread thread;
  };

  ThreadPool(int lanes, std::vector<int> cpus);
  void Start();
  void Run(const Task& task);
  void RunLane(const Task& task, int lane) const;
  void LaneMain(int lane);
  void Enter();
  void Leave();

  const int lanes_;
  const std::vector<int> cpus_;   // empty: unpinned
  std::vector<Lane> workers_;     // lanes 1 .. lanes_-1
  int depth_ = 0;                 // nesting of active regions, caller's thread only
  std::vector<int> caller_cpus_;  // affinity of the caller before the outermost region
  Task task_;                     // published by generation_
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<bool> active_{false};
  std::atomic<bool> stop_{false};
};

}  // namespace uaqf::kernels
