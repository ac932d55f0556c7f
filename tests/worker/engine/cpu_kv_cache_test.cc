#include "worker/engine/cpu_kv_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "tests/worker/model/model_files.h"

namespace uaqf::engine {
namespace {

constexpr int64_t kTokens = 150;

// Tokens' queries, keys and values from before RoPE, and the caches that took them.
class CpuKvCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = test::TinyConfig();
    config_.heads = 4;
    config_.kv_heads = 2;
    config_.head_dim = 32;
    std::mt19937_64 random(3);
    std::normal_distribution<float> normal;
    for (std::vector<float>* values : {&queries_, &keys_, &values_}) {
      const int64_t heads = values == &queries_ ? config_.heads : config_.kv_heads;
      for (int64_t i = 0; i < kTokens * heads * config_.head_dim; ++i) values->push_back(normal(random));
    }
  }

  // A cache of all tokens; the queries it turned go to `turned`.
  std::unique_ptr<CpuKvCache> Filled(int bits, int64_t layer, std::vector<float>* turned) {
    rope_ = std::make_unique<model::RopeTable>(config_.rope, config_.head_dim, kTokens + 2);
    auto cache = std::make_unique<CpuKvCache>(config_, bits, kTokens + 2, *rope_);
    *turned = queries_;
    std::vector<float> keys = keys_;
    const int64_t kv = config_.kv_heads * config_.head_dim;
    for (int64_t t = 0; t < kTokens; ++t) {
      cache->Write(layer, t, turned->data() + t * width(), keys.data() + t * kv, values_.data() + t * kv);
    }
    return cache;
  }
  int64_t width() const { return config_.heads * config_.head_dim; }

  std::vector<float> AttendAll(const CpuKvCache& cache, int64_t layer, const std::vector<float>& queries) {
    std::vector<float> out(queries.size());
    cache.AttendMany(layer, 0, kTokens, queries.data(), out.data(), *pool_);
    return out;
  }

  model::ModelConfig config_;
  std::vector<float> queries_, keys_, values_;
  std::unique_ptr<model::RopeTable> rope_;
  const std::unique_ptr<kernels::ThreadPool> pool_ = kernels::ThreadPool::CreateUnpinned(1);
};

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i] - b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

TEST_F(CpuKvCacheTest, DecodingSeesWhatAPrefillSees) {
  for (const int bits : {16, 4}) {
    std::vector<float> queries;
    const auto cache = Filled(bits, 1, &queries);
    const std::vector<float> all = AttendAll(*cache, 1, queries);
    for (const int64_t position : {int64_t{0}, int64_t{70}, kTokens - 1}) {
      std::vector<float> out(static_cast<size_t>(width()));
      cache->Attend(1, position, queries.data() + position * width(), out.data(), *pool_);
      const std::vector<float> expected(all.begin() + position * width(), all.begin() + (position + 1) * width());
      EXPECT_LT(Distance(out, expected), 1e-5) << bits << " bits at " << position;
    }
  }
}

// Errors of 15 steps a row on values of unit variance; anything turned wrongly would be off by its whole size.
TEST_F(CpuKvCacheTest, Int4IsFp16UpToItsSteps) {
  std::vector<float> queries;
  const auto fp16 = Filled(16, 0, &queries);
  const std::vector<float> expected = AttendAll(*fp16, 0, queries);
  const auto int4 = Filled(4, 0, &queries);
  const double distance = Distance(AttendAll(*int4, 0, queries), expected);
  EXPECT_GT(distance, 0.01);
  EXPECT_LT(distance, 0.25);
}

TEST_F(CpuKvCacheTest, Int4TakesAQuarterAndItsScales) {
  std::vector<float> queries;
  const auto fp16 = Filled(16, 0, &queries);
  const auto int4 = Filled(4, 0, &queries);
  EXPECT_EQ(fp16->position_bytes(), config_.layers * 2 * 2 * 32 * 2);
  EXPECT_EQ(int4->position_bytes(), config_.layers * 2 * 2 * (32 / 2 + 4));
  EXPECT_GE(int4->bytes(), int4->position_bytes() * (kTokens + 2));
  EXPECT_LT(int4->bytes(), int4->position_bytes() * (kTokens + 2) + config_.layers * 2 * 64);
}

}  // namespace
}  // namespace uaqf::engine
