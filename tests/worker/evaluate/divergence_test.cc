// Divergence from FP16: exact, and bounded from a summary of FP16's distribution.
#include "worker/evaluate/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/support/test_data.h"
#include "worker/engine/engine.h"
#include "worker/evaluate/open_model.h"

namespace uaqf::evaluate {
namespace {

using testing::ElementsAre;

constexpr int64_t kVocabulary = 512;

// Four times as many, at most the whole vocabulary.
int32_t GrowK(int32_t k, int64_t vocabulary) {
  return static_cast<int32_t>(std::min<int64_t>(int64_t{4} * k, vocabulary));
}

std::vector<float> RandomLogits(std::mt19937_64& random, double spread) {
  std::normal_distribution<double> normal(0, spread);
  std::vector<float> logits(kVocabulary);
  for (float& logit : logits) logit = static_cast<float>(normal(random));
  return logits;
}

// The same row disturbed, as quantization does.
std::vector<float> Disturbed(std::span<const float> logits, std::mt19937_64& random, double spread) {
  std::vector<float> disturbed = RandomLogits(random, spread);
  for (size_t i = 0; i < disturbed.size(); ++i) disturbed[i] += logits[i];
  return disturbed;
}

void ExpectContains(const DivergenceBound& bound, double value) {
  EXPECT_LE(bound.lower, value);
  EXPECT_GE(bound.upper, value);
}

TEST(Divergence, IsZeroOfEqualDistributionsAndKnownOfTwoTokens) {
  const std::vector<float> p = {0, 0};
  EXPECT_NEAR(Divergence(p, std::vector<float>{5, 5}), 0, 1e-15);
  // q = (3/4, 1/4): 1/2 log(2/3) + 1/2 log 2.
  EXPECT_NEAR(Divergence(p, std::vector<float>{std::log(3.0F), 0}), 0.5 * std::log(4.0 / 3.0), 1e-7);
}

TEST(Divergence, OfALogitThatIsNoNumberIsNoNumber) {
  EXPECT_TRUE(std::isnan(Divergence(std::vector<float>{0, 0}, std::vector<float>{NAN, 0})));
  EXPECT_TRUE(std::isnan(Divergence(std::vector<float>{0, 0}, std::vector<float>{INFINITY, 0})));
  EXPECT_TRUE(std::isnan(BoundDivergence(Summarize(std::vector<float>{0, 0}, 1), std::vector<float>{NAN, 0}).upper));
}

TEST(Divergence, FindsTheLikeliestTokens) {
  const std::vector<float> logits = {1, 3, 3, NAN, 2};
  EXPECT_THAT(TopIds(logits, 3), ElementsAre(1, 2, 4));
  EXPECT_DOUBLE_EQ(TopAgreement(logits, std::vector<float>{9, 8, 0, 0, 7}, 3), 2.0 / 3);
}

TEST(Divergence, SummaryHoldsAllOfTheDistribution) {
  std::mt19937_64 random(1);
  const std::vector<float> logits = RandomLogits(random, 3);
  for (const int32_t k : {1, 7, 512}) {
    const TopLogProbs summary = Summarize(logits, k);
    double mass = summary.tail_mass;
    for (const float log_prob : summary.log_probs) mass += std::exp(static_cast<double>(log_prob));
    EXPECT_NEAR(mass, 1, 1e-6);
  }
}

// Every k, flat and sharp distributions, small and large disturbances: 1,000 positions, the same bound.
TEST(DivergenceBound, ContainsTheFullValueOnAThousandPositions) {
  std::mt19937_64 random(2);
  for (int position = 0; position < 1000; ++position) {
    const std::vector<float> p = RandomLogits(random, 0.1 + position % 10);
    const std::vector<float> q = Disturbed(p, random, 0.01 * std::pow(10, position % 4));
    const double value = Divergence(p, q);
    double width = INFINITY;
    for (int32_t k = 1; true; k = GrowK(k, kVocabulary)) {
      const DivergenceBound bound = BoundDivergence(Summarize(p, k), q);
      ExpectContains(bound, value);
      EXPECT_LE(bound.width(), width + 1e-9) << "a larger k is never looser";
      width = bound.width();
      if (k == kVocabulary) break;
    }
    EXPECT_LT(width, 1e-5 * (1 + value)) << "with all tokens only rounding is left";
  }
}

// No tighter upper bound follows from mass and cap: this p has both, and reaches it.
TEST(DivergenceBound, IsReachedByTheWorstDistribution) {
  const std::vector<double> q = {0.5, 0.3, 0.15, 0.05};
  std::vector<float> variant;
  for (const double value : q) variant.push_back(static_cast<float>(std::log(value)));
  // The likeliest has 0.4, the tail of mass 0.6 lies on the two least likely of q as far as the cap allows.
  const std::vector<double> p = {0.4, 1e-12, 0.2, 0.4};
  std::vector<float> reference;
  for (const double value : p) reference.push_back(static_cast<float>(std::log(value)));
  const DivergenceBound bound = BoundDivergence(Summarize(reference, 1), variant);
  const double value = Divergence(reference, variant);
  ExpectContains(bound, value);
  EXPECT_NEAR(bound.upper, value, 1e-5);
}

// Logits of two trained models of equal shape, the second quantized, over 1,000 positions of a story.
TEST(DivergenceBound, ContainsTheFullValueOfAQuantizedModel) {
  UAQF_NEED_DATA("tinystories656k/model.safetensors");
  UAQF_NEED_DATA("tinystories/README.md");
  auto model = OpenModel::Open(test::SharedData("tinystories656k"));
  ASSERT_TRUE(model.ok()) << model.status();
  const auto ids = (*model)->EncodeText(test::ReadFile(test::SourceFile("deploy/demo/prose.txt")));
  ASSERT_TRUE(ids.ok() && ids->size() > 1004) << ids.status();
  const auto load = [&](const char* variant) {
    return engine::Engine::Create((*model)->checkpoint(), *quantize::FindVariant(variant), {.threads = 1});
  };
  auto fp16 = load("fp16");
  auto quantized = load("rtn-w4-channel");
  ASSERT_TRUE(fp16.ok() && quantized.ok());
  int positions = 0;
  for (size_t begin = 0; positions < 1000; begin += 251) {
    const auto window = std::span(*ids).subspan(begin, 251);
    auto reference = (*fp16)->ReadLogits(window);
    auto variant = (*quantized)->ReadLogits(window);
    ASSERT_TRUE(reference.ok() && variant.ok());
    for (int i = 0; i < 250; ++i, ++positions) {
      const auto p = (*reference)->Next();
      const auto q = (*variant)->Next();
      ASSERT_TRUE(p.ok() && q.ok());
      for (const int32_t k : {4, 64}) ExpectContains(BoundDivergence(Summarize(*p, k), *q), Divergence(*p, *q));
    }
  }
  EXPECT_EQ(positions, 1000);
}

}  // namespace
}  // namespace uaqf::evaluate
