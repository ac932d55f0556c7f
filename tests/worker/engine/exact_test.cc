// Trained models against references computed elsewhere.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/support/test_data.h"
#include "tests/worker/engine/engine_test_support.h"
#include "tests/worker/engine/float64_reference.h"
#include "tests/worker/model/model_files.h"

namespace uaqf {
namespace {

// 1e-3 nats, and 1e-3 of the largest logit; more on a GPU, whose prefill has FP16 activations.
const double kTolerance = test::OnGpu() ? 5e-3 : 1e-3;

// reference_f64.json is a plain-Python float64 forward pass over the FP32 weights of stories260K.
class Stories260k : public ::testing::Test {
 protected:
  void SetUp() override {
    if (test::OnGpu()) GTEST_SKIP() << "the GPU's kernels want heads of multiples of 16, these have 8";
    UAQF_NEED_DATA("stories260k/stories260K.bin");
    const std::string folder = test::ScratchFolder();
    test::WriteLlama2cAsHuggingFace(test::SharedData("stories260k/stories260K.bin"), folder);
    auto opened = model::Checkpoint::Open(folder);
    ASSERT_TRUE(opened.ok()) << opened.status();
    checkpoint_ = *std::move(opened);
    engine_ = test::MakeEngine(*checkpoint_, "fp16");
    ASSERT_NE(engine_, nullptr);
    reference_ = nlohmann::json::parse(test::ReadFile(test::SharedData("stories260k/reference_f64.json")));
    greedy_ids_ = reference_["greedy_ids"].get<std::vector<int32_t>>();
  }

  std::unique_ptr<model::Checkpoint> checkpoint_;
  std::unique_ptr<engine::Engine> engine_;
  nlohmann::json reference_;
  std::vector<int32_t> greedy_ids_;
};

TEST_F(Stories260k, GreedyIdsEqualTheReference) {
  const std::vector<int32_t> expected(greedy_ids_.begin() + 1, greedy_ids_.end());
  EXPECT_EQ(test::Generate(*engine_, std::span(greedy_ids_).first(1), expected.size()), expected);
}

TEST_F(Stories260k, LogitsOfPrefillAndOfDecodeEqualTheReference) {
  for (const auto& [position, logits] : reference_["logits_by_position"].items()) {
    const size_t count = std::stoul(position) + 1;
    const auto expected = logits.get<std::vector<double>>();
    ASSERT_TRUE(engine_->Prefill(std::span(greedy_ids_).first(count)).ok());
    EXPECT_LT(test::RelativeError(engine_->logits(), expected), kTolerance) << "prefill, position " << position;
    ASSERT_TRUE(engine_->Prefill(std::span(greedy_ids_).first(1)).ok());
    for (size_t i = 1; i < count; ++i) ASSERT_TRUE(engine_->Decode(greedy_ids_[i]).ok());
    EXPECT_LT(test::RelativeError(engine_->logits(), expected), kTolerance) << "decode, position " << position;
  }
}

TEST_F(Stories260k, NllOfFiveStoriesEqualsTheReference) {
  ASSERT_EQ(reference_["story_ids"].size(), 5U);
  for (size_t story = 0; story < 5; ++story) {
    const auto ids = reference_["story_ids"][story].get<std::vector<int32_t>>();
    const absl::StatusOr<std::vector<double>> nll = engine_->Score(ids);
    ASSERT_TRUE(nll.ok()) << nll.status();
    ASSERT_EQ(nll->size(), ids.size() - 1);
    const double mean = std::accumulate(nll->begin(), nll->end(), 0.0) / static_cast<double>(nll->size());
    EXPECT_NEAR(mean, reference_["story_nll"][story]["mean_nll"].get<double>(), kTolerance) << "story " << story;
  }
}

// No reference file exists for this model: ours is the same arithmetic in double.
class Tinystories656k : public ::testing::Test {
 protected:
  void SetUp() override {
    UAQF_NEED_DATA("tinystories656k/model.safetensors");
    auto opened = model::Checkpoint::Open(test::SharedData("tinystories656k"));
    ASSERT_TRUE(opened.ok()) << opened.status();
    checkpoint_ = *std::move(opened);
    engine_ = test::MakeEngine(*checkpoint_, "fp16");
    ASSERT_NE(engine_, nullptr);
    reference_ = std::make_unique<test::Float64Reference>(*checkpoint_);
    ids_ = test::Generate(*engine_, std::vector<int32_t>{1}, 200);
    ids_.insert(ids_.begin(), 1);
  }

  std::unique_ptr<model::Checkpoint> checkpoint_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<test::Float64Reference> reference_;
  std::vector<int32_t> ids_;  // BOS and a greedy text
};

TEST_F(Tinystories656k, EveryGreedyStepIsTheReferencesChoice) {
  const std::vector<std::vector<double>> logits = reference_->Logits(ids_);
  for (size_t i = 0; i + 1 < ids_.size(); ++i) {
    const auto best = std::max_element(logits[i].begin(), logits[i].end());
    EXPECT_EQ(best - logits[i].begin(), ids_[i + 1]) << "step " << i;
  }
}

TEST_F(Tinystories656k, LogitsEqualTheReference) {
  const std::vector<std::vector<double>> logits = reference_->Logits(ids_);
  for (const size_t position : {0U, 1U, 10U, 100U, 200U}) {
    ASSERT_TRUE(engine_->Prefill(std::span(ids_).first(position + 1)).ok());
    EXPECT_LT(test::RelativeError(engine_->logits(), logits[position]), kTolerance) << "position " << position;
  }
}

TEST_F(Tinystories656k, NllEqualsTheReference) {
  const std::vector<double> expected = reference_->Nll(ids_);
  const absl::StatusOr<std::vector<double>> nll = engine_->Score(ids_);
  ASSERT_TRUE(nll.ok()) << nll.status();
  ASSERT_EQ(nll->size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR((*nll)[i], expected[i], test::OnGpu() ? 2e-2 : 5e-3) << "token " << i;
  const double difference =
      std::accumulate(nll->begin(), nll->end(), 0.0) - std::accumulate(expected.begin(), expected.end(), 0.0);
  EXPECT_LT(std::abs(difference) / static_cast<double>(expected.size()), kTolerance);
}

}  // namespace
}  // namespace uaqf
