#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {
namespace {

using internal::kAttentionPositions;
using internal::KvPanels;

// Decoding cuts the visible positions into runs, so that there is work for all lanes however few the KV heads are, and
// merges the runs' softmax parts in order. The cut depends on the number of positions only: so does the result.
constexpr int64_t kShortestRun = 64;
constexpr int64_t kMostRuns = 64;

// Tokens of a head that a lane takes at prefill.
constexpr int64_t kTokensPerUnit = 96;

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

template <typename T>
T* GrownTo(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(std::max<size_t>(size, 2 * buffer.size()));
  return buffer.data();
}

float* LaneScores(int64_t size) {
  static thread_local std::vector<float> scores;
  return GrownTo(scores, size);
}

// Softmax parts of all runs: values [run][head][head_dim], largest and sum [run][head].
struct Parts {
  float* values;
  float* largest;
  float* sum;
};

Parts PartsOf(int64_t runs, int64_t heads, int64_t head_dim) {
  static thread_local std::vector<float> buffer;
  float* values = GrownTo(buffer, runs * heads * (head_dim + 2));
  float* largest = values + runs * heads * head_dim;
  return {values, largest, largest + runs * heads};
}

void MergeRuns(const Parts& parts, int64_t runs, int64_t heads, int64_t head_dim, float* out) {
  for (int64_t head = 0; head < heads; ++head, out += head_dim) {
    float largest = parts.largest[head];
    for (int64_t run = 1; run < runs; ++run) largest = std::max(largest, parts.largest[run * heads + head]);
    float total = 0;
    for (int64_t run = 0; run < runs; ++run) {
      const int64_t part = run * heads + head;
      const float weight = std::exp(parts.largest[part] - largest);
      total += weight * parts.sum[part];
      const float* values = parts.values + part * head_dim;
      for (int64_t d = 0; d < head_dim; ++d) out[d] = (run == 0 ? 0.0f : out[d]) + weight * values[d];
    }
    const float factor = 1.0f / total;
    for (int64_t d = 0; d < head_dim; ++d) out[d] *= factor;
  }
}

// Positions of a KV head in FP16, [count][head_dim].
struct Rows {
  const uint16_t* keys;
  const uint16_t* values;
};

Rows RowsOf(const AttentionShape& shape, const KvView& cache, int64_t kv_head, int64_t first, int64_t, Isa) {
  const int64_t offset = (kv_head * cache.capacity + first) * shape.head_dim;
  return {cache.keys + offset, cache.values + offset};
}

// Valid until this thread asks again.
Rows RowsOf(const AttentionShape& shape, const Int4KvView& cache, int64_t kv_head, int64_t first, int64_t count,
            Isa isa) {
  static thread_local std::vector<uint16_t> buffer;
  uint16_t* keys = GrownTo(buffer, 2 * count * shape.head_dim);
  uint16_t* values = keys + count * shape.head_dim;
  const int64_t half = shape.head_dim / 2;
  const int64_t row = kv_head * cache.capacity + first;
  const int64_t codes = shape.kv_heads * cache.capacity * 4;
  const auto read = [&](const uint8_t* from, bool turned, uint16_t* out) {
    UAQF_KERNELS_PICK(isa, ReadInt4Rows)
    ({reinterpret_cast<const uint16_t*>(from) + row * 2, from + codes + row * half,
      turned ? cache.cos + first * half : nullptr, turned ? cache.sin + first * half : nullptr, count, shape.head_dim,
      out});
  };
  read(cache.keys, true, keys);
  read(cache.values, false, values);
  return {keys, values};
}

template <typename View>
void Decode(const AttentionShape& shape, const View& cache, int64_t position, const float* query, float* out,
            ThreadPool& pool, Isa isa) {
  const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
  const int64_t count = position - first + 1;
  const int64_t run_length = std::max(kShortestRun, RoundUp((count + kMostRuns - 1) / kMostRuns, 16));
  const int64_t runs = (count + run_length - 1) / run_length;
  const int64_t group = shape.heads / shape.kv_heads;
  const Parts parts = PartsOf(runs, shape.heads, shape.head_dim);
  const auto attend = UAQF_KERNELS_PICK(isa, AttendRun);
  pool.ParallelFor(shape.kv_heads * runs, [&](int64_t begin, int64_t end, int) {
    float* scores = LaneScores(group * run_length);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t kv_head = unit / runs;
      const int64_t run = unit % runs;
      const int64_t length = std::min(run_length, count - run * run_length);
      const Rows rows = RowsOf(shape, cache, kv_head, first + run * run_length, length, isa);
      const int64_t part = run * shape.heads + kv_head * group;
      attend({query + kv_head * group * shape.head_dim, rows.keys, rows.values, group, length, shape.head_dim,
              shape.scale, scores, parts.values + part * shape.head_dim, parts.largest + part, parts.sum + part});
    }
  });
  MergeRuns(parts, runs, shape.heads, shape.head_dim, out);
}

