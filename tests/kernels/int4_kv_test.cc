#include "kernels/int4_kv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "kernels/attention.h"
#include "kernels/fp16.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

float Rounded(float value) { return Fp16ToFloat(FloatToFp16(value)); }

struct Row {
  float scale = 0;
  float zero = 0;
  std::vector<int> codes;

  std::vector<float> Values() const {
    std::vector<float> values;
    for (const int code : codes) values.push_back((static_cast<float>(code) - zero) * scale);
    return values;
  }
};

// As the header says, dimension by dimension.
Row Quantized(const std::vector<float>& source) {
  std::vector<float> values;
  for (const float v : source) values.push_back(Rounded(v));
  float least = *std::min_element(values.begin(), values.end());
  float most = *std::max_element(values.begin(), values.end());
  Row row = {Rounded((most - least) / 15.0f), 0, std::vector<int>(values.size(), 0)};
  if (row.scale == 0) {
    least = std::min(least, 0.0f);
    row.scale = Rounded((std::max(most, 0.0f) - least) / 15.0f);
  }
  if (row.scale == 0) return row;
  row.zero = std::clamp(std::nearbyint(-least / row.scale), 0.0f, 15.0f);
  for (size_t d = 0; d < values.size(); ++d) {
    row.codes[d] = static_cast<int>(std::clamp(std::nearbyint(values[d] / row.scale) + row.zero, 0.0f, 15.0f));
  }
  return row;
}

struct Shape {
  int64_t kv_heads, head_dim, capacity;
  int64_t bytes() const { return Int4KvBytes(kv_heads, head_dim, capacity); }
};

// A row as its bytes say.
Row Stored(const Shape& s, const std::vector<uint8_t>& cache, int64_t head, int64_t position) {
  const int64_t at = head * s.capacity + position;
  const auto* pairs = reinterpret_cast<const uint16_t*>(cache.data());
  const uint8_t* bytes = cache.data() + s.kv_heads * s.capacity * 4 + at * (s.head_dim / 2);
  Row row = {Fp16ToFloat(pairs[2 * at]), Fp16ToFloat(pairs[2 * at + 1]), {}};
  for (int64_t d = 0; d < s.head_dim; ++d) {
    const int64_t half = s.head_dim / 2;
    row.codes.push_back(d < half ? bytes[d] & 15 : bytes[d - half] >> 4);
  }
  return row;
}

// Rows of every kind: random, constant, zero, of one sign, tiny, huge, and of nothing but ties.
std::vector<float> AwkwardRow(int kind, int64_t head_dim) {
  std::vector<float> row = RandomVector(head_dim, 40 + kind, std::exp2(static_cast<float>(kind % 9 - 4)));
  for (int64_t d = 0; d < head_dim; ++d) {
    if (kind == 1) row[d] = 1.7f;
    if (kind == 2) row[d] = -1.7f;
    if (kind == 3) row[d] = 0;
    if (kind == 4) row[d] = 0.25f + std::abs(row[d]);
    if (kind == 5) row[d] *= 1e-7f;
    if (kind == 6) row[d] = d % 2 == 0 ? 65504.0f : -65504.0f;
    if (kind == 7) row[d] = (static_cast<float>(d % 14) + 0.5f - 7) / 8;
    if (kind == 7 && d < 2) row[d] = d == 0 ? -7.0f / 8 : 1.0f;  // the scale is 1/8, and what lies between is ties
  }
  return row;
}

TEST(Int4Kv, RoundsARowAsTheFormatSays) {
  for (const int64_t head_dim : {8, 20, 64, 80, 128, 256}) {
    const Shape s = {1, head_dim, 12};
    std::vector<uint8_t> cache(s.bytes());
    for (int kind = 0; kind < 12; ++kind) {
      const std::vector<float> source = AwkwardRow(kind, head_dim);
      WriteInt4Kv(source.data(), 1, head_dim, s.capacity, kind, cache.data());
    }
    for (int kind = 0; kind < 12; ++kind) {
      const Row expected = Quantized(AwkwardRow(kind, head_dim));
      const Row got = Stored(s, cache, 0, kind);
      EXPECT_EQ(got.scale, expected.scale) << kind;
      EXPECT_EQ(got.zero, expected.zero) << kind;
      EXPECT_EQ(got.codes, expected.codes) << kind << " of " << head_dim;
    }
  }
}

TEST(Int4Kv, KeepsConstantRowsAndIsWithinAStepOfRowsThatContainZero) {
  for (const int kind : {0, 1, 2, 8, 9, 10, 11}) {
    const std::vector<float> source = AwkwardRow(kind, 64);
    const Row row = Quantized(source);
    const std::vector<float> values = row.Values();
    const float step = kind == 1 || kind == 2 ? 0 : row.scale;
    for (size_t d = 0; d < values.size(); ++d) {
      EXPECT_NEAR(values[d], source[d], step + 2e-3f * std::abs(source[d])) << kind;
    }
  }
}

