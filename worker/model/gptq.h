// A linear layer of a GPTQ release (AutoGPTQ, GPTQModel): bits per weight b = 4 or 8, groups of inputs along the rows.
//
//   qweight  I32 [in * b / 32, out]      the 32 / b inputs of a word from its low bits up
//   qzeros   I32 [groups, out * b / 32]  the same along the outputs; "gptq" stores zero - 1, "gptq_v2" zero
//   scales   F16 [groups, out]
//   g_idx    I32 [in]                    group of each input; may be missing where groups are runs of inputs
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "worker/model/quantization_config.h"
#include "worker/model/raw_tensor.h"
#include "worker/model/stored_matrix.h"

namespace uaqf::model {

struct GptqLayer {
  RawTensor qweight;
  RawTensor qzeros;
  RawTensor scales;
  std::optional<RawTensor> g_idx;
};

// Rows of the layer of [rows, columns] = [out, in]; `config` is of either GPTQ format. INVALID_ARGUMENT when a tensor
// has another type or shape than that asks for, a scale is not finite, or g_idx makes no groups of the group size.
absl::StatusOr<StoredMatrix> ReadGptq(const GptqLayer& layer, const QuantizationConfig& config, int64_t rows,
                                      int64_t columns, RowRange range);

}  // namespace uaqf::model
