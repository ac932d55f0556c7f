#include "worker/quantize/absmax.h"

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

float ScaleOf(float absmax, int steps) { return std::max(absmax, 1e-5F) / static_cast<float>(steps); }

void Encode(std::span<const float> values, float scale, int bits, int8_t* codes) {
  const auto half = static_cast<float>(1 << (bits - 1));
  for (size_t i = 0; i < values.size(); ++i) {
    codes[i] = static_cast<int8_t>(std::clamp(RoundHalfEven(values[i] / scale), -half, half - 1.0F));
  }
}

void EncodeGroups(std::span<const float> weights, int steps, kernels::ThreadPool& pool, QuantizedMatrix& matrix) {
  const auto size = static_cast<size_t>(matrix.group_size);
  matrix.group_scales.resize(weights.size() / size);
  pool.ParallelFor(static_cast<int64_t>(matrix.group_scales.size()), [&](int64_t begin, int64_t end, int) {
    for (auto g = static_cast<size_t>(begin); g < static_cast<size_t>(end); ++g) {
      const std::span<const float> group = weights.subspan(g * size, size);
      matrix.group_scales[g] = kernels::FloatToFp16(ScaleOf(AbsMax(group), steps));
      Encode(group, kernels::Fp16ToFloat(matrix.group_scales[g]), matrix.bits, &matrix.codes[g * size]);
    }
  });
}

void EncodeRows(std::span<const float> weights, int steps, int64_t runs, kernels::ThreadPool& pool,
                QuantizedMatrix& matrix) {
  const auto width = static_cast<size_t>(matrix.columns);
  const auto row = [&](int64_t r) { return weights.subspan(static_cast<size_t>(r) * width, width); };
  std::vector<float> scales(static_cast<size_t>(matrix.rows));
  pool.ParallelFor(matrix.rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) scales[static_cast<size_t>(r)] = AbsMax(row(r));
  });
  for (int64_t run = 0; run < runs; ++run) {
    const auto first = scales.begin() + run * matrix.rows / runs;
    const auto last = scales.begin() + (run + 1) * matrix.rows / runs;
    std::fill(first, last, ScaleOf(*std::max_element(first, last), steps));
  }
  pool.ParallelFor(matrix.rows, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const auto at = static_cast<size_t>(r);
      Encode(row(r), scales[at], matrix.bits, &matrix.codes[at * width]);
    }
  });
  if (matrix.granularity == Granularity::kTensor) scales.resize(1);
  matrix.scales = std::move(scales);
}

}  // namespace

QuantizedMatrix QuantizeByAbsmax(const Variant& variant, int steps, int64_t runs, std::span<const float> weights,
                                 int64_t rows, int64_t columns, kernels::ThreadPool& pool) {
  QuantizedMatrix matrix;
  matrix.bits = variant.weight_bits;
  matrix.granularity = variant.granularity;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.group_size = variant.group_size;
  matrix.codes.resize(weights.size());
  if (variant.granularity == Granularity::kGroup) {
    EncodeGroups(weights, steps, pool, matrix);
  } else {
    EncodeRows(weights, steps, runs, pool, matrix);
  }
  return matrix;
}

}  // namespace uaqf::quantize
