#include "worker/model/gguf_blocks.h"

namespace uaqf::model {
namespace {

uint16_t HalfAt(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }

// Where the values of one block go.
struct Place {
  int8_t* codes;
  uint16_t* scale;
  uint16_t* offset;
  int8_t* scale_factors;
  int8_t* offset_factors;
};

void UnpackQ8_0(const uint8_t* in, const Place& out) {
  *out.scale = HalfAt(in);
  for (int i = 0; i < 32; ++i) out.codes[i] = static_cast<int8_t>(in[2 + i]);
}

void UnpackNibbles(const uint8_t* in, int8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = static_cast<int8_t>((in[i] & 15) - 8);
    codes[i + 16] = static_cast<int8_t>((in[i] >> 4) - 8);
  }
}

void UnpackQ4_0(const uint8_t* in, const Place& out) {
  *out.scale = HalfAt(in);
  UnpackNibbles(in + 2, out.codes);
}

void UnpackQ4_1(const uint8_t* in, const Place& out) {
  *out.scale = HalfAt(in);
  *out.offset = HalfAt(in + 2);
  UnpackNibbles(in + 4, out.codes);
}

// The minimum is subtracted: its FP16 factor changes sign, which is exact.
void UnpackQ4_K(const uint8_t* in, const Place& out) {
  *out.scale = HalfAt(in);
  *out.offset = static_cast<uint16_t>(HalfAt(in + 2) ^ 0x8000u);
  for (int group = 0; group < 8; ++group) {
    const Q4KScale packed = UnpackQ4KScale(in + 4, group);
    out.scale_factors[group] = static_cast<int8_t>(packed.scale);
    out.offset_factors[group] = static_cast<int8_t>(packed.min);
    const uint8_t* bytes = in + 16 + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    for (int i = 0; i < 32; ++i) out.codes[32 * group + i] = static_cast<int8_t>(((bytes[i] >> shift) & 15) - 8);
  }
}

void UnpackQ6_K(const uint8_t* in, const Place& out) {
  *out.scale = HalfAt(in + 208);
  for (int group = 0; group < 16; ++group) out.scale_factors[group] = static_cast<int8_t>(in[192 + group]);
  for (int i = 0; i < 256; ++i) out.codes[i] = Q6KCode(in, i);
}

struct Format {
  int64_t group_size;
  int64_t block_groups;  // 0: no second level
  bool offsets;
  void (*unpack)(const uint8_t*, const Place&);
};

Format FormatOf(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
      return {32, 0, false, UnpackQ4_0};
    case TensorType::kQ4_1:
      return {32, 0, true, UnpackQ4_1};
    case TensorType::kQ4_K:
      return {32, 8, true, UnpackQ4_K};
    case TensorType::kQ6_K:
      return {16, 16, false, UnpackQ6_K};
    default:
      return {32, 0, false, UnpackQ8_0};
  }
}

}  // namespace

StoredMatrix EmptyBlocks(TensorType type, int64_t rows, int64_t columns) {
  const Format format = FormatOf(type);
  StoredMatrix matrix;
  matrix.bits = type == TensorType::kQ8_0 || type == TensorType::kQ6_K ? 8 : 4;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.group_size = format.group_size;
  matrix.block_groups = format.block_groups;
  if (format.offsets) matrix.zero = -8;  // codes count from 0 in the file, from -8 here
  const auto groups = static_cast<size_t>(rows * matrix.groups());
  const auto blocks = static_cast<size_t>(rows * matrix.blocks());
  matrix.codes.resize(static_cast<size_t>(rows * columns));
  matrix.group_scales.resize(blocks);
  matrix.group_offsets.resize(format.offsets ? blocks : 0);
  matrix.scale_factors.resize(format.block_groups > 0 ? groups : 0);
  matrix.offset_factors.resize(format.block_groups > 0 && format.offsets ? groups : 0);
  return matrix;
}

void UnpackRow(TensorType type, std::span<const uint8_t> bytes, int64_t row, StoredMatrix& matrix) {
  const Format format = FormatOf(type);
  const BlockShape shape = BlockOf(type);
  const int64_t groups = shape.elements / format.group_size;
  for (int64_t block = 0; block < matrix.columns / shape.elements; ++block) {
    const int64_t at = row * matrix.blocks() + block;
    const int64_t factors = row * matrix.groups() + block * groups;
    format.unpack(bytes.data() + block * shape.bytes,
                  {matrix.codes.data() + row * matrix.columns + block * shape.elements, matrix.group_scales.data() + at,
                   matrix.group_offsets.data() + at, matrix.scale_factors.data() + factors,
                   matrix.offset_factors.data() + factors});
  }
}

}  // namespace uaqf::model
