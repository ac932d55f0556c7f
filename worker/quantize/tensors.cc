#include "worker/quantize/tensors.h"

#include <cstring>
#include <exception>
#include <new>

namespace uaqf::quantize {
namespace {

template <typename T>
std::vector<T> ToHost(const at::Tensor& tensor, at::ScalarType type) {
  // Converted first, so that the device does it and less is copied.
  const at::Tensor host = tensor.to(type).to(at::kCPU).contiguous();
  std::vector<T> values(static_cast<size_t>(host.numel()));
  std::memcpy(values.data(), host.const_data_ptr(), values.size() * sizeof(T));
  return values;
}

// FP32 on `device`, converted there.
template <typename T>
at::Tensor OnDevice(const std::vector<T>& values, at::ScalarType type, at::IntArrayRef sizes, at::Device device) {
  const at::Tensor own = at::from_blob(const_cast<T*>(values.data()), {static_cast<int64_t>(values.size())}, type);
  return own.to(device).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).view(sizes);
}

}  // namespace

at::Tensor Grid::Encode(const at::Tensor& weights) const {
  at::Tensor codes = at::round(weights / scale);
  if (zero.defined()) codes = codes + zero;
  return codes.clamp(low, high);
}

at::Tensor Grid::Decode(const at::Tensor& codes) const { return (zero.defined() ? codes - zero : codes) * scale; }

Grid Grid::OfColumn() const { return {scale.reshape(-1), zero.defined() ? zero.reshape(-1) : zero, low, high}; }

void Grid::EncodeColumn(const at::Tensor& column, at::Tensor& code) const {
  at::div_out(code, column, scale);
  code.round_();
  if (zero.defined()) code.add_(zero);
  code.clamp_(low, high);
}

void Grid::ErrorOfColumn(const at::Tensor& column, const at::Tensor& code, at::Tensor& error) const {
  at::addcmul_out(error, column, zero.defined() ? code - zero : code, scale, -1);
}

Grid FindGrid(GridRule rule, int bits, const at::Tensor& weights, bool half_scales) {
  const double half = 1 << (bits - 1);
  const double steps = 2 * half - 1;
  Grid grid = {{}, {}, -half, half - 1};
  at::Tensor low = weights.amin(-1, /*keepdim=*/true);
  at::Tensor high = weights.amax(-1, /*keepdim=*/true);
  const at::Tensor absmax = at::maximum(-low, high);
  switch (rule) {
    case GridRule::kAbsMax:
      grid.low = -(half - 1);
      grid.scale = absmax.clamp_min(1e-5F) / (half - 1);
      break;
    case GridRule::kGptqSymmetric:
      grid.scale = at::where(absmax == 0, 1.0F, absmax) * 2 / steps;
      break;
    case GridRule::kGptqSpan: {
      low = low.clamp_max(0);
      high = high.clamp_min(0);
      const at::Tensor none = (low == 0).logical_and(high == 0);
      low = at::where(none, -1.0F, low);
      high = at::where(none, 1.0F, high);
      grid.scale = (high - low) / steps;
      break;
    }
    case GridRule::kAwqSpan:
      grid.scale = (high - low).clamp_min(1e-5F) / steps;
      break;
  }
  // Not below the smallest number above zero that FP16 has.
  if (half_scales) grid.scale = grid.scale.clamp_min(0x1p-24F).to(at::kHalf).to(at::kFloat);
  if (rule == GridRule::kGptqSpan) grid.zero = at::round(-low / grid.scale) - half;
  if (rule == GridRule::kAwqSpan) grid.zero = (-at::round(low / grid.scale)).clamp(0, steps) - half;
  if (grid.zero.defined()) grid.zero = grid.zero.clamp(grid.low, grid.high);
  return grid;
}

at::Tensor GroupView(const at::Tensor& weights, Granularity granularity, int64_t group_size) {
  const int64_t rows = weights.size(0);
  if (granularity == Granularity::kTensor) return weights.reshape({1, 1, -1});
  return weights.reshape({rows, granularity == Granularity::kGroup ? weights.size(1) / group_size : 1, -1});
}