TEST(Int4Kv, WritesOnlyItsPosition) {
  const Shape s = {3, 20, 5};
  std::vector<uint8_t> cache(s.bytes(), 0xA5);
  const std::vector<float> source = RandomVector(3 * 20, 8);
  WriteInt4Kv(source.data(), 3, 20, 5, 2, cache.data());
  int64_t changed = 0;
  for (const uint8_t byte : cache) changed += byte != 0xA5;
  EXPECT_LE(changed, 3 * (4 + 10));
  for (int64_t head = 0; head < 3; ++head) {
    const Row expected = Quantized({source.begin() + head * 20, source.begin() + (head + 1) * 20});
    EXPECT_EQ(Stored(s, cache, head, 2).codes, expected.codes);
    for (const int64_t other : {1, 3}) EXPECT_THAT(Stored(s, cache, head, other).codes, testing::Contains(10));
  }
}

// An INT4 cache, and an FP16 one of what it stands for, keys turned.
struct Caches {
  std::vector<uint8_t> int4[2];
  std::vector<uint16_t> fp16[2];
  std::vector<float> cos, sin;
  int64_t capacity;

  Int4KvView view() const { return {int4[0].data(), int4[1].data(), capacity, cos.data(), sin.data()}; }
  KvView plain() const { return {fp16[0].data(), fp16[1].data(), capacity}; }
};

// Quarter turns are exact, so that both caches hold the same numbers.
Caches MakeCaches(const AttentionShape& shape, int64_t capacity, bool quarter_turns) {
  const int64_t half = shape.head_dim / 2;
  Caches c;
  c.capacity = capacity;
  for (int64_t i = 0; i < capacity * half; ++i) {
    const double angle = quarter_turns ? 0 : 0.37 * static_cast<double>(i / half) / static_cast<double>(i % half + 1);
    const int64_t quarter = (i / half + i % half) % 4;
    c.cos.push_back(quarter_turns ? (quarter == 0) - (quarter == 2) : static_cast<float>(std::cos(angle)));
    c.sin.push_back(quarter_turns ? (quarter == 1) - (quarter == 3) : static_cast<float>(std::sin(angle)));
  }
  for (int which = 0; which < 2; ++which) {
    const Shape s = {shape.kv_heads, shape.head_dim, capacity};
    c.int4[which].resize(s.bytes());
    c.fp16[which].resize(shape.kv_heads * capacity * shape.head_dim);
    for (int64_t p = 0; p < capacity; ++p) {
      const std::vector<float> source = RandomVector(shape.kv_heads * shape.head_dim, 100 * p + which);
      WriteInt4Kv(source.data(), shape.kv_heads, shape.head_dim, capacity, p, c.int4[which].data());
      for (int64_t head = 0; head < shape.kv_heads; ++head) {
        std::vector<float> row = Stored(s, c.int4[which], head, p).Values();
        for (int64_t d = 0; which == 0 && d < half; ++d) {
          const float a = row[d];
          const float b = row[d + half];
          row[d] = a * c.cos[p * half + d] - b * c.sin[p * half + d];
          row[d + half] = b * c.cos[p * half + d] + a * c.sin[p * half + d];
        }
        uint16_t* to = c.fp16[which].data() + (head * capacity + p) * shape.head_dim;
        for (int64_t d = 0; d < shape.head_dim; ++d) to[d] = FloatToFp16(row[d]);
      }
    }
  }
  return c;
}

class Int4AttentionTest : public ::testing::TestWithParam<Isa> {};

TEST_P(Int4AttentionTest, EqualsAttentionOverWhatTheCodesStandFor) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  // heads, KV heads, head_dim, window, scale
  for (const AttentionShape& shape : std::vector<AttentionShape>{{9, 3, 64, 0, 0.125f},
                                                                 {8, 4, 8, 0, 0.35f},
                                                                 {4, 4, 128, 70, 0.088f},
                                                                 {6, 1, 80, 0, 0.11f},
                                                                 {2, 2, 20, 0, 0.22f},
                                                                 {3, 1, 256, 0, 0.06f}}) {
    for (const bool quarter_turns : {true, false}) {
      const int64_t capacity = 205;
      const Caches caches = MakeCaches(shape, capacity, quarter_turns);
      const int64_t width = shape.heads * shape.head_dim;
      const std::vector<float> query = RandomVector(40 * width, 6, 3.0f);
      // Other angles are rounded before FP16 is, and may come out on its other side.
      const float tolerance = quarter_turns ? 1e-6f : 2e-3f;
      std::vector<float> got(40 * width, NAN), expected(40 * width, NAN);
      for (const int64_t position : {0, 17, 204}) {
        DecodeAttention(shape, caches.view(), position, query.data(), got.data(), *pool, GetParam());
        DecodeAttention(shape, caches.plain(), position, query.data(), expected.data(), *pool, GetParam());
        for (int64_t i = 0; i < width; ++i) ASSERT_NEAR(got[i], expected[i], tolerance) << shape.head_dim;
      }
      PrefillAttention(shape, caches.view(), 150, 40, query.data(), got.data(), *pool, GetParam());
      PrefillAttention(shape, caches.plain(), 150, 40, query.data(), expected.data(), *pool, GetParam());
      for (int64_t i = 0; i < 40 * width; ++i) ASSERT_NEAR(got[i], expected[i], tolerance) << shape.head_dim;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Int4AttentionTest, ::testing::ValuesIn(UsableIsas()),
                         [](const auto& info) { return IsaTestName(info.param); });

}  // namespace
}  // namespace uaqf::kernels
