#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

inline float Dot(const float* query, const uint16_t* key, int64_t head_dim) {
  F32 even = Zero();
  F32 odd = Zero();
  int64_t d = 0;
  for (; d + 2 * kLanes <= head_dim; d += 2 * kLanes) {
    even = MulAdd(Load(query + d), LoadHalf(key + d), even);
    odd = MulAdd(Load(query + d + kLanes), LoadHalf(key + d + kLanes), odd);
  }
  for (; d < head_dim; d += kLanes) {
    const int64_t left = head_dim - d;
    even = left >= kLanes ? MulAdd(Load(query + d), LoadHalf(key + d), even)
                          : MulAdd(LoadFirst(query + d, left), LoadHalfFirst(key + d, left), even);
  }
  return SumLanes(Add(even, odd));
}

// Turns scores into exp(score - largest) and returns their sum. Rows are padded to whole registers with minus infinity.
inline float Exponentials(float* scores, int64_t padded) {
  F32 largest = Load(scores);
  for (int64_t i = kLanes; i < padded; i += kLanes) largest = Max(largest, Load(scores + i));
  const F32 shift = Broadcast(MaxLanes(largest));
  F32 sum = Zero();
  for (int64_t i = 0; i < padded; i += kLanes) {
    const F32 weight = Exp(Sub(Load(scores + i), shift));
    Store(scores + i, weight);
    sum = Add(sum, weight);
  }
  return SumLanes(sum);
}

// out[0 .. 16 kBlocks) = sum of weights[i] * values[i] / total over the positions.
template <int kBlocks>
inline void WeightedSum(const float* weights, const uint16_t* values, int64_t count, int64_t head_dim, float total,
                        float* out) {
  F32 acc[kBlocks][2];
  for (int b = 0; b < kBlocks; ++b) acc[b][0] = acc[b][1] = Zero();
  int64_t i = 0;
  for (; i + 1 < count; i += 2) {
    const F32 w0 = Broadcast(weights[i]);
    const F32 w1 = Broadcast(weights[i + 1]);
    for (int b = 0; b < kBlocks; ++b) {
      acc[b][0] = MulAdd(w0, LoadHalf(values + i * head_dim + b * kLanes), acc[b][0]);
      acc[b][1] = MulAdd(w1, LoadHalf(values + (i + 1) * head_dim + b * kLanes), acc[b][1]);
    }
  }
  if (i < count) {
    for (int b = 0; b < kBlocks; ++b) {
      acc[b][0] = MulAdd(Broadcast(weights[i]), LoadHalf(values + i * head_dim + b * kLanes), acc[b][0]);
    }
  }
  for (int b = 0; b < kBlocks; ++b) {
    Store(out + b * kLanes, Div(Add(acc[b][0], acc[b][1]), Broadcast(total)));
  }
}

inline void WeightedTail(const float* weights, const uint16_t* values, int64_t count, int64_t head_dim, int64_t width,
                         float total, float* out) {
  F32 acc = Zero();
  for (int64_t i = 0; i < count; ++i) {
    acc = MulAdd(Broadcast(weights[i]), LoadHalfFirst(values + i * head_dim, width), acc);
  }
  StoreFirst(out, width, Div(acc, Broadcast(total)));
}

}  // namespace

void AttendHead(const float* query, const uint16_t* keys, const uint16_t* values, int64_t count, int64_t head_dim,
                float scale, float* scores, float* out) {
  for (int64_t i = 0; i < count; ++i) scores[i] = Dot(query, keys + i * head_dim, head_dim) * scale;
  const int64_t padded = (count + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = count; i < padded; ++i) scores[i] = -__builtin_inff();
  // exp(-inf) comes out as the smallest normal's neighbourhood, nothing beside the largest score's weight of 1.
  const float total = Exponentials(scores, padded);
  int64_t d = 0;
  for (; d + 4 * kLanes <= head_dim; d += 4 * kLanes) {
    WeightedSum<4>(scores, values + d, count, head_dim, total, out + d);
  }
  for (; d + kLanes <= head_dim; d += kLanes) {
    WeightedSum<1>(scores, values + d, count, head_dim, total, out + d);
  }
  if (d < head_dim) WeightedTail(scores, values + d, count, head_dim, head_dim - d, total, out + d);
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
