// A linear layer of an AWQ release in the "gemm" order (AutoAWQ and most files of the hub): 4 bits, groups of inputs
// along the rows.
//
//   qweight  I32 [in, out / 8]      nibble n of a word, from the low one up, is output 0, 2, 4, 6, 1, 3, 5, 7 [n] of 8
//   qzeros   I32 [groups, out / 8]  the same
//   scales   F16 [groups, out]
#pragma once

#include "absl/status/statusor.h"
#include "worker/model/quantization_config.h"
#include "worker/model/raw_tensor.h"
#include "worker/model/stored_matrix.h"

namespace uaqf::model {

struct AwqLayer {
  RawTensor qweight;
  RawTensor qzeros;
  RawTensor scales;
};

// Rows of the layer of [rows, columns] = [out, in]. INVALID_ARGUMENT when a tensor has another type or shape than that
// asks for, or a scale is not finite.
absl::StatusOr<StoredMatrix> ReadAwq(const AwqLayer& layer, const QuantizationConfig& config, int64_t rows,
                                     int64_t columns, RowRange range);

}  // namespace uaqf::model
