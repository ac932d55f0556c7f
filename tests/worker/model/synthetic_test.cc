// Models of random weights.
#include "worker/model/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace uaqf::model {
namespace {

using testing::HasSubstr;

TEST(SyntheticModel, HasTheShapeItIsNamedAfter) {
  const auto llama = *Checkpoint::Open("synthetic:llama-2-7b");
  EXPECT_TRUE(llama->synthetic());
  EXPECT_EQ(llama->config().hidden, 4096);
  EXPECT_EQ(llama->config().context, 4096);
  EXPECT_EQ(llama->Find("model.layers.31.mlp.down_proj.weight")->columns, 11008);
  EXPECT_EQ((*Checkpoint::Open("synthetic:mistral-7b"))->config().kv_heads, 8);
  EXPECT_EQ((*Checkpoint::Open("synthetic:llama-3-8b"))->config().vocab, 128256);
  for (const std::string_view id : SyntheticIds()) {
    EXPECT_TRUE(ValidateConfig((*Checkpoint::Open(std::string(id)))->config()).ok()) << id;
  }
}

TEST(SyntheticModel, OfAnUnknownShapeIsNamedWithTheKnownOnes) {
  const auto unknown = Checkpoint::Open("synthetic:gpt-5");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(unknown.status().message()), HasSubstr("synthetic:llama-2-7b"));
}

TEST(SyntheticModel, GivesTheSameValuesWhateverRowsAreRead) {
  const auto model = *Checkpoint::Open("synthetic:tiny");
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  std::vector<float> whole(128 * 256);
  std::vector<float> part(3 * 256);
  ASSERT_TRUE(model->ReadRows(name, 0, 128, whole).ok());
  ASSERT_TRUE(model->ReadRows(name, 100, 3, part).ok());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 100 * 256));
  EXPECT_FALSE(model->ReadRows(name, 127, 2, std::span(part).first(512)).ok());
}

TEST(SyntheticModel, ScalesWeightsByTheirInputsAndSeedsTensorsApart) {
  const auto model = *Checkpoint::Open("synthetic:tiny");
  std::vector<float> q(256 * 256);
  std::vector<float> o(256 * 256);
  ASSERT_TRUE(model->ReadRows("model.layers.0.self_attn.q_proj.weight", 0, 256, q).ok());
  ASSERT_TRUE(model->ReadRows("model.layers.0.self_attn.o_proj.weight", 0, 256, o).ok());
  const auto deviation = [](const std::vector<float>& values) {
    double squares = 0;
    for (const float value : values) squares += static_cast<double>(value) * value;
    return std::sqrt(squares / static_cast<double>(values.size()));
  };
  EXPECT_NEAR(deviation(q), 1.0 / 16, 1e-3);
  EXPECT_NEAR(deviation(o), 1.0 / 16 / 2, 1e-3) << "what is added to the residual stream is smaller";
  EXPECT_NE(q[0] / q[1], o[0] / o[1]);
  std::vector<float> norm(256);
  ASSERT_TRUE(model->ReadRows("model.norm.weight", 0, 1, norm).ok());
  EXPECT_EQ(norm, std::vector<float>(256, 1.0F));
}

TEST(SyntheticModel, OfAnotherSeedIsAnotherModel) {
  const ModelConfig config = (*Checkpoint::Open("synthetic:tiny"))->config();
  EXPECT_NE(*MakeSynthetic(config, 1)->Digest(), *MakeSynthetic(config, 2)->Digest());
  EXPECT_EQ(*MakeSynthetic(config, 1)->Digest(), *MakeSynthetic(config, 1)->Digest());
}

}  // namespace
}  // namespace uaqf::model
