#include "kernels/fp16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "kernels/kv_write.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

// The value of the bits by the definition of IEEE binary16.
double Value(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const int fraction = bits & 0x3ff;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

class Fp16Test : public ::testing::TestWithParam<Isa> {};

TEST_P(Fp16Test, AllBitPatternsBecomeTheirValueAndReturn) {
  std::vector<uint16_t> bits(65536);
  for (int i = 0; i < 65536; ++i) bits[i] = static_cast<uint16_t>(i);
  std::vector<float> values(65536);
  Fp16ToFloat(bits.data(), 65536, values.data(), GetParam());
  std::vector<uint16_t> back(65536);
  FloatToFp16(values.data(), 65536, back.data(), GetParam());
  for (int i = 0; i < 65536; ++i) {
    if ((i >> 10 & 0x1f) == 0x1f && (i & 0x3ff) != 0) {
      ASSERT_TRUE(std::isnan(values[i])) << i;
      ASSERT_EQ(back[i] & 0x7c00, 0x7c00) << i;
      ASSERT_NE(back[i] & 0x3ff, 0) << i;
    } else {
      if ((i & 0x7fff) == 0x7c00) {
        ASSERT_TRUE(std::isinf(values[i]));
      } else {
        ASSERT_EQ(values[i], Value(static_cast<uint16_t>(i))) << i;
      }
      ASSERT_EQ(back[i], i);
    }
  }
}

// Half-way points between neighbours, and the floats next to them.
TEST_P(Fp16Test, RoundsHalfToEven) {
  std::vector<float> inputs;
  std::vector<uint16_t> expected;
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float middle = static_cast<float>((Value(bits) + Value(static_cast<uint16_t>(bits + 1))) / 2);
    const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
    inputs.insert(inputs.end(), {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f), -middle});
    expected.insert(expected.end(),
                    {even, bits, static_cast<uint16_t>(bits + 1), static_cast<uint16_t>(even | 0x8000)});
  }
  inputs.insert(inputs.end(), {65519.9f, 65520.0f, 1e30f, -INFINITY, 1e-30f});
  expected.insert(expected.end(), {0x7bff, 0x7c00, 0x7c00, 0xfc00, 0});
  std::vector<uint16_t> bits(inputs.size());
  FloatToFp16(inputs.data(), static_cast<int64_t>(inputs.size()), bits.data(), GetParam());
  for (size_t i = 0; i < inputs.size(); ++i) ASSERT_EQ(bits[i], expected[i]) << inputs[i];
}

TEST_P(Fp16Test, WritesATokensKeysAtItsPositionOnly) {
  const int64_t heads = 3, dim = 20, capacity = 5;
  const std::vector<float> source = RandomVector(heads * dim, 1);
  std::vector<uint16_t> cache(heads * capacity * dim, 0xabcd);
  WriteKv(source.data(), heads, dim, capacity, 2, cache.data(), GetParam());
  for (int64_t i = 0; i < heads * capacity * dim; ++i) {
    const int64_t head = i / dim / capacity;
    const bool written = i / dim % capacity == 2;
    ASSERT_EQ(cache[i], written ? FloatToFp16(source[head * dim + i % dim]) : 0xabcd);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Fp16Test, ::testing::ValuesIn(UsableIsas()),
                         [](const auto& info) { return IsaTestName(info.param); });

}  // namespace
}  // namespace uaqf::kernels
