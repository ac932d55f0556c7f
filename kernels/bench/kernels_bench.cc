// Speed of the decode and prefill products over the matrices of a whole SmolLM2-135M, so that what is read is as large
// as what a token reads: one small matrix again and again would come from the cache. Counters: bytes per second against
// BM_Read over as many bytes, and for prefill FLOP per second.
//
//   kernels_bench --benchmark_filter='MatVec|Read'
#include <benchmark/benchmark.h>
#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/attention.h"
#include "kernels/bandwidth.h"
#include "kernels/int4_kv.h"
#include "kernels/matmul.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"

namespace uaqf::kernels {
namespace {

constexpr int64_t kLayers = 30;
constexpr int64_t kHidden = 576;
constexpr int64_t kKv = 192;
constexpr int64_t kInner = 1536;

enum Kind { kFp16, kInt8Row, kInt4Group64, kInt4Row, kInt4Zeros64, kInt4ActOrder64, kInt4Offsets32, kInt4TwoLevels32 };
constexpr const char* kKindNames[] = {"fp16",           "int8-row",           "int4-g64",  "int4-row",
                                      "int4-g64-zeros", "int4-g64-act-order", "gguf-q4_1", "gguf-q4_k"};

struct Layer {
  PackedMatrix q, k, v, o, gate, up, down;
};

// A lane on each processor this program may use: `taskset -c 0` gives one.
ThreadPool& Pool() {
  static ThreadPool* pool = [] {
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return ThreadPool::Create(cpus)->release();
  }();
  return *pool;
}

PackedMatrix Matrix(Kind kind, int64_t rows, int64_t cols) {
  if (kind == kFp16) return *PackedMatrix::FromFp16(rows, cols, std::vector<uint16_t>(rows * cols, 0x2e66));
  QuantizedWeights weights;
  weights.format = kind == kInt8Row ? WeightFormat::kInt8 : WeightFormat::kInt4;
  weights.rows = rows;
  weights.cols = cols;
  const std::vector<int8_t> codes(rows * cols, 3);
  weights.codes = codes;
  const std::vector<float> scales(rows, 0.01f);
  const bool gguf = kind == kInt4Offsets32 || kind == kInt4TwoLevels32;
  const int64_t group = gguf ? 32 : 64;
  const std::vector<uint16_t> halves(rows * (cols / group), 0x211f);
  const std::vector<int8_t> bytes(rows * (cols / group), 1);
  std::vector<int32_t> order(cols);
  for (int64_t col = 0; col < cols; ++col) order[col] = static_cast<int32_t>(col * 5 % cols);
  if (kind == kInt4Zeros64 || kind == kInt4ActOrder64) weights.group_zeros = bytes;
  if (kind == kInt4ActOrder64) weights.gather = order;
  if (gguf) {
    weights.zero = -8;
    weights.group_offsets = halves;
  }
  if (kind == kInt4TwoLevels32) {
    weights.block_groups = 8;
    weights.group_offsets = std::span(halves).first(rows * ((cols / group + 7) / 8));
    weights.scale_factors = weights.offset_factors = bytes;
  }
  if (kind == kInt4TwoLevels32) {
    weights.group_scales = weights.group_offsets;
  } else if (kind != kInt8Row && kind != kInt4Row) {
    weights.group_scales = halves;
  }
  if (!weights.group_scales.empty()) {
    weights.granularity = ScaleGranularity::kPerGroup;
    weights.group_size = group;
  } else {
    weights.scales = scales;
  }
  return *PackedMatrix::FromQuantized(weights);
}

std::vector<Layer> Model(Kind kind) {
  std::vector<Layer> layers;
  for (int64_t i = 0; i < kLayers; ++i) {
    layers.push_back({Matrix(kind, kHidden, kHidden), Matrix(kind, kKv, kHidden), Matrix(kind, kKv, kHidden),
                      Matrix(kind, kHidden, kHidden), Matrix(kind, kInner, kHidden), Matrix(kind, kInner, kHidden),
                      Matrix(kind, kHidden, kInner)});
  }
  return layers;
}

int64_t BytesOf(const std::vector<Layer>& layers) {
  int64_t bytes = 0;
  for (const Layer& l : layers) {
    for (const PackedMatrix* m : {&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down}) bytes += m->bytes();
  }
  return bytes;
}

// Buffers for `tokens` tokens.
struct Buffers {
  explicit Buffers(int64_t tokens)
      : x(tokens * kInner, 0.1f),
        q(tokens * kHidden),
        k(tokens * kKv),
        v(tokens * kKv),
        y(tokens * kHidden),
        gate(tokens * kInner),
        up(tokens * kInner) {}
  std::vector<float> x, q, k, v, y, gate, up;
};

Activations ActivationsOf(const benchmark::State& state) {
  return state.range(1) == 8 ? Activations::kInt8 : Activations::kFloat;
}

void BM_MatVec(benchmark::State& state) {
  const Kind kind = static_cast<Kind>(state.range(0));
  const std::vector<Layer> layers = Model(kind);
  Buffers b(1);
  const Activations activations = ActivationsOf(state);
  const ThreadPool::ActiveRegion region(Pool());
  for (auto _ : state) {
    for (const Layer& l : layers) {
      const Product qkv[] = {{&l.q, b.q.data()}, {&l.k, b.k.data()}, {&l.v, b.v.data()}};
      const Product out[] = {{&l.o, b.y.data()}};
      const Product down[] = {{&l.down, b.y.data()}};
      MatVec(qkv, b.x.data(), activations, Pool());
      MatVec(out, b.x.data(), activations, Pool());
      MatVecGated(l.gate, l.up, b.x.data(), b.gate.data(), activations, Pool());
      MatVec(down, b.gate.data(), activations, Pool());
    }
  }
  state.SetLabel(kKindNames[kind]);
  state.SetBytesProcessed(state.iterations() * BytesOf(layers));
}
BENCHMARK(BM_MatVec)
    ->ArgNames({"kind", "activation_bits"})
    ->Args({kFp16, 32})
    ->Args({kInt8Row, 32})
    ->Args({kInt8Row, 8})
    ->Args({kInt4Group64, 32})
    ->Args({kInt4Row, 32})
    ->Args({kInt4Row, 8})
    ->Args({kInt4Zeros64, 32})
    ->Args({kInt4ActOrder64, 32})
    ->Args({kInt4Offsets32, 32})
    ->Args({kInt4TwoLevels32, 32})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_MatMul(benchmark::State& state) {
  const Kind kind = static_cast<Kind>(state.range(0));
  const int64_t tokens = state.range(2);
  const std::vector<Layer> layers = Model(kind);
  Buffers b(tokens);
  const Activations activations = ActivationsOf(state);
  const ThreadPool::ActiveRegion region(Pool());
  for (auto _ : state) {
    for (const Layer& l : layers) {
      const Product qkv[] = {{&l.q, b.q.data()}, {&l.k, b.k.data()}, {&l.v, b.v.data()}};
      const Product out[] = {{&l.o, b.y.data()}};
      const Product gated[] = {{&l.gate, b.gate.data()}, {&l.up, b.up.data()}};
      const Product down[] = {{&l.down, b.y.data()}};
      MatMul(qkv, b.x.data(), tokens, activations, Pool());
      MatMul(out, b.x.data(), tokens, activations, Pool());
      MatMul(gated, b.x.data(), tokens, activations, Pool());
      MatMul(down, b.gate.data(), tokens, activations, Pool());
    }
  }
  const double weights = kLayers * (2.0 * kHidden * kHidden + 2.0 * kKv * kHidden + 3.0 * kInner * kHidden);
  state.SetLabel(kKindNames[kind]);
  state.counters["FLOP"] = benchmark::Counter(
      2 * weights * static_cast<double>(tokens) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_MatMul)
    ->ArgNames({"kind", "activation_bits", "tokens"})
    ->ArgsProduct({{kFp16, kInt8Row, kInt4Group64}, {32}, {16, 100, 512}})
    ->ArgsProduct({{kInt8Row, kInt4Row}, {8}, {16, 100, 512}})
    ->ArgsProduct({{kInt4Zeros64, kInt4ActOrder64, kInt4TwoLevels32}, {32}, {100}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// One layer's keys and values of so many positions, FP16 or INT4.
struct KvCaches {
  static constexpr AttentionShape kShape = {9, 3, 64, 0, 0.125f};
  std::vector<uint16_t> fp16;
  std::vector<uint8_t> int4;
  std::vector<float> angles;
  int64_t capacity;

  explicit KvCaches(int64_t positions)
      : fp16(kShape.kv_heads * positions * kShape.head_dim, 0x3800),
        int4(Int4KvBytes(kShape.kv_heads, kShape.head_dim, positions)),
        angles(positions * kShape.head_dim / 2, 0.6f),
        capacity(positions) {
    const std::vector<float> row = [] {
      std::vector<float> values;
      for (int64_t i = 0; i < kShape.kv_heads * kShape.head_dim; ++i) values.push_back(static_cast<float>(i % 17) - 8);
      return values;
    }();
    for (int64_t p = 0; p < positions; ++p) {
      WriteInt4Kv(row.data(), kShape.kv_heads, kShape.head_dim, positions, p, int4.data());
    }
  }
  KvView Fp16() const { return {fp16.data(), fp16.data(), capacity}; }
  Int4KvView Int4() const { return {int4.data(), int4.data(), capacity, angles.data(), angles.data()}; }
};

// One layer's attention of a token with state.range(0) positions before it.
void BM_DecodeAttention(benchmark::State& state, bool int4) {
  const int64_t position = state.range(0);
  const KvCaches caches(position + 1);
  const std::vector<float> query(kHidden, 0.1f);
  std::vector<float> out(kHidden);
  const ThreadPool::ActiveRegion region(Pool());
  for (auto _ : state) {
    if (int4) {
      DecodeAttention(KvCaches::kShape, caches.Int4(), position, query.data(), out.data(), Pool());
    } else {
      DecodeAttention(KvCaches::kShape, caches.Fp16(), position, query.data(), out.data(), Pool());
    }
  }
}
BENCHMARK_CAPTURE(BM_DecodeAttention, fp16, false)
    ->Arg(100)
    ->Arg(500)
    ->Arg(2000)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_DecodeAttention, int4, true)
    ->Arg(100)
    ->Arg(500)
    ->Arg(2000)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// One layer's attention of a whole prompt.
void BM_PrefillAttention(benchmark::State& state, bool int4) {
  const int64_t tokens = state.range(0);
  const KvCaches caches(tokens);
  const std::vector<float> query(tokens * kHidden, 0.1f);
  std::vector<float> out(tokens * kHidden);
  const ThreadPool::ActiveRegion region(Pool());
  for (auto _ : state) {
    if (int4) {
      PrefillAttention(KvCaches::kShape, caches.Int4(), 0, tokens, query.data(), out.data(), Pool());
    } else {
      PrefillAttention(KvCaches::kShape, caches.Fp16(), 0, tokens, query.data(), out.data(), Pool());
    }
  }
}
BENCHMARK_CAPTURE(BM_PrefillAttention, fp16, false)
    ->Arg(100)
    ->Arg(512)
    ->Arg(2048)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_PrefillAttention, int4, true)
    ->Arg(100)
    ->Arg(512)
    ->Arg(2048)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void BM_Read(benchmark::State& state) {
  double best = 0;
  for (auto _ : state) best = std::max(best, MeasureReadGbps(state.range(0) << 20, 5, Pool()));
  state.counters["GB/s"] = best;
}
BENCHMARK(BM_Read)->ArgName("MiB")->Arg(52)->Arg(102)->Arg(203)->Iterations(5)->UseRealTime();

void BM_Barrier(benchmark::State& state) {
  const ThreadPool::ActiveRegion region(Pool());
  for (auto _ : state) Pool().ParallelFor(Pool().lanes(), [](int64_t, int64_t, int) {});
}
BENCHMARK(BM_Barrier)->UseRealTime();

}  // namespace
}  // namespace uaqf::kernels

BENCHMARK_MAIN();
