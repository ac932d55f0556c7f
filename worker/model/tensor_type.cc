#include "worker/model/tensor_type.h"

#include <bit>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

uint16_t LoadU16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }

float LoadHalf(const uint8_t* p) { return HalfToFloat(LoadU16(p)); }

void HalvesToFloat(const uint8_t* in, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = LoadHalf(in + 2 * i);
}

void BrainToFloat(const uint8_t* in, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = std::bit_cast<float>(uint32_t{LoadU16(in + 2 * i)} << 16);
}

// fp16 d | int8 q[32]
void BlockQ8_0(const uint8_t* in, float* out) {
  const float d = LoadHalf(in);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(in[2 + i]));
}

// fp16 d | 16 bytes: low nibbles are elements 0-15, high nibbles 16-31
void BlockQ4_0(const uint8_t* in, float* out) {
  const float d = LoadHalf(in);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((in[2 + i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((in[2 + i] >> 4) - 8);
  }
}

// fp16 d | fp16 m | 16 bytes as in Q4_0
void BlockQ4_1(const uint8_t* in, float* out) {
  const float d = LoadHalf(in);
  const float m = LoadHalf(in + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(in[4 + i] & 15) + m;
    out[i + 16] = d * static_cast<float>(in[4 + i] >> 4) + m;
  }
}

// fp16 d | fp16 dmin | 12 bytes of scales | 128 bytes: of every 32, low nibbles are 32 elements, high the next 32
void BlockQ4_K(const uint8_t* in, float* out) {
  const float d = LoadHalf(in);
  const float dmin = LoadHalf(in + 2);
  const uint8_t* q = in + 16;
  for (int sub = 0; sub < 8; ++sub) {
    const Q4KScale packed = UnpackQ4KScale(in + 4, sub);
    const float scale = d * static_cast<float>(packed.scale);
    const float min = dmin * static_cast<float>(packed.min);
    const uint8_t* bytes = q + 32 * (sub / 2);
    const int shift = 4 * (sub % 2);
    for (int i = 0; i < 32; ++i) out[32 * sub + i] = scale * static_cast<float>((bytes[i] >> shift) & 15) - min;
  }
}

// 128 bytes low nibbles | 64 bytes high bit pairs | 16 int8 scales, one for 16 elements | fp16 d
void BlockQ6_K(const uint8_t* in, float* out) {
  const float d = LoadHalf(in + 208);
  for (int i = 0; i < 256; ++i) {
    out[i] = d * static_cast<float>(static_cast<int8_t>(in[192 + i / 16])) * static_cast<float>(Q6KCode(in, i));
  }
}

}  // namespace

// Exponent and mantissa move up by 13 bits; the product with 2^112 then corrects the exponent's bias, and makes
// normal numbers of subnormal ones. It is exact.
float HalfToFloat(uint16_t bits) {
  const uint32_t magnitude = bits & 0x7fffu;
  uint32_t result = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f);
  if (magnitude >= 0x7c00u) result = (magnitude << 13) | 0x7f800000u;
  return std::bit_cast<float>(result | (bits & 0x8000u) << 16);
}

// Eight 6-bit scales and mins in 12 bytes: 0-3 hold scale 0-3 and, on top, the high bits of scale 4-7; 4-7 the same of
// the mins; 8-11 the low nibbles of scale 4-7 and, above, of min 4-7.
Q4KScale UnpackQ4KScale(const uint8_t* s, int i) {
  if (i < 4) return {static_cast<uint8_t>(s[i] & 63), static_cast<uint8_t>(s[i + 4] & 63)};
  return {static_cast<uint8_t>((s[i + 4] & 15) | (s[i - 4] >> 6) << 4),
          static_cast<uint8_t>((s[i + 4] >> 4) | (s[i] >> 6) << 4)};
}

int8_t Q6KCode(const uint8_t* block, int element) {
  const int half = element / 128;
  const int quarter = element / 32 % 4;
  const int i = element % 32;
  const int nibble = (block[64 * half + i + 32 * (quarter % 2)] >> 4 * (quarter / 2)) & 15;
  return static_cast<int8_t>((nibble | ((block[128 + 32 * half + i] >> 2 * quarter) & 3) << 4) - 32);
}

BlockShape BlockOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return {1, 4};
    case TensorType::kF16:
    case TensorType::kBF16:
      return {1, 2};
    case TensorType::kQ8_0:
      return {32, 34};
    case TensorType::kQ4_0:
      return {32, 18};
    case TensorType::kQ4_1:
      return {32, 20};
    case TensorType::kQ4_K:
      return {256, 144};
    case TensorType::kQ6_K:
      return {256, 210};
  }
  return {1, 4};
}

std::string_view TypeName(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return "F32";
    case TensorType::kF16:
      return "F16";
    case TensorType::kBF16:
      return "BF16";
    case TensorType::kQ8_0:
      return "Q8_0";
    case TensorType::kQ4_0:
      return "Q4_0";
    case TensorType::kQ4_1:
      return "Q4_1";
    case TensorType::kQ4_K:
      return "Q4_K";
    case TensorType::kQ6_K:
      return "Q6_K";
  }
  return "?";
}

std::string_view KnownTypeNames() { return "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q6_K"; }

bool IsQuantized(TensorType type) { return BlockOf(type).elements > 1; }

absl::StatusOr<int64_t> BytesOf(TensorType type, int64_t elements) {
  const BlockShape block = BlockOf(type);
  int64_t bytes = 0;
  if (elements < 0 || elements % block.elements != 0 ||
      __builtin_mul_overflow(elements / block.elements, block.bytes, &bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("got ", elements, " elements of ", std::string(TypeName(type)),
                                                   ", expected whole blocks of ", block.elements));
  }
  return bytes;
}

void ToFloat(TensorType type, std::span<const uint8_t> bytes, std::span<float> out) {
  if (type == TensorType::kF32) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return;
  }
  if (type == TensorType::kF16) return HalvesToFloat(bytes.data(), out);
  if (type == TensorType::kBF16) return BrainToFloat(bytes.data(), out);
  const BlockShape block = BlockOf(type);
  void (*convert)(const uint8_t*, float*) = type == TensorType::kQ8_0   ? BlockQ8_0
                                            : type == TensorType::kQ4_0 ? BlockQ4_0
                                            : type == TensorType::kQ4_1 ? BlockQ4_1
                                            : type == TensorType::kQ4_K ? BlockQ4_K
                                                                        : BlockQ6_K;
  const int64_t blocks = static_cast<int64_t>(out.size()) / block.elements;
  for (int64_t b = 0; b < blocks; ++b) convert(bytes.data() + b * block.bytes, out.data() + b * block.elements);
}

}  // namespace uaqf::model