template <typename View>
void Prefill(const AttentionShape& shape, const View& cache, int64_t first, int64_t tokens, const float* query,
             float* out, ThreadPool& pool, Isa isa) {
  if (tokens == 0) return;
  // Positions before the first token's window are seen by none.
  const int64_t start = shape.window > 0 ? std::max<int64_t>(0, first - shape.window + 1) : 0;
  const int64_t used = first + tokens - start;
  const int64_t count = RoundUp(used, kAttentionPositions);
  const int64_t key_floats = count * shape.head_dim;
  const int64_t head_floats = key_floats + count * RoundUp(shape.head_dim, 32);
  static thread_local std::vector<float> buffer;
  float* decoded = GrownTo(buffer, shape.kv_heads * head_floats);
  const auto panels_of = [&](int64_t kv_head) {
    float* keys = decoded + kv_head * head_floats;
    return KvPanels{keys, keys + key_floats, count, used, shape.head_dim};
  };
  pool.ParallelFor(shape.kv_heads, [&](int64_t begin, int64_t end, int) {
    for (int64_t kv_head = begin; kv_head < end; ++kv_head) {
      const Rows rows = RowsOf(shape, cache, kv_head, start, used, isa);
      UAQF_KERNELS_PICK(isa, DecodeKv)(panels_of(kv_head), rows.keys, rows.values);
    }
  });
  const int64_t units = (tokens + kTokensPerUnit - 1) / kTokensPerUnit;
  const int64_t stride = shape.heads * shape.head_dim;
  const int64_t group = shape.heads / shape.kv_heads;
  pool.ParallelFor(shape.heads * units, [&](int64_t begin, int64_t end, int) {
    float* scores = LaneScores(internal::kAttentionTile * count);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t head = unit / units;
      const int64_t token = unit % units * kTokensPerUnit;
      const int64_t offset = token * stride + head * shape.head_dim;
      UAQF_KERNELS_PICK(isa, AttendTokens)
      (panels_of(head / group), {query + offset, out + offset, stride, std::min(kTokensPerUnit, tokens - token),
                                 first - start + token, shape.window, shape.scale, scores});
    }
  });
}

}  // namespace

void DecodeAttention(const AttentionShape& shape, const KvView& cache, int64_t position, const float* query, float* out,
                     ThreadPool& pool, Isa isa) {
  Decode(shape, cache, position, query, out, pool, isa);
}

void DecodeAttention(const AttentionShape& shape, const Int4KvView& cache, int64_t position, const float* query,
                     float* out, ThreadPool& pool, Isa isa) {
  Decode(shape, cache, position, query, out, pool, isa);
}

void PrefillAttention(const AttentionShape& shape, const KvView& cache, int64_t first, int64_t tokens,
                      const float* query, float* out, ThreadPool& pool, Isa isa) {
  Prefill(shape, cache, first, tokens, query, out, pool, isa);
}

void PrefillAttention(const AttentionShape& shape, const Int4KvView& cache, int64_t first, int64_t tokens,
                      const float* query, float* out, ThreadPool& pool, Isa isa) {
  Prefill(shape, cache, first, tokens, query, out, pool, isa);
}

}  // namespace uaqf::kernels
