#include "kernels/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "kernels/aligned_buffer.h"
#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {
namespace {

constexpr int64_t kBlock = 256;

}  // namespace

double MeasureReadGbps(int64_t bytes, int passes, ThreadPool& pool, Isa isa) {
  const int64_t blocks = std::max<int64_t>(1, (bytes + kBlock - 1) / kBlock);
  AlignedBuffer buffer(blocks * kBlock);
  // Untouched pages all map to the one zero page, which sits in the cache: write each first.
  std::fill_n(buffer.data<uint8_t>(), buffer.size(), uint8_t{1});
  const auto read_all = UAQF_KERNELS_PICK(isa, ReadAll);
  std::atomic<uint64_t> sum{0};
  const ThreadPool::ActiveRegion region(pool);
  double best_seconds = 0;
  for (int pass = 0; pass <= passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.ParallelFor(blocks, [&](int64_t begin, int64_t end, int) {
      sum += read_all(buffer.data<uint8_t>() + begin * kBlock, (end - begin) * kBlock);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (pass == 1 || (pass > 1 && seconds < best_seconds)) best_seconds = seconds;
  }
  return static_cast<double>(blocks * kBlock) / best_seconds / 1e9;
}

}  // namespace uaqf::kernels
