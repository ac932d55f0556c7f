#include "kernels/int4_kv.h"

#include <algorithm>
#include <cmath>

#include "kernels/fp16.h"

namespace uaqf::kernels {
namespace {

constexpr float kMost = 15.0F;
constexpr int64_t kMostDim = 256;

struct Grid {
  uint16_t scale_bits;
  float scale;
  float zero;
};

Grid GridOf(float least, float most) {
  uint16_t bits = FloatToFp16((most - least) / kMost);
  if (Fp16ToFloat(bits) == 0) {
    least = std::min(least, 0.0F);
    bits = FloatToFp16((std::max(most, 0.0F) - least) / kMost);
  }
  const float scale = Fp16ToFloat(bits);
  return {bits, scale, scale == 0 ? 0 : std::clamp(std::nearbyint(-least / scale), 0.0F, kMost)};
}

void QuantizeRow(const float* values, int64_t head_dim, uint16_t* pair, uint8_t* codes) {
  const auto [least, most] = std::minmax_element(values, values + head_dim);
  const Grid grid = GridOf(*least, *most);
  pair[0] = grid.scale_bits;
  pair[1] = FloatToFp16(grid.zero);
  const auto code = [&grid](float value) {
    if (grid.scale == 0) return 0;
    return static_cast<int>(std::clamp(std::nearbyint(value / grid.scale) + grid.zero, 0.0F, kMost));
  };
  const int64_t half = head_dim / 2;
  for (int64_t b = 0; b < half; ++b) codes[b] = static_cast<uint8_t>(code(values[b]) | code(values[b + half]) << 4);
}

}  // namespace

void WriteInt4Kv(const float* source, int64_t kv_heads, int64_t head_dim, int64_t capacity, int64_t position,
                 uint8_t* cache, Isa isa) {
  auto* pairs = reinterpret_cast<uint16_t*>(cache);
  uint8_t* codes = cache + kv_heads * capacity * 4;
  uint16_t rounded[kMostDim];
  float values[kMostDim];
  for (int64_t head = 0; head < kv_heads; ++head) {
    FloatToFp16(source + head * head_dim, head_dim, rounded, isa);
    Fp16ToFloat(rounded, head_dim, values, isa);
    const int64_t row = head * capacity + position;
    QuantizeRow(values, head_dim, pairs + row * 2, codes + row * (head_dim / 2));
  }
}

}  // namespace uaqf::kernels
