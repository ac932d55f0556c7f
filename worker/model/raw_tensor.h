// A tensor as its file holds it, for the readers of quantized releases.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace uaqf::model {

// Bytes are borrowed, and exactly those of the shape.
struct RawTensor {
  std::string dtype;  // as safetensors names it: "I32"
  std::vector<int64_t> shape;
  std::span<const uint8_t> bytes;
};

// INVALID_ARGUMENT unless dtype and shape are these; `what` names the tensor in the message.
absl::Status CheckRaw(std::string_view what, const RawTensor& tensor, std::string_view dtype,
                      const std::vector<int64_t>& shape);

// The 32-bit word at an index. Needs no alignment; the caller has checked dtype and shape.
inline uint32_t WordAt(const RawTensor& tensor, int64_t index) {
  const uint8_t* p = tensor.bytes.data() + index * 4;
  return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
         static_cast<uint32_t>(p[3]) << 24;
}

// All values of an I32 tensor.
std::vector<int32_t> Int32Values(const RawTensor& tensor);

// All values of an F16, BF16 or F32 tensor of so many elements. INVALID_ARGUMENT for another, or one not finite.
absl::StatusOr<std::vector<float>> FloatValues(std::string_view what, const RawTensor& tensor, int64_t count);

// The FP16 bits of values that FP16 holds exactly. INVALID_ARGUMENT for others, naming the first.
absl::StatusOr<std::vector<uint16_t>> ExactHalves(std::string_view what, std::span<const float> values);

}  // namespace uaqf::model
