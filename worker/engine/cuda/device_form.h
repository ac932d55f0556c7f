// How the GPU's kernels hold the weights of a variant, decided without a GPU: which format of kernels/cuda/layout.h,
// and a linear layer's codes brought into it. All linear layers of a model have one form.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/rounding.h"
#include "worker/model/checkpoint.h"
#include "worker/quantize/quantized_matrix.h"
#include "worker/quantize/variants.h"

namespace uaqf::engine {

struct DeviceForm {
  cuda::Format format = cuda::Format::kFp16;
  int group = 0;            // INT4: columns to a scale, 0 for a scale a row
  bool zeros = false;       // of groups; columns may have an order then
  cuda::Rounding rounding;  // of what enters the layers
};

// UNIMPLEMENTED where there are no kernels for the variant; the message says for what. Not for releases.
absl::StatusOr<DeviceForm> DeviceFormOf(const quantize::Variant& variant);

// Of a quantized release, from the first rows of each of its layers. UNIMPLEMENTED as above; the message names the
// layer.
absl::StatusOr<DeviceForm> DeviceFormOfRelease(const model::Checkpoint& release);

// A linear layer as a quantizer or a release has it, borrowed: value = (code - zero) * scale. [rows, columns]
// row-major.
struct CodesView {
  int64_t rows = 0;
  int64_t columns = 0;
  std::span<const int8_t> codes;           // INT8, or INT4 in -8..7
  std::span<const float> scales;           // without groups: 1, or one a row
  int64_t group_size = 0;                  // 0: no groups
  std::span<const uint16_t> group_scales;  // FP16 bits [rows, groups]
  std::span<const int8_t> zeros;           // [rows, groups]; empty: all `zero`
  int8_t zero = 0;
  std::span<const int32_t> order;  // the input that a column meets; empty: its own

  static CodesView Of(const quantize::QuantizedMatrix& matrix);
  static CodesView Of(const model::StoredMatrix& matrix);
};

// The same as DeviceMatrix::Pack and SetGather take it, [rows, cols].
struct DeviceCodes {
  int64_t rows = 0;
  int64_t cols = 0;    // inputs, and the low halves of INT8 weights (kernels/cuda/rounding.h)
  int64_t inputs = 0;  // of the layer
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<uint16_t> group_scales;
  std::vector<int8_t> group_zeros;
  std::vector<int32_t> gather;  // empty: as they come
};

// INVALID_ARGUMENT when the layer does not have the form.
absl::StatusOr<DeviceCodes> ToDeviceCodes(const DeviceForm& form, const CodesView& layer);

}  // namespace uaqf::engine
