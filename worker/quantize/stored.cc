#include "worker/quantize/stored.h"

#include <algorithm>
#include <vector>

#include "kernels/fp16.h"

namespace uaqf::quantize {

absl::StatusOr<kernels::PackedMatrix> PackStored(const model::StoredMatrix& matrix) {
  kernels::QuantizedWeights weights;
  weights.format = matrix.bits == 4 ? kernels::WeightFormat::kInt4 : kernels::WeightFormat::kInt8;
  weights.rows = matrix.rows;
  weights.cols = matrix.columns;
  weights.codes = matrix.codes;
  weights.gather = matrix.order;
  std::vector<float> row_scales;
  const bool zeros = std::any_of(matrix.group_zeros.begin(), matrix.group_zeros.end(), [](int8_t z) { return z != 0; });
  if (matrix.group_size == 0) {
    weights.granularity =
        matrix.scales.size() == 1 ? kernels::ScaleGranularity::kPerTensor : kernels::ScaleGranularity::kPerRow;
    weights.scales = matrix.scales;
  } else if (matrix.groups() == 1 && !zeros && matrix.zero == 0 && matrix.block_groups == 0 &&
             matrix.group_offsets.empty()) {
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
