#include "worker/engine/cpu_kv_cache.h"

#include <cmath>

#include "kernels/int4_kv.h"
#include "kernels/kv_write.h"
#include "kernels/rope.h"

namespace uaqf::engine {
namespace {

constexpr int64_t kFp16Bytes = 2;
// So that every part starts where an FP16 number may.
constexpr int64_t kPartUnit = 64;

kernels::AttentionShape ShapeOf(const model::ModelConfig& config) {
  kernels::AttentionShape shape;
  shape.heads = config.heads;
  shape.kv_heads = config.kv_heads;
  shape.head_dim = config.head_dim;
  shape.window = config.sliding_window;
  shape.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  return shape;
}

// Bytes of `positions` keys, or values, of a layer.
int64_t BytesOf(const kernels::AttentionShape& shape, int bits, int64_t positions) {
  return bits == 4 ? kernels::Int4KvBytes(shape.kv_heads, shape.head_dim, positions)
                   : shape.kv_heads * positions * shape.head_dim * kFp16Bytes;
}

}  // namespace

CpuKvCache::CpuKvCache(const model::ModelConfig& config, int bits, int64_t capacity, const model::RopeTable& rope)
    : shape_(ShapeOf(config)),
      layers_(config.layers),
      bits_(bits),
      capacity_(capacity),
      rope_(rope),
      part_((BytesOf(shape_, bits, capacity) + kPartUnit - 1) / kPartUnit * kPartUnit),
      buffer_(layers_ * 2 * part_) {}

void CpuKvCache::Write(int64_t layer, int64_t position, float* query, float* key, const float* value) {
  const int64_t dim = shape_.head_dim;
  const int64_t heads = shape_.kv_heads;
  const float* cos = rope_.cos(position);
  const float* sin = rope_.sin(position);
  kernels::ApplyRope(query, shape_.heads, dim, dim, cos, sin);
  if (bits_ == 4) {
    kernels::WriteInt4Kv(key, heads, dim, capacity_, position, At(layer, false));
    kernels::WriteInt4Kv(value, heads, dim, capacity_, position, At(layer, true));
    return;
  }
  kernels::ApplyRope(key, heads, dim, dim, cos, sin);
  kernels::WriteKv(key, heads, dim, capacity_, position, reinterpret_cast<uint16_t*>(At(layer, false)));
  kernels::WriteKv(value, heads, dim, capacity_, position, reinterpret_cast<uint16_t*>(At(layer, true)));
}

void CpuKvCache::Attend(int64_t layer, int64_t position, const float* query, float* out,
                        kernels::ThreadPool& pool) const {
  if (bits_ == 4) return kernels::DecodeAttention(shape_, Int4View(layer), position, query, out, pool);
  kernels::DecodeAttention(shape_, Fp16View(layer), position, query, out, pool);
}

void CpuKvCache::AttendMany(int64_t layer, int64_t first, int64_t tokens, const float* query, float* out,
                            kernels::ThreadPool& pool) const {
  if (bits_ == 4) return kernels::PrefillAttention(shape_, Int4View(layer), first, tokens, query, out, pool);
  kernels::PrefillAttention(shape_, Fp16View(layer), first, tokens, query, out, pool);
}

int64_t CpuKvCache::position_bytes() const { return layers_ * 2 * BytesOf(shape_, bits_, 1); }

kernels::KvView CpuKvCache::Fp16View(int64_t layer) const {
  return {reinterpret_cast<const uint16_t*>(At(layer, false)), reinterpret_cast<const uint16_t*>(At(layer, true)),
          capacity_};
}

kernels::Int4KvView CpuKvCache::Int4View(int64_t layer) const {
  return {At(layer, false), At(layer, true), capacity_, rope_.cos(0), rope_.sin(0)};
}

}  // namespace uaqf::engine