QuantizedMatrix RoundToGrid(GridRule rule, int bits, const at::Tensor& weights, Granularity granularity,
                            int64_t group_size) {
  const at::Tensor groups = GroupView(weights, granularity, group_size);
  const Grid grid = FindGrid(rule, bits, groups, granularity == Granularity::kGroup);
  return MakeMatrix(bits, granularity, group_size, grid.Encode(groups).reshape(weights.sizes()), grid.scale, grid.zero);
}

QuantizedMatrix MakeMatrix(int bits, Granularity granularity, int64_t group_size, const at::Tensor& codes,
                           const at::Tensor& scale, const at::Tensor& zero) {
  QuantizedMatrix matrix;
  matrix.bits = bits;
  matrix.rows = codes.size(0);
  matrix.columns = codes.size(1);
  matrix.granularity = zero.defined() ? Granularity::kGroup : granularity;
  if (matrix.granularity == Granularity::kGroup) matrix.group_size = group_size > 0 ? group_size : matrix.columns;
  matrix.codes = ToHost<int8_t>(codes, at::kChar);
  if (matrix.granularity == Granularity::kGroup) {
    matrix.group_scales = ToHost<uint16_t>(scale, at::kHalf);
  } else {
    matrix.scales = ToHost<float>(scale, at::kFloat);
  }
  if (zero.defined()) matrix.zeros = ToHost<int8_t>(zero, at::kChar);
  return matrix;
}

at::Tensor Dequantized(const QuantizedMatrix& matrix, at::Device device) {
  const int64_t groups = matrix.group_size > 0 ? matrix.groups() : 1;
  at::Tensor values = OnDevice(matrix.codes, at::kChar, {matrix.rows, groups, -1}, device);
  if (!matrix.zeros.empty()) values.sub_(OnDevice(matrix.zeros, at::kChar, {matrix.rows, groups, 1}, device));
  values.mul_(matrix.group_size > 0 ? OnDevice(matrix.group_scales, at::kHalf, {matrix.rows, groups, 1}, device)
                                    : OnDevice(matrix.scales, at::kFloat, {-1, 1, 1}, device));
  values = values.view({matrix.rows, matrix.columns});
  if (matrix.order.empty()) return values;
  return values.index_select(1, at::argsort(FromIndices(matrix.order, device)));
}

at::Tensor FromFloats(std::span<const float> values, at::IntArrayRef sizes, at::Device device) {
  at::Tensor tensor = at::empty(sizes, at::kFloat);
  std::memcpy(tensor.mutable_data_ptr<float>(), values.data(), values.size_bytes());
  return tensor.to(device);
}

std::vector<float> ToFloats(const at::Tensor& tensor) { return ToHost<float>(tensor, at::kFloat); }

std::vector<int32_t> ToIndices(const at::Tensor& tensor) { return ToHost<int32_t>(tensor, at::kInt); }

at::Tensor FromIndices(std::span<const int32_t> values, at::Device device) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kInt);
  std::memcpy(tensor.mutable_data_ptr<int32_t>(), values.data(), values.size_bytes());
  return tensor.to(device);
}

FastProducts::FastProducts() : before_(at::globalContext().allowTF32CuBLAS()) {
  at::globalContext().setAllowTF32CuBLAS(true);
}

FastProducts::~FastProducts() { at::globalContext().setAllowTF32CuBLAS(before_); }

bool AllFinite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

absl::Status StatusOfCurrentException() {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(absl::StrCat("out of memory while quantizing: ", error.what_without_backtrace(),
                                                     "; calibrate on fewer samples, or on a device with more memory"));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory while quantizing; calibrate on fewer samples");
  } catch (const c10::Error& error) {
    return absl::InternalError(absl::StrCat("libtorch: ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace uaqf::quantize
