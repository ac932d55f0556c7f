#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/cuda/device_matrix.h"

namespace uaqf::cuda {

namespace {

constexpr int kThreads = 256;

int Grid(int64_t items) { return static_cast<int>((items + kThreads - 1) / kThreads); }

__host__ __device__ int BytesOf(const MatrixSpec& s) { return BlockBytes(s.format, s.group, s.zeros); }

// One thread a word: of its one or two rows those of this part are written, the rest of the word is kept, since the
// other slot may belong to another part.
__global__ void PackCodesKernel(MatrixView m, uint8_t* data, QuantizedRows part, int64_t words) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= words) return;
  const bool int8 = m.spec.format == Format::kInt8;
  const int per_block = CodeBytes(m.spec.format) / 4;
  const int64_t block_index = index / per_block;
  const int word = static_cast<int>(index % per_block);
  const int tile = static_cast<int>(block_index / m.blocks);
  const int block = static_cast<int>(block_index % m.blocks);
  const int lane = word % 128 / 4;
  const int j = word % 4;
  const int pair = int8 ? word / 128 : word / 128 * 2 + j / 2;
  const int half = int8 ? j / 2 : j % 2;
  const int column = block * kBlockCols + pair * 32 + lane % 4 * 8 + half * 4;
  int start[2];
  int count[2];
  m.spec.map.Halves(tile, &start[0], &start[1]);
  m.spec.map.Counts(start[0], start[1], &count[0], &count[1]);
  auto* out = reinterpret_cast<uint32_t*>(data + block_index * BytesOf(m.spec)) + word;
  uint32_t value = *out;
  for (int upper = 0; upper < 2; ++upper) {
    if (int8 && upper != j % 2) continue;
    const int g = lane / 4;
    const int row = start[upper] + g - part.row_offset;
    if (g >= count[upper] || row < 0 || row >= part.rows) continue;
    for (int c = 0; c < 4; ++c) {
      if (column + c >= m.spec.cols) continue;
      const int code = part.codes[int64_t{row} * m.spec.cols + column + c];
      const int shift = ByteOfColumn(c) * 8 + (int8 ? 0 : upper * 4);
      const uint32_t mask = int8 ? 0xFFu : 0xFu;
      value = (value & ~(mask << shift)) | ((static_cast<uint32_t>(int8 ? code : code + kInt4Offset) & mask) << shift);
    }
  }
  *out = value;
}

__global__ void PackGroupScalesKernel(MatrixView m, uint8_t* data, QuantizedRows part) {
  const int groups = (m.spec.cols + m.spec.group - 1) / m.spec.group;
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= int64_t{part.rows} * groups) return;
  const int row = static_cast<int>(index / groups);
  const int group = static_cast<int>(index % groups);
  const int per_block = kBlockCols / m.spec.group;
  int tile;
  int slot;
  m.spec.map.Locate(row + part.row_offset, &tile, &slot);
  uint8_t* block = data + (int64_t{tile} * m.blocks + group / per_block) * BytesOf(m.spec);
  auto* scales = reinterpret_cast<__half*>(block + CodeBytes(m.spec.format));
  const int at = group % per_block * kTileRows + slot % 8 * 2 + slot / 8;
  scales[at] = part.group_scales[index];
  if (!m.spec.zeros) return;
  const int zero = part.group_zeros == nullptr ? 0 : part.group_zeros[index];
  block[ZerosOffset(m.spec.format, m.spec.group) + at] = static_cast<uint8_t>(zero + kInt4Offset);
}

__global__ void CopyScalesKernel(float* out, const float* scales, bool per_tensor, int rows) {
  const int row = blockIdx.x * kThreads + threadIdx.x;
  if (row < rows) out[row] = scales[per_tensor ? 0 : row];
}

__device__ uint32_t Hash(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return static_cast<uint32_t>(z >> 32);
}

__global__ void RandomFp16Kernel(MatrixView m, uint8_t* data, uint64_t seed, float scale) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= int64_t{m.spec.map.rows} * m.spec.cols) return;
  const int64_t row = index / m.spec.cols;
  auto* out = reinterpret_cast<__half*>(data + row * m.row_bytes) + index % m.spec.cols;
  *out = __float2half_rn((static_cast<float>(Hash(seed, index)) * 0x1p-31f - 1.0f) * scale);
}

__global__ void RandomBlocksKernel(MatrixView m, uint8_t* data, uint64_t seed, float scale, int64_t words) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= words) return;
  const int per_block = BytesOf(m.spec) / 4;
  const int64_t at = index % per_block * 4;
  uint32_t value = Hash(seed, index);
  if (at >= ZerosOffset(m.spec.format, m.spec.group)) {
    value &= 0x0F0F0F0F;
  } else if (at >= CodeBytes(m.spec.format)) {
    const __half2 pair = __float2half2_rn(scale * (0.75f + static_cast<float>(value >> 8) * 0x1p-25f));
    value = *reinterpret_cast<const uint32_t*>(&pair);
  }
  reinterpret_cast<uint32_t*>(data)[index] = value;
}

