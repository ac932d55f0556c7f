#include "worker/model/raw_tensor.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/model/tensor_type.h"

namespace uaqf::model {
namespace {

std::string Described(std::string_view dtype, const std::vector<int64_t>& shape) {
  return absl::StrCat(std::string(dtype), " of [", absl::StrJoin(shape, ", "), "]");
}

// The half nearest below or at a value's magnitude: exact where FP16 holds the value.
uint16_t TruncatedHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const int exponent = static_cast<int>(bits >> 23 & 0xffu) - 127;
  const uint32_t mantissa = (bits & 0x7fffffu) | 0x800000u;
  if (exponent > 15) return static_cast<uint16_t>(sign | 0x7bffu);
  if (exponent >= -14) return static_cast<uint16_t>(sign | (exponent + 15) << 10 | (mantissa >> 13 & 0x3ffu));
  if (exponent < -24) return sign;
  return static_cast<uint16_t>(sign | mantissa >> (-1 - exponent));
}

}  // namespace

absl::Status CheckRaw(std::string_view what, const RawTensor& tensor, std::string_view dtype,
                      const std::vector<int64_t>& shape) {
  if (tensor.dtype == dtype && tensor.shape == shape) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(std::string(what), " is ", Described(tensor.dtype, tensor.shape),
                                                 ", expected ", Described(dtype, shape),
                                                 " by the layer's size and the quantization's settings"));
}

std::vector<int32_t> Int32Values(const RawTensor& tensor) {
  std::vector<int32_t> values(tensor.bytes.size() / 4);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(WordAt(tensor, static_cast<int64_t>(i)));
  return values;
}

absl::StatusOr<std::vector<float>> FloatValues(std::string_view what, const RawTensor& tensor, int64_t count) {
  int64_t elements = 1;
  for (const int64_t size : tensor.shape) elements *= size;  // the container has checked this product
  const bool known = tensor.dtype == "F16" || tensor.dtype == "BF16" || tensor.dtype == "F32";
  if (!known || elements != count) {
    return absl::InvalidArgumentError(absl::StrCat(std::string(what), " is ", Described(tensor.dtype, tensor.shape),
                                                   ", expected ", count, " values of F16, BF16 or F32"));
  }
  std::vector<float> values(static_cast<size_t>(count));
  const TensorType type = tensor.dtype == "F16"    ? TensorType::kF16
                          : tensor.dtype == "BF16" ? TensorType::kBF16
                                                   : TensorType::kF32;
  ToFloat(type, tensor.bytes, values);
  for (const float value : values) {
    if (!std::isfinite(value)) return absl::InvalidArgumentError(absl::StrCat(std::string(what), " is not finite"));
  }
  return values;
}

absl::StatusOr<std::vector<uint16_t>> ExactHalves(std::string_view what, std::span<const float> values) {
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    halves[i] = TruncatedHalf(values[i]);
    if (HalfToFloat(halves[i]) == values[i]) continue;
    return absl::InvalidArgumentError(absl::StrCat(std::string(what), " has the group scale ", values[i],
                                                   ", which FP16 does not hold exactly; expected scales that it does"));
  }
  return halves;
}

}  // namespace uaqf::model
