#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

constexpr int64_t kPositions = 4;  // scored at once: their horizontal sums share their shuffles

// Registers hold kHeads x kBlocks sums of 16 dimensions each.
#if defined(__AVX512F__)
constexpr int kBlocks = 4;
#else
constexpr int kBlocks = 1;
#endif

inline void PrefetchRow(const uint16_t* row, int64_t head_dim) {
  for (int64_t d = 0; d < head_dim; d += 32) _mm_prefetch(reinterpret_cast<const char*>(row + d), _MM_HINT_T0);
}

inline F32 LoadHalfUpTo(const uint16_t* p, int64_t left) {
  return left >= kLanes ? LoadHalf(p) : LoadHalfFirst(p, left);
}

// scores[0 .. 4) = query . key of four positions.
inline void ScoreFour(const float* query, const uint16_t* keys, int64_t head_dim, __m128 scale, float* scores) {
  F32 acc[kPositions] = {Zero(), Zero(), Zero(), Zero()};
  for (int64_t d = 0; d < head_dim; d += kLanes) {
    const int64_t left = head_dim - d;
    const F32 q = left >= kLanes ? Load(query + d) : LoadFirst(query + d, left);
#pragma GCC unroll 4
    for (int i = 0; i < kPositions; ++i) acc[i] = MulAdd(q, LoadHalfUpTo(keys + i * head_dim + d, left), acc[i]);
  }
  _mm_storeu_ps(scores, _mm_mul_ps(SumLanesOfFour(acc[0], acc[1], acc[2], acc[3]), scale));
}

inline void ScoreAll(const AttentionRun& run, int64_t padded) {
  const __m128 scale = _mm_set1_ps(run.scale);
  int64_t i = 0;
  for (; i + kPositions <= run.count; i += kPositions) {
    // The values are read after all keys: fetch them meanwhile.
    for (int64_t j = i; j < i + kPositions; ++j) PrefetchRow(run.values + j * run.head_dim, run.head_dim);
    for (int64_t head = 0; head < run.heads; ++head) {
      ScoreFour(run.query + head * run.head_dim, run.keys + i * run.head_dim, run.head_dim, scale,
                run.scores + head * padded + i);
    }
  }
  for (int64_t head = 0; head < run.heads; ++head) {
    const float* query = run.query + head * run.head_dim;
    for (int64_t j = i; j < run.count; ++j) {
      F32 acc = Zero();
      for (int64_t d = 0; d < run.head_dim; d += kLanes) {
        const int64_t left = run.head_dim - d;
        const F32 q = left >= kLanes ? Load(query + d) : LoadFirst(query + d, left);
        acc = MulAdd(q, LoadHalfUpTo(run.keys + j * run.head_dim + d, left), acc);
      }
      run.scores[head * padded + j] = _mm_cvtss_f32(_mm_mul_ss(SumLanesOfFour(acc, Zero(), Zero(), Zero()), scale));
    }
    for (int64_t j = run.count; j < padded; ++j) run.scores[head * padded + j] = -__builtin_inff();
  }
}

// Turns a head's scores into exp(score - largest).
inline void Exponentials(const AttentionRun& run, int64_t head, int64_t padded) {
  float* scores = run.scores + head * padded;
  F32 largest = Load(scores);
  for (int64_t i = kLanes; i < padded; i += kLanes) largest = Max(largest, Load(scores + i));
  run.largest[head] = MaxLanes(largest);
  const F32 shift = Broadcast(run.largest[head]);
  F32 sum = Zero();
  for (int64_t i = 0; i < padded; i += kLanes) {
    // Padding becomes a subnormal number, nothing beside the largest score's 1.
    const F32 weight = Exp(Sub(Load(scores + i), shift));
    Store(scores + i, weight);
    sum = Add(sum, weight);
  }
  run.sum[head] = SumLanes(sum);
}

// out[head][d ..] for kHeads heads from `head` on and kWidth blocks of 16 dimensions; the last may have only `last`.
template <int kHeads, int kWidth>
inline void WeightedSum(const AttentionRun& run, int64_t padded, int64_t head, int64_t d, int64_t last) {
  F32 acc[kHeads][kWidth];
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
    for (int b = 0; b < kWidth; ++b) acc[h][b] = Zero();
  }
  const float* weights = run.scores + head * padded;
  const uint16_t* values = run.values + d;
  for (int64_t i = 0; i < run.count; ++i, values += run.head_dim) {
    F32 value[kWidth];
#pragma GCC unroll 4
    for (int b = 0; b < kWidth; ++b) value[b] = LoadHalfUpTo(values + b * kLanes, b == kWidth - 1 ? last : kLanes);
#pragma GCC unroll 4
    for (int h = 0; h < kHeads; ++h) {
      const F32 weight = Broadcast(weights[h * padded + i]);
#pragma GCC unroll 4
      for (int b = 0; b < kWidth; ++b) acc[h][b] = MulAdd(weight, value[b], acc[h][b]);
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
    float* out = run.out + (head + h) * run.head_dim + d;
#pragma GCC unroll 4
    for (int b = 0; b < kWidth; ++b) {
      if (b < kWidth - 1 || last == kLanes) {
        Store(out + b * kLanes, acc[h][b]);
      } else {
        StoreFirst(out + b * kLanes, last, acc[h][b]);
      }
    }
  }
}

template <int kHeads>
inline void WeightedSums(const AttentionRun& run, int64_t padded, int64_t head) {
  int64_t d = 0;
  for (; d + kBlocks * kLanes <= run.head_dim; d += kBlocks * kLanes) {
    WeightedSum<kHeads, kBlocks>(run, padded, head, d, kLanes);
  }
  for (; d < run.head_dim; d += kLanes) {
    const int64_t left = run.head_dim - d;
    WeightedSum<kHeads, 1>(run, padded, head, d, left < kLanes ? left : kLanes);
  }
}

}  // namespace

void AttendRun(const AttentionRun& run) {
  const int64_t padded = (run.count + kLanes - 1) / kLanes * kLanes;
  ScoreAll(run, padded);
  for (int64_t head = 0; head < run.heads; ++head) Exponentials(run, head, padded);
  int64_t head = 0;
  for (; head + 4 <= run.heads; head += 4) WeightedSums<4>(run, padded, head);
  if (run.heads - head == 3) return WeightedSums<3>(run, padded, head);
  if (run.heads - head == 2) return WeightedSums<2>(run, padded, head);
  if (run.heads - head == 1) return WeightedSums<1>(run, padded, head);
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
