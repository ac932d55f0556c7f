#include "kernels/attention.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {
namespace {

// Scores of one head, of the lane that computes it.
float* LaneScores(int64_t count) {
  static thread_local std::vector<float> scores;
  const size_t padded = static_cast<size_t>(count + 15) / 16 * 16;
  if (scores.size() < padded) scores.resize(std::max(padded, 2 * scores.size()));
  return scores.data();
}

int64_t FirstVisible(const AttentionShape& shape, int64_t position) {
  return shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
}

void AttendOne(const AttentionShape& shape, const KvView& cache, int64_t position, int64_t head, const float* query,
               float* out, Isa isa) {
  const int64_t first = FirstVisible(shape, position);
  const int64_t count = position - first + 1;
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const int64_t offset = (kv_head * cache.capacity + first) * shape.head_dim;
  UAQF_KERNELS_PICK(isa, AttendHead)
  (query + head * shape.head_dim, cache.keys + offset, cache.values + offset, count, shape.head_dim, shape.scale,
   LaneScores(count), out + head * shape.head_dim);
}

}  // namespace

void DecodeAttention(const AttentionShape& shape, const KvView& cache, int64_t position, const float* query, float* out,
                     ThreadPool& pool, Isa isa) {
  pool.ParallelFor(shape.heads, [&](int64_t begin, int64_t end, int) {
    for (int64_t head = begin; head < end; ++head) AttendOne(shape, cache, position, head, query, out, isa);
  });
}

void PrefillAttention(const AttentionShape& shape, const KvView& cache, int64_t first, int64_t tokens,
                      const float* query, float* out, ThreadPool& pool, Isa isa) {
  const int64_t width = shape.heads * shape.head_dim;
  pool.ParallelFor(shape.heads, [&](int64_t begin, int64_t end, int) {
    for (int64_t head = begin; head < end; ++head) {
      for (int64_t token = 0; token < tokens; ++token) {
        AttendOne(shape, cache, first + token, head, query + token * width, out + token * width, isa);
      }
    }
  });
}

}  // namespace uaqf::kernels
