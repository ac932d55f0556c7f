#include "worker/quantize/rtn.h"

#include <algorithm>
#include <cmath>

#include "kernels/fp16.h"

namespace uaqf::quantize {
namespace {

// Half to even below 2^22, far above any code: past 1.5 * 2^23 a float has no fraction left. Unlike rintf this
// vectorizes on any x86-64.
float RoundHalfEven(float x) {
  constexpr float kMagic = 12582912.0F;
  return (x + kMagic) - kMagic;
}

float AbsMax(std::span<const float> values) {
  float most = 0.0F;
  for (const float value : values) most = std::max(most, std::fabs(value));
  return most;
}

float ScaleOf(float absmax, int bits) { return std::max(absmax, 1e-5F) / static_cast<float>((1 << (bits - 1)) - 1); }

void Encode(std::span<const float> values, float scale, int8_t* codes) {
  for (size_t i = 0; i < values.size(); ++i) codes[i] = static_cast<int8_t>(RoundHalfEven(values[i] / scale));
}

}  // namespace

QuantizedMatrix QuantizeRtn(const Variant& variant, std::span<const float> weights, int64_t rows, int64_t columns,
                            kernels::ThreadPool& pool) {
  const auto width = static_cast<size_t>(columns);
  const auto row = [&](int64_t r) { return weights.subspan(static_cast<size_t>(r) * width, width); };
  QuantizedMatrix result;
  result.bits = variant.weight_bits;
  result.granularity = variant.granularity;
  result.rows = rows;
  result.columns = columns;
  result.group_size = variant.group_size;
  result.codes.resize(weights.size());

  if (variant.granularity == Granularity::kGroup) {
    const auto size = static_cast<size_t>(variant.group_size);
    const size_t groups = width / size;
    result.group_scales.resize(static_cast<size_t>(rows) * groups);
    pool.ParallelFor(rows * static_cast<int64_t>(groups), [&](int64_t begin, int64_t end, int) {
      for (auto g = static_cast<size_t>(begin); g < static_cast<size_t>(end); ++g) {
        const std::span<const float> group = weights.subspan(g * size, size);
        result.group_scales[g] = kernels::FloatToFp16(ScaleOf(AbsMax(group), variant.weight_bits));
        Encode(group, kernels::Fp16ToFloat(result.group_scales[g]), &result.codes[g * size]);
      }
    });
    return result;
  }

  std::vector<float> absmax(static_cast<size_t>(rows));
  pool.ParallelFor(rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) absmax[static_cast<size_t>(r)] = AbsMax(row(r));
  });
  if (variant.granularity == Granularity::kTensor) {
    result.scales.assign(1, ScaleOf(AbsMax(absmax), variant.weight_bits));
  } else {
    for (const float most : absmax) result.scales.push_back(ScaleOf(most, variant.weight_bits));
  }
  const bool per_row = variant.granularity == Granularity::kChannel;
  pool.ParallelFor(rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float scale = result.scales[per_row ? static_cast<size_t>(r) : 0];
      Encode(row(r), scale, &result.codes[static_cast<size_t>(r) * width]);
    }
  });
  return result;
}

}  // namespace uaqf::quantize
