// Weights as the decode kernels read them; layout.h draws the order.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/layout.h"
#include "kernels/cuda/status.h"

namespace uaqf::cuda {

struct MatrixSpec {
  Format format = Format::kFp16;
  // INT4: 0 (a scale for each row; per-tensor is the same value in every row) or 32, 64, 128 columns to an FP16 scale.
  // FP16 and INT8: 0.
  int group = 0;
  int cols = 0;
  TileMap map;         // holds the rows
  bool zeros = false;  // INT4 in groups only: each group has a zero
};

// What kernels need of a matrix. Borrowed pointers into one DeviceMatrix.
struct MatrixView {
  MatrixSpec spec;
  const uint8_t* data = nullptr;
  const float* row_scales = nullptr;  // [rows], logical order; null for FP16 and for group scales
  int64_t row_bytes = 0;              // FP16: bytes from one row to the next
  int blocks = 0;                     // INT8, INT4: blocks of 128 columns in a tile
  // Column c meets input[gather[c]]; null: input[c]. The first `inputs` columns meet each of so many inputs once, those
  // behind them the last of these again: an INT8 code is two INT4 codes, 16 high + (low + 8), over the same input.
  const int32_t* gather = nullptr;  // [cols, rounded up to 128]
  const int32_t* place = nullptr;   // [inputs]: the first column that meets an input; null: its own
  int inputs = 0;                   // cols, without gather
};

// A part of a matrix as a quantizer hands it over, in device memory, row-major:
// value[r, c] = (codes[r, c] - zero(r, c)) * scale(r, c).
struct QuantizedRows {
  int row_offset = 0;  // logical row of row 0 of this part
  int rows = 0;
  const int8_t* codes = nullptr;  // [rows, cols], one a byte; INT4: -8..7
  const float* scales = nullptr;  // without groups: [rows], or 1 value if per_tensor
  bool per_tensor = false;
  const __half* group_scales = nullptr;  // with groups: [rows, ceil(cols / group)], the last group may be short
  const int8_t* group_zeros = nullptr;   // the same, -8..55, for a matrix with zeros; null: all 0
};

// Owns its device memory. Movable. Calls that take a stream are asynchronous on it; one thread at a time.
class DeviceMatrix {
 public:
  DeviceMatrix() = default;
  ~DeviceMatrix();
  DeviceMatrix(DeviceMatrix&& other) noexcept;
  DeviceMatrix& operator=(DeviceMatrix&& other) noexcept;

  // Allocates, and sets every code and scale to zero. Fails on a shape or group that the format does not have (message
  // names it) and when memory is exhausted.
  static Status Create(const MatrixSpec& spec, cudaStream_t stream, DeviceMatrix* out);

  // Fills logical rows from FP16 row-major [rows, cols] in device memory, for Format::kFp16.
  Status PackFp16(int row_offset, int rows, const __half* values, cudaStream_t stream);
  // Fills logical rows, for the integer formats. Codes are taken as they are: the caller keeps them in range.
  Status Pack(const QuantizedRows& part, cudaStream_t stream);
  // The order in which columns meet the input, see MatrixView; integer formats only. `gather` [cols] is host memory,
  // read before the call returns. Fails unless the first `inputs` entries are a permutation, and the entries behind
  // them the last of these again.
  Status SetGather(const int32_t* gather, int inputs, cudaStream_t stream);

  // Random values without a trip over the host: codes uniform over the format's range, FP16 uniform, scaled so that a
  // product with a vector of unit values has about unit variance. A hash of `seed` and the place, so the same bits on
  // every run.
  Status FillRandom(uint64_t seed, cudaStream_t stream);

  const MatrixView& view() const { return view_; }
  const MatrixSpec& spec() const { return view_.spec; }
  int rows() const { return view_.spec.map.rows; }
  int cols() const { return view_.spec.cols; }
  // Device memory held: codes, scales, zeros, order and padding. What one decode step reads of this matrix.
  int64_t bytes() const { return data_bytes_ + scale_bytes_ + gather_bytes_; }

 private:
  void Free();

  MatrixView view_;
  uint8_t* data_ = nullptr;
  float* scales_ = nullptr;
  int32_t* gather_ = nullptr;
  int64_t data_bytes_ = 0;
  int64_t scale_bytes_ = 0;
  int64_t gather_bytes_ = 0;
};

}  // namespace uaqf::cuda
