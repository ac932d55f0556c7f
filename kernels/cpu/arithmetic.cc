#include "kernels/arithmetic.h"

#include <atomic>
#include <chrono>

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {
namespace {

constexpr int64_t kRounds = 2'000'000;

}  // namespace

double MeasureGflops(int passes, ThreadPool& pool, Isa isa) {
  const auto multiply_add = UAQF_KERNELS_PICK(isa, MultiplyAddRegisters);
  std::atomic<int64_t> done{0};
  std::atomic<float> kept{0};
  const ThreadPool::ActiveRegion region(pool);
  double best = 0;
  for (int pass = 0; pass <= passes; ++pass) {
    done = 0;
    const auto start = std::chrono::steady_clock::now();
    pool.ParallelFor(pool.lanes(), [&](int64_t begin, int64_t end, int) {
      for (int64_t lane = begin; lane < end; ++lane) {
        float sum = 0;
        done += multiply_add(kRounds, &sum);
        kept = sum;
      }
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double gflops = 2 * static_cast<double>(done) / seconds / 1e9;
    if (pass > 0 && gflops > best) best = gflops;
  }
  return best;
}

}  // namespace uaqf::kernels