__global__ void RandomScalesKernel(float* out, int rows, uint64_t seed, float scale) {
  const int row = blockIdx.x * kThreads + threadIdx.x;
  if (row < rows) out[row] = scale * (0.75f + static_cast<float>(Hash(~seed, row) >> 8) * 0x1p-25f);
}

Status CheckSpec(const MatrixSpec& spec) {
  const TileMap& map = spec.map;
  if (map.rows < 1 || spec.cols < 1) {
    return MakeError(cudaErrorInvalidValue, "got a matrix of %d x %d, expected at least 1 x 1", map.rows, spec.cols);
  }
  const bool groups = spec.group == 32 || spec.group == 64 || spec.group == 128;
  if (spec.group != 0 && !(groups && spec.format == Format::kInt4)) {
    return MakeError(cudaErrorInvalidValue, "got group scales over %d columns, expected 32, 64 or 128, with INT4 only",
                     spec.group);
  }
  if (spec.zeros && spec.group == 0) {
    return MakeError(cudaErrorInvalidValue, "got zeros without groups, expected groups of 32, 64 or 128 columns");
  }
  if (map.order == RowOrder::kGated && map.rows % 2 != 0) {
    return MakeError(cudaErrorInvalidValue, "got %d gate and up rows, expected an even number", map.rows);
  }
  if (map.order == RowOrder::kRotary && (map.head_dim < 16 || map.head_dim % 16 != 0 ||
                                         map.rotary_rows % map.head_dim != 0 || map.rotary_rows > map.rows)) {
    return MakeError(cudaErrorInvalidValue, "got head_dim %d over %d rotated of %d rows, expected a multiple of 16",
                     map.head_dim, map.rotary_rows, map.rows);
  }
  return {};
}

}  // namespace

DeviceMatrix::~DeviceMatrix() { Free(); }

void DeviceMatrix::Free() {
  // Nothing can be done about an error here; it would show again in the next call.
  if (data_ != nullptr) cudaFree(data_);
  if (scales_ != nullptr) cudaFree(scales_);
  if (gather_ != nullptr) cudaFree(gather_);
  data_ = nullptr;
  scales_ = nullptr;
  gather_ = nullptr;
}

DeviceMatrix::DeviceMatrix(DeviceMatrix&& other) noexcept { *this = std::move(other); }

DeviceMatrix& DeviceMatrix::operator=(DeviceMatrix&& other) noexcept {
  if (this == &other) return *this;
  Free();
  view_ = other.view_;
  data_ = std::exchange(other.data_, nullptr);
  scales_ = std::exchange(other.scales_, nullptr);
  gather_ = std::exchange(other.gather_, nullptr);
  data_bytes_ = other.data_bytes_;
  scale_bytes_ = other.scale_bytes_;
  gather_bytes_ = other.gather_bytes_;
  return *this;
}

Status DeviceMatrix::Create(const MatrixSpec& spec, cudaStream_t stream, DeviceMatrix* out) {
  UAQF_CUDA_CHECK(CheckSpec(spec));
  DeviceMatrix m;
  m.view_.spec = spec;
  m.view_.inputs = spec.cols;
  if (spec.format == Format::kFp16) {
    m.view_.row_bytes = RoundUp(int64_t{spec.cols} * 2, 128);
    m.data_bytes_ = m.view_.row_bytes * spec.map.rows;
  } else {
    m.view_.blocks = (spec.cols + kBlockCols - 1) / kBlockCols;
    m.data_bytes_ = int64_t{spec.map.tiles()} * m.view_.blocks * BytesOf(spec);
  }
  // From the device's pool: alone, every matrix would be rounded up to 2 MB.
  UAQF_CUDA_RETURN(cudaMallocAsync(reinterpret_cast<void**>(&m.data_), static_cast<size_t>(m.data_bytes_), stream));
  UAQF_CUDA_RETURN(cudaMemsetAsync(m.data_, spec.format == Format::kInt4 ? 0x88 : 0, m.data_bytes_, stream));
  if (spec.format != Format::kFp16 && spec.group == 0) {
    m.scale_bytes_ = int64_t{spec.map.rows} * 4;
    UAQF_CUDA_RETURN(
        cudaMallocAsync(reinterpret_cast<void**>(&m.scales_), static_cast<size_t>(m.scale_bytes_), stream));
    UAQF_CUDA_RETURN(cudaMemsetAsync(m.scales_, 0, m.scale_bytes_, stream));
  }
  m.view_.data = m.data_;
  m.view_.row_scales = m.scales_;
  *out = std::move(m);
  return {};
}

