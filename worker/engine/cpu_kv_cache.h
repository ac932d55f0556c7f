// Keys and values of all layers on the processor, FP16 or INT4.
#pragma once

#include <cstdint>

#include "kernels/aligned_buffer.h"
#include "kernels/attention.h"
#include "kernels/thread_pool.h"
#include "worker/model/model_config.h"
#include "worker/model/rope_table.h"

namespace uaqf::engine {

// Positions may be written by different threads; otherwise one caller at a time.
class CpuKvCache {
 public:
  // `bits`: 16 or 4. `rope`, of at least `capacity` positions, is borrowed.
  CpuKvCache(const model::ModelConfig& config, int bits, int64_t capacity, const model::RopeTable& rope);

  // Takes one token's query, key and value, FP32 [heads, head_dim], from before RoPE; turns the query in place.
  void Write(int64_t layer, int64_t position, float* query, float* key, const float* value);

  // Attention of one token at `position`, and of `tokens` from `first` on; see kernels/attention.h.
  void Attend(int64_t layer, int64_t position, const float* query, float* out, kernels::ThreadPool& pool) const;
  void AttendMany(int64_t layer, int64_t first, int64_t tokens, const float* query, float* out,
                  kernels::ThreadPool& pool) const;

  int64_t bytes() const { return buffer_.size(); }
  // Of one position in all layers: what a token reads for each position that it sees.
  int64_t position_bytes() const;

 private:
  const uint8_t* At(int64_t layer, bool values) const { return buffer_.data<uint8_t>() + (2 * layer + values) * part_; }
  uint8_t* At(int64_t layer, bool values) { return buffer_.data<uint8_t>() + (2 * layer + values) * part_; }
  kernels::KvView Fp16View(int64_t layer) const;
  kernels::Int4KvView Int4View(int64_t layer) const;

  const kernels::AttentionShape shape_;
  const int64_t layers_;
  const int bits_;
  const int64_t capacity_;
  const model::RopeTable& rope_;
  const int64_t part_;             // bytes of one layer's keys or values
  kernels::AlignedBuffer buffer_;  // [layer][keys, values]: FP16 [kv head][capacity][head_dim], or as int4_kv.h says
};

}  // namespace uaqf::engine
