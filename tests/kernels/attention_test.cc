#include "kernels/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "kernels/fp16.h"
#include "tests/kernels/kernel_cases.h"

namespace uaqf::kernels {
namespace {

struct Cache {
  std::vector<uint16_t> keys;
  std::vector<uint16_t> values;
  int64_t capacity;
  KvView view() const { return {keys.data(), values.data(), capacity}; }
};

// What lies behind the filled positions is NaN: it must not be read into a result.
Cache RandomCache(const AttentionShape& shape, int64_t capacity, int64_t filled, uint64_t seed) {
  Random random(seed);
  Cache cache = {{}, {}, capacity};
  for (std::vector<uint16_t>* part : {&cache.keys, &cache.values}) {
    for (int64_t i = 0; i < shape.kv_heads * capacity * shape.head_dim; ++i) {
      const bool used = i / shape.head_dim % capacity < filled;
      part->push_back(used ? FloatToFp16(random.Uniform()) : 0x7e00);
    }
  }
  return cache;
}

std::vector<double> Expected(const AttentionShape& shape, const Cache& cache, int64_t position, const float* query) {
  const int64_t first = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
  std::vector<double> out;
  for (int64_t head = 0; head < shape.heads; ++head) {
    const int64_t base = head / (shape.heads / shape.kv_heads) * cache.capacity;
    std::vector<double> weights;
    double sum = 0;
    for (int64_t i = first; i <= position; ++i) {
      double dot = 0;
      for (int64_t d = 0; d < shape.head_dim; ++d) {
        dot += static_cast<double>(query[head * shape.head_dim + d]) *
               Fp16ToFloat(cache.keys[(base + i) * shape.head_dim + d]);
      }
      weights.push_back(std::exp(dot * shape.scale));
      sum += weights.back();
    }
    for (int64_t d = 0; d < shape.head_dim; ++d) {
      double value = 0;
      for (int64_t i = first; i <= position; ++i) {
        value += weights[i - first] * Fp16ToFloat(cache.values[(base + i) * shape.head_dim + d]);
      }
      out.push_back(value / sum);
    }
  }
  return out;
}

const std::vector<AttentionShape>& Shapes() {
  // heads, KV heads, head_dim, window, scale
  static const auto* shapes = new std::vector<AttentionShape>{
      {9, 3, 64, 0, 0.125f}, {8, 4, 8, 0, 0.35f},   {4, 4, 128, 0, 0.088f},  {6, 1, 80, 0, 0.11f}, {2, 2, 20, 0, 0.22f},
      {3, 1, 256, 0, 0.06f}, {4, 2, 64, 7, 0.125f}, {32, 8, 16, 100, 0.25f}, {5, 5, 1, 0, 1.0f},
  };
  return *shapes;
}

class AttentionTest : public ::testing::TestWithParam<Isa> {};

TEST_P(AttentionTest, DecodeAgreesWithFloat64) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  for (const AttentionShape& shape : Shapes()) {
    for (const int64_t position : {0, 1, 6, 7, 15, 16, 63, 64, 131, 300, 5000}) {
      const Cache cache = RandomCache(shape, position + 3, position + 1, position);
      const std::vector<float> query = RandomVector(shape.heads * shape.head_dim, 2, 4.0f);
      std::vector<float> out(query.size(), NAN);
      DecodeAttention(shape, cache.view(), position, query.data(), out.data(), *pool, GetParam());
      const std::vector<double> expected = Expected(shape, cache, position, query.data());
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_NEAR(out[i], expected[i], 2e-6) << "head_dim " << shape.head_dim << " position " << position;
      }
    }
  }
}

TEST_P(AttentionTest, PrefillIsCausalAndAgreesWithFloat64) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(2);
  for (const AttentionShape& shape : Shapes()) {
    for (const auto& [first, tokens] : std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {0, 13}, {5, 30}, {64, 70}}) {
      const Cache cache = RandomCache(shape, first + tokens + 2, first + tokens, tokens);
      const int64_t width = shape.heads * shape.head_dim;
      const std::vector<float> query = RandomVector(tokens * width, 3, 4.0f);
      std::vector<float> out(query.size(), NAN);
      PrefillAttention(shape, cache.view(), first, tokens, query.data(), out.data(), *pool, GetParam());
      for (int64_t token = 0; token < tokens; ++token) {
        const std::vector<double> expected = Expected(shape, cache, first + token, query.data() + token * width);
        for (int64_t i = 0; i < width; ++i) {
          ASSERT_NEAR(out[token * width + i], expected[i], 2e-6)
              << "head_dim " << shape.head_dim << " token " << token << " of " << tokens;
        }
      }
    }
  }
}

// Scores hundreds apart overflow exp unless the largest is taken off first.
TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(1);
  const AttentionShape shape = {1, 1, 32, 0, 1.0f};
  Cache cache = RandomCache(shape, 200, 200, 4);
  for (int64_t d = 0; d < 32; ++d) {
    for (int64_t i = 0; i < 200; ++i) cache.keys[i * 32 + d] = FloatToFp16(i == 77 ? 100.0f : -100.0f);
  }
  const std::vector<float> query(32, 1.0f);
  std::vector<float> out(32);
  DecodeAttention(shape, cache.view(), 199, query.data(), out.data(), *pool, GetParam());
  for (int64_t d = 0; d < 32; ++d) EXPECT_FLOAT_EQ(out[d], Fp16ToFloat(cache.values[77 * 32 + d]));
}

TEST_P(AttentionTest, ResultDoesNotDependOnTheNumberOfLanes) {
  for (const AttentionShape& shape : Shapes()) {
    const Cache cache = RandomCache(shape, 400, 400, 5);
    const int64_t width = shape.heads * shape.head_dim;
    const std::vector<float> query = RandomVector(20 * width, 6, 3.0f);
    std::vector<std::vector<float>> decoded, prefilled;
    for (const int lanes : {1, 2, 3, 4}) {
      const std::unique_ptr<ThreadPool> pool = ThreadPool::CreateUnpinned(lanes);
      decoded.emplace_back(width);
      DecodeAttention(shape, cache.view(), 399, query.data(), decoded.back().data(), *pool, GetParam());
      prefilled.emplace_back(20 * width);
      PrefillAttention(shape, cache.view(), 300, 20, query.data(), prefilled.back().data(), *pool, GetParam());
    }
    EXPECT_THAT(decoded, ::testing::Each(decoded.front()));
    EXPECT_THAT(prefilled, ::testing::Each(prefilled.front()));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionTest, ::testing::ValuesIn(UsableIsas()),
                         [](const auto& info) { return IsaTestName(info.param); });

}  // namespace
}  // namespace uaqf::kernels
