#pragma once

#include <cstdint>

#include "kernels/isa.h"
#include "kernels/thread_pool.h"

namespace uaqf::kernels {

// One layer's keys or values: FP16 bits [kv_heads][capacity][head_dim], borrowed.
struct KvView {
  const uint16_t* keys = nullptr;
  const uint16_t* values = nullptr;
  int64_t capacity = 0;  // positions between one head and the next
};

// The same in INT4 (int4_kv.h), borrowed. Keys are turned as they are read.
struct Int4KvView {
  const uint8_t* keys = nullptr;
  const uint8_t* values = nullptr;
  int64_t capacity = 0;
  const float* cos = nullptr;  // [capacity][head_dim / 2]: RoPE's angles of every position
  const float* sin = nullptr;
};

struct AttentionShape {
  int64_t heads = 0;  // query heads, a multiple of kv_heads; head h reads KV head h / (heads / kv_heads)
  int64_t kv_heads = 0;
  int64_t head_dim = 0;  // any, at most 256
  int64_t window = 0;    // sliding window: a token sees itself and the window-1 before it; 0: all
  float scale = 0;       // usually 1 / sqrt(head_dim)
};

// Attention of one token at `position`, whose own key and value are already in the cache: it reads positions
// [max(0, position - window + 1), position]. query, out: [heads, head_dim]. Softmax and sums in FP32.
// The result does not depend on the number of lanes. What INT4 codes stand for is rounded to FP16 first.
void DecodeAttention(const AttentionShape& shape, const KvView& cache, int64_t position, const float* query, float* out,
                     ThreadPool& pool, Isa isa = ActiveIsa());
void DecodeAttention(const AttentionShape& shape, const Int4KvView& cache, int64_t position, const float* query,
                     float* out, ThreadPool& pool, Isa isa = ActiveIsa());

// The same for `tokens` tokens at positions first .. first + tokens - 1, all in the cache: causal prefill.
// query, out: [tokens, heads, head_dim].
void PrefillAttention(const AttentionShape& shape, const KvView& cache, int64_t first, int64_t tokens,
                      const float* query, float* out, ThreadPool& pool, Isa isa = ActiveIsa());
void PrefillAttention(const AttentionShape& shape, const Int4KvView& cache, int64_t first, int64_t tokens,
                      const float* query, float* out, ThreadPool& pool, Isa isa = ActiveIsa());

}  // namespace uaqf::kernels
