#include "worker/quantize/zeroquant.h"

#include <algorithm>
#include <cmath>

#include "kernels/fp16.h"

namespace uaqf::quantize {
namespace {

float ScaleOf(std::span<const float> values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::fabs(value));
  return std::max(most, 1e-5F) / 128.0F;
}

// Half to even: the default rounding of the processor.
void Encode(std::span<const float> values, float scale, int8_t* codes) {
  for (size_t i = 0; i < values.size(); ++i) {
    codes[i] = static_cast<int8_t>(std::clamp(std::nearbyint(values[i] / scale), -128.0F, 127.0F));
  }
}

}  // namespace

QuantizedMatrix QuantizeZeroQuant(const Variant& variant, std::span<const float> weights, int64_t rows, int64_t columns,
                                  kernels::ThreadPool& pool) {
  QuantizedMatrix matrix;
  matrix.bits = 8;
  matrix.granularity = variant.granularity;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.group_size = variant.group_size;
  matrix.codes.resize(weights.size());
  const auto part = [&](int64_t begin, int64_t size) {
    return weights.subspan(static_cast<size_t>(begin), static_cast<size_t>(size));
  };
  if (variant.granularity == Granularity::kGroup) {
    matrix.group_scales.resize(weights.size() / static_cast<size_t>(variant.group_size));
    pool.ParallelFor(static_cast<int64_t>(matrix.group_scales.size()), [&](int64_t begin, int64_t end, int) {
      for (int64_t g = begin; g < end; ++g) {
        const std::span<const float> group = part(g * variant.group_size, variant.group_size);
        uint16_t& scale = matrix.group_scales[static_cast<size_t>(g)];
        scale = kernels::FloatToFp16(ScaleOf(group));
        Encode(group, kernels::Fp16ToFloat(scale), &matrix.codes[static_cast<size_t>(g * variant.group_size)]);
      }
    });
    return matrix;
  }
  const int64_t groups = std::min(rows, static_cast<int64_t>(variant.option("row-groups")));
  matrix.scales.resize(static_cast<size_t>(rows));
  pool.ParallelFor(groups, [&](int64_t begin, int64_t end, int) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * rows / groups;
      const int64_t last = (g + 1) * rows / groups;
      const std::span<const float> run = part(first * columns, (last - first) * columns);
      const float scale = ScaleOf(run);
      std::fill(matrix.scales.begin() + first, matrix.scales.begin() + last, scale);
      Encode(run, scale, &matrix.codes[static_cast<size_t>(first * columns)]);
    }
  });
  return matrix;
}

}  // namespace uaqf::quantize
