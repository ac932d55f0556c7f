#include "worker/quantize/pack.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/fp16.h"
#include "worker/quantize/rtn.h"
#include "worker/quantize/zeroquant.h"

namespace uaqf::quantize {
namespace {

constexpr int64_t kChunk = 1 << 16;

absl::StatusOr<kernels::PackedMatrix> PackFp16(std::span<const float> weights, int64_t rows, int64_t columns,
                                               kernels::ThreadPool& pool) {
  std::vector<uint16_t> bits(weights.size());
  pool.ParallelFor(static_cast<int64_t>(weights.size()), [&](int64_t begin, int64_t end, int) {
    kernels::FloatToFp16(weights.data() + begin, end - begin, bits.data() + begin);
  });
  return kernels::PackedMatrix::FromFp16(rows, columns, bits);
}

kernels::ScaleGranularity GranularityOf(Granularity granularity) {
  switch (granularity) {
    case Granularity::kGroup:
      return kernels::ScaleGranularity::kPerGroup;
    case Granularity::kChannel:
      return kernels::ScaleGranularity::kPerRow;
    default:
      return kernels::ScaleGranularity::kPerTensor;
  }
}

// Codes, scales without groups, and the order of columns: what both kinds of matrices name alike.
template <typename Matrix>
kernels::QuantizedWeights WeightsOf(const Matrix& matrix) {
  kernels::QuantizedWeights weights;
  weights.format = matrix.bits == 4 ? kernels::WeightFormat::kInt4 : kernels::WeightFormat::kInt8;
  weights.rows = matrix.rows;
  weights.cols = matrix.columns;
  weights.codes = matrix.codes;
  weights.scales = matrix.scales;
  weights.gather = matrix.order;
  return weights;
}

bool HasZeros(const model::StoredMatrix& matrix) {
  return matrix.zero != 0 ||
         std::any_of(matrix.group_zeros.begin(), matrix.group_zeros.end(), [](int8_t zero) { return zero != 0; });
}

}  // namespace

absl::Status RoundToFp16(std::span<float> weights, kernels::ThreadPool& pool) {
  std::atomic<bool> finite{true};
  pool.ParallelFor(static_cast<int64_t>(weights.size()), [&](int64_t begin, int64_t end, int) {
    std::vector<uint16_t> bits(static_cast<size_t>(std::min(kChunk, end - begin)));
    for (int64_t at = begin; at < end; at += kChunk) {
      const int64_t count = std::min(kChunk, end - at);
      float* values = weights.data() + at;
      kernels::FloatToFp16(values, count, bits.data());
      kernels::Fp16ToFloat(bits.data(), count, values);
      if (!std::all_of(values, values + count, [](float value) { return std::isfinite(value); })) finite = false;
    }
  });
  if (finite) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "got weights that are not finite or above 65504, expected values that FP16 can hold; the FP16 baseline cannot be "
      "made of this checkpoint");
}

absl::StatusOr<kernels::PackedMatrix> PackLinear(const Variant& variant, std::span<const float> weights, int64_t rows,
                                                 int64_t columns, kernels::ThreadPool& pool) {
  if (static_cast<int64_t>(weights.size()) != rows * columns) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", weights.size(), " weights, expected ", rows, " x ", columns));
  }
  if (variant.method == Method::kNone) return PackFp16(weights, rows, columns, pool);
  return Pack(variant.method == Method::kZeroQuant ? QuantizeZeroQuant(variant, weights, rows, columns, pool)
                                                   : QuantizeRtn(variant, weights, rows, columns, pool));
}

absl::StatusOr<kernels::PackedMatrix> Pack(const QuantizedMatrix& matrix) {
  kernels::QuantizedWeights weights = WeightsOf(matrix);
  weights.granularity = GranularityOf(matrix.granularity);
  weights.group_size = matrix.group_size;
  weights.group_scales = matrix.group_scales;
  weights.group_zeros = matrix.zeros;
  return kernels::PackedMatrix::FromQuantized(weights);
}

absl::StatusOr<kernels::PackedMatrix> Pack(const model::StoredMatrix& matrix) {
  kernels::QuantizedWeights weights = WeightsOf(matrix);
  const bool zeros = HasZeros(matrix);
  std::vector<float> row_scales;
  if (matrix.group_size == 0) {
    weights.granularity =
        matrix.scales.size() == 1 ? kernels::ScaleGranularity::kPerTensor : kernels::ScaleGranularity::kPerRow;
  } else if (matrix.groups() == 1 && !zeros && matrix.block_groups == 0 && matrix.group_offsets.empty()) {
    for (const uint16_t bits : matrix.group_scales) row_scales.push_back(kernels::Fp16ToFloat(bits));
    weights.granularity = kernels::ScaleGranularity::kPerRow;
    weights.scales = row_scales;
  } else {
    weights.granularity = kernels::ScaleGranularity::kPerGroup;
    weights.group_size = matrix.group_size;
    weights.block_groups = matrix.block_groups;
    weights.group_scales = matrix.group_scales;
    weights.group_offsets = matrix.group_offsets;
    weights.scale_factors = matrix.scale_factors;
    weights.offset_factors = matrix.offset_factors;
    if (zeros) weights.group_zeros = matrix.group_zeros;
    weights.zero = matrix.zero;
  }
  return kernels::PackedMatrix::FromQuantized(weights);
}

}  // namespace uaqf::quantize
