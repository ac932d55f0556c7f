// A quantized release run in its own form, against the same weights in FP16.
#include "worker/quantize/checkpoint_variant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/test_data.h"
#include "tests/worker/engine/engine_test_support.h"
#include "tests/worker/model/gptq_model.h"
#include "tests/worker/model/model_files.h"
#include "worker/engine/cuda/device_form.h"

namespace uaqf::engine {
namespace {

using ::testing::HasSubstr;

class CheckpointVariant : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = test::ScratchFolder();
    for (const char* name : {"/release", "/plain"}) std::filesystem::create_directories(folder + name);
    model::ModelConfig config = test::TinyConfig();
    config.layers = 3;
    test::WriteGptqModel(config, 5, folder + "/release", folder + "/plain");
    release_path_ = folder + "/release";
    auto release = model::Checkpoint::Open(release_path_);
    auto plain = model::Checkpoint::Open(folder + "/plain");
    ASSERT_TRUE(release.ok() && plain.ok()) << release.status() << plain.status();
    release_ = *std::move(release);
    plain_ = *std::move(plain);
  }

  absl::StatusOr<std::unique_ptr<Engine>> MakeRelease() {
    EngineOptions options;
    options.device = test::TestDevice();
    return Engine::Create(*release_, quantize::VariantOfRelease(release_->config()), options);
  }

  std::string release_path_;
  std::unique_ptr<model::Checkpoint> release_;
  std::unique_ptr<model::Checkpoint> plain_;
};

TEST_F(CheckpointVariant, ReadsTheWeightsThatTheReleaseMeans) {
  EXPECT_EQ(release_->config().release_format, "GPTQ 4-bit g32");
  for (const char* layer : {"model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight",
                            "model.layers.2.self_attn.k_proj.weight"}) {
    const model::TensorInfo info = release_->Find(layer).value();
    std::vector<float> got(static_cast<size_t>(info.rows * info.columns));
    std::vector<float> expected(got.size());
    ASSERT_TRUE(release_->ReadRows(layer, 0, info.rows, got).ok());
    ASSERT_TRUE(plain_->ReadRows(layer, 0, info.rows, expected).ok());
    EXPECT_EQ(got, expected) << layer;
  }
  EXPECT_TRUE(absl::IsNotFound(release_->ReadStored("model.embed_tokens.weight", {0, 1}).status()));
  EXPECT_TRUE(absl::IsNotFound(plain_->ReadStored("model.layers.0.mlp.up_proj.weight", {0, 1}).status()));
}

TEST_F(CheckpointVariant, ComputesWhatItsWeightsInFp16Do) {
  if (test::OnGpu()) GTEST_SKIP() << "q, k and v of this release have orders of their own";
  const auto release = MakeRelease();
  ASSERT_TRUE(release.ok()) << release.status();
  const auto plain = Engine::Create(*plain_, quantize::FindVariant("fp16").value(), {});
  ASSERT_TRUE(plain.ok()) << plain.status();
  const std::vector<int32_t> ids = test::RandomIds(60, 128, 6);
  const auto got = (*release)->Score(ids);
  const auto expected = (*plain)->Score(ids);
  ASSERT_TRUE(got.ok() && expected.ok());
  for (size_t i = 0; i < expected->size(); ++i) EXPECT_NEAR((*got)[i], (*expected)[i], 2e-4);
  ASSERT_TRUE((*release)->Prefill(std::span(ids).first(20)).ok());
  ASSERT_TRUE((*plain)->Prefill(std::span(ids).first(20)).ok());
  for (size_t i = 20; i < ids.size(); ++i) {
    ASSERT_TRUE((*release)->Decode(ids[i]).ok());
    ASSERT_TRUE((*plain)->Decode(ids[i]).ok());
  }
  const std::vector<double> logits((*plain)->logits().begin(), (*plain)->logits().end());
  EXPECT_LT(test::RelativeError((*release)->logits(), logits), 1e-4);
}

TEST_F(CheckpointVariant, TakesTheMemoryThatIsEstimated) {
  if (test::OnGpu()) GTEST_SKIP() << "q, k and v of this release have orders of their own";
  const auto release = MakeRelease();
  ASSERT_TRUE(release.ok());
  const auto plain = Engine::Create(*plain_, quantize::FindVariant("fp16").value(), {});
  EXPECT_LT((*release)->memory().block_weights_bytes, 0.4 * (*plain)->memory().block_weights_bytes);
  const auto estimated = static_cast<double>(quantize::PackedBytesOfRelease(*release_));
  EXPECT_NEAR(estimated, (*release)->memory().weights_bytes, 0.05 * estimated);
}

TEST_F(CheckpointVariant, IsQuantizedFurtherByOtherVariantsFromItsDequantizedWeights) {
  const auto own = Engine::Create(*release_, quantize::FindVariant("rtn-w8-channel").value(), {});
  const auto plain = Engine::Create(*plain_, quantize::FindVariant("rtn-w8-channel").value(), {});
  ASSERT_TRUE(own.ok() && plain.ok()) << own.status();
  const std::vector<int32_t> ids = test::RandomIds(30, 128, 7);
  EXPECT_EQ(*(*own)->Score(ids), *(*plain)->Score(ids));
}

TEST_F(CheckpointVariant, NamesTheLayerThatCannotBeRead) {
  std::string file = test::ReadFile(release_path_ + "/model.safetensors");
  const size_t at = file.find("qzeros");
  ASSERT_NE(at, std::string::npos);
  file.replace(at, 6, "qzeroz");
  test::WriteFile(release_path_ + "/model.safetensors", file);
  release_ = model::Checkpoint::Open(release_path_).value();
  const absl::Status status = MakeRelease().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("model.layers.0.mlp.down_proj: has no tensor qzeros"));
}

TEST_F(CheckpointVariant, HasAFormForTheGpu) {
  const auto form = DeviceFormOfRelease(*release_);
  ASSERT_TRUE(form.ok()) << form.status();
  EXPECT_EQ(form->format, cuda::Format::kInt4);
  EXPECT_EQ(form->group, 32);
  EXPECT_TRUE(form->zeros);
  EXPECT_EQ(DeviceFormOfRelease(*plain_).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(CheckpointVariant, FitsOnlyModelsOfItsShape) {
  EXPECT_TRUE(quantize::FitsRelease(release_->config(), plain_->config()).ok());
  EXPECT_THAT(std::string(quantize::FitsRelease(plain_->config(), plain_->config()).message()),
              HasSubstr("plain is not quantized"));
  model::ModelConfig wider = plain_->config();
  wider.ff = 128;
  EXPECT_THAT(std::string(quantize::FitsRelease(release_->config(), wider).message()),
              HasSubstr("release is no release of plain: its feed-forward size is 96, expected 128"));
}

TEST(CheckpointNames, AreThoseWithThePrefix) {
  EXPECT_EQ(quantize::CheckpointNamed("checkpoint:llama-2-7b-gptq"), "llama-2-7b-gptq");
  EXPECT_FALSE(quantize::CheckpointNamed("rtn-w4").has_value());
}

}  // namespace
}  // namespace uaqf::engine
