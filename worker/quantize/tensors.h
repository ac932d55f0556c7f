// What the methods share on libtorch tensors. Any device; all arithmetic FP32 unless said. Functions throw as libtorch
// does: Guarded is the wrapper that turns what is thrown into a status.
#pragma once

#include <ATen/ATen.h>

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "worker/quantize/quantized_matrix.h"

namespace uaqf::quantize {

// How the grid of codes is laid over a row's (or group's) weights (METHODS.md section 3). z counts from the grid's low
// end; codes and zeros here are signed, z - 2^(bits-1).
enum class GridRule {
  kAbsMax,         // RTN: s = max(absmax, 1e-5) / (2^(bits-1) - 1), z in the middle, codes +-(2^(bits-1) - 1)
  kGptqSymmetric,  // s = 2 absmax / (2^bits - 1), z in the middle
  kGptqSpan,       // of min(0, w) to max(0, w): s = span / (2^bits - 1), z = rint(-min / s)
  kAwqSpan,        // of min w to max w: s = max(span, 1e-5) / (2^bits - 1), z = -rint(min / s) within the grid
};

// For weights [rows, groups, size]; `scale` and `zero` are [rows, groups, 1], or [rows] for a column of weights.
struct Grid {
  at::Tensor scale;
  at::Tensor zero;  // undefined: 0
  double low;
  double high;

  at::Tensor Encode(const at::Tensor& weights) const;  // codes, as floats
  at::Tensor Decode(const at::Tensor& codes) const;
  at::Tensor Round(const at::Tensor& weights) const { return Decode(Encode(weights)); }
  // Of weights [rows, size] for a column of them.
  Grid OfColumn() const;

  // For a column, into tensors that are there: codes, and what is lost with them.
  void EncodeColumn(const at::Tensor& column, at::Tensor& code) const;
  void ErrorOfColumn(const at::Tensor& column, const at::Tensor& code, at::Tensor& error) const;
};

// `half_scales`: scales are rounded to FP16 first, since that is what decoding multiplies by.
Grid FindGrid(GridRule rule, int bits, const at::Tensor& weights, bool half_scales);

// The granularity's view of a matrix [rows, columns] as [rows, groups, size]: kTensor [1, 1, all], kChannel
// [rows, 1, columns].
at::Tensor GroupView(const at::Tensor& weights, Granularity granularity, int64_t group_size);

// To the nearest code of the rule's grid; to be decoded with Dequantized.
QuantizedMatrix RoundToGrid(GridRule rule, int bits, const at::Tensor& weights, Granularity granularity,
                            int64_t group_size);

// A matrix on the host from codes [rows, columns] and, per group, scale and zero (undefined: 0) [rows, groups].
// kChannel with zeros becomes one group a row, which is how the canonical form has zeros.
QuantizedMatrix MakeMatrix(int bits, Granularity granularity, int64_t group_size, const at::Tensor& codes,
                           const at::Tensor& scale, const at::Tensor& zero);

// FP32 values [rows, columns] on `device`.
at::Tensor Dequantized(const QuantizedMatrix& matrix, at::Device device);

at::Tensor FromFloats(std::span<const float> values, at::IntArrayRef sizes, at::Device device);
std::vector<float> ToFloats(const at::Tensor& tensor);
std::vector<int32_t> ToIndices(const at::Tensor& tensor);
at::Tensor FromIndices(std::span<const int32_t> values, at::Device device);

// While one lives, products of FP32 tensors on a GPU round their factors to TF32's eleven bits, as many as FP16 has,
// and sum in FP32: ten times as fast, and no less than the published implementations have, which run the model in FP16.
// Nothing changes on a CPU. For the whole process: no other thread is to need exact products meanwhile.
class FastProducts {
 public:
  FastProducts();
  ~FastProducts();
  FastProducts(const FastProducts&) = delete;
  FastProducts& operator=(const FastProducts&) = delete;

 private:
  const bool before_;
};

// Whether every element is finite.
bool AllFinite(const at::Tensor& tensor);

// Calls fn, which returns a Status or StatusOr; what libtorch throws becomes INTERNAL, or RESOURCE_EXHAUSTED where it
// is out of memory.
absl::Status StatusOfCurrentException();
template <typename Fn>
auto Guarded(Fn&& fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (...) {
    return StatusOfCurrentException();
  }
}

}  // namespace uaqf::quantize