Status DeviceMatrix::PackFp16(int row_offset, int rows, const __half* values, cudaStream_t stream) {
  if (spec().format != Format::kFp16 || row_offset < 0 || row_offset + rows > this->rows()) {
    return MakeError(cudaErrorInvalidValue, "got FP16 rows %d to %d for a matrix of %d rows, or not an FP16 one",
                     row_offset, row_offset + rows, this->rows());
  }
  const size_t width = static_cast<size_t>(cols()) * 2;
  UAQF_CUDA_RETURN(cudaMemcpy2DAsync(data_ + row_offset * view_.row_bytes, view_.row_bytes, values, width, width, rows,
                                     cudaMemcpyDefault, stream));
  return {};
}

Status DeviceMatrix::Pack(const QuantizedRows& part, cudaStream_t stream) {
  if (spec().format == Format::kFp16 || part.row_offset < 0 || part.row_offset + part.rows > rows() ||
      (spec().group > 0 ? part.group_scales == nullptr : part.scales == nullptr) || part.codes == nullptr) {
    return MakeError(cudaErrorInvalidValue,
                     "got rows %d to %d for a matrix of %d rows, or not the scales of its format", part.row_offset,
                     part.row_offset + part.rows, rows());
  }
  const int64_t words = int64_t{spec().map.tiles()} * view_.blocks * (CodeBytes(spec().format) / 4);
  PackCodesKernel<<<Grid(words), kThreads, 0, stream>>>(view_, data_, part, words);
  if (spec().group > 0) {
    const int64_t scales = int64_t{part.rows} * ((cols() + spec().group - 1) / spec().group);
    PackGroupScalesKernel<<<Grid(scales), kThreads, 0, stream>>>(view_, data_, part);
  } else {
    CopyScalesKernel<<<Grid(part.rows), kThreads, 0, stream>>>(scales_ + part.row_offset, part.scales, part.per_tensor,
                                                               part.rows);
  }
  return FromCuda(cudaGetLastError(), "pack");
}

Status DeviceMatrix::SetGather(const int32_t* gather, int inputs, cudaStream_t stream) {
  std::vector<int32_t> orders(static_cast<size_t>(RoundUp(cols(), kBlockCols) + (inputs > 0 ? inputs : 0)), 0);
  int32_t* place = orders.data() + RoundUp(cols(), kBlockCols);
  std::vector<bool> met(static_cast<size_t>(inputs > 0 ? inputs : 0));
  bool valid = spec().format != Format::kFp16 && gather_ == nullptr && inputs > 0 && inputs <= cols();
  for (int c = 0; valid && c < cols(); ++c) {
    const int32_t input = gather[c];
    if (c >= inputs) {
      valid = input == gather[c - (cols() - inputs)];
    } else if (valid = input >= 0 && input < inputs && !met[static_cast<size_t>(input)]; valid) {
      met[static_cast<size_t>(input)] = true;
      place[input] = c;
    }
    orders[static_cast<size_t>(c)] = input;
  }
  if (!valid) {
    return MakeError(
        cudaErrorInvalidValue,
        "got an order of %d columns that is not each of %d inputs once and then the last of them again, or "
        "a matrix that takes none",
        cols(), inputs);
  }
  gather_bytes_ = static_cast<int64_t>(orders.size() * sizeof(int32_t));
  UAQF_CUDA_RETURN(cudaMallocAsync(reinterpret_cast<void**>(&gather_), orders.size() * sizeof(int32_t), stream));
  UAQF_CUDA_RETURN(
      cudaMemcpyAsync(gather_, orders.data(), orders.size() * sizeof(int32_t), cudaMemcpyHostToDevice, stream));
  view_.gather = gather_;
  // Inputs that stand as they come need not be looked up.
  const bool moved = !std::is_sorted(place, place + inputs);
  view_.place = moved ? gather_ + RoundUp(cols(), kBlockCols) : nullptr;
  view_.inputs = inputs;
  return {};
}

Status DeviceMatrix::FillRandom(uint64_t seed, cudaStream_t stream) {
  const float unit = std::sqrt(3.0f / static_cast<float>(cols()));
  if (spec().format == Format::kFp16) {
    RandomFp16Kernel<<<Grid(int64_t{rows()} * cols()), kThreads, 0, stream>>>(view_, data_, seed, unit);
    return FromCuda(cudaGetLastError(), "random FP16");
  }
  const float scale = unit / (spec().format == Format::kInt8 ? 128.0f : 8.0f);
  const int64_t words = data_bytes_ / 4;
  RandomBlocksKernel<<<Grid(words), kThreads, 0, stream>>>(view_, data_, seed, scale, words);
  if (scales_ != nullptr) RandomScalesKernel<<<Grid(rows()), kThreads, 0, stream>>>(scales_, rows(), seed, scale);
  return FromCuda(cudaGetLastError(), "random codes");
}

}  // namespace uaqf::cuda
