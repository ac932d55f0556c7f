#include "worker/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/model/model_files.h"

namespace uaqf::model {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json Plain() { return test::HuggingFaceJson(test::TinyConfig()); }

json With(const char* key, const json& value) {
  json config = Plain();
  config[key] = value;
  return config;
}

absl::StatusOr<ModelConfig> Parse(const json& config, const std::string& generation = "") {
  return ParseHuggingFaceConfig(config.dump(), generation);
}

void ExpectRefused(const json& config, const std::string& because) {
  const absl::StatusOr<ModelConfig> parsed = Parse(config);
  ASSERT_FALSE(parsed.ok()) << "expected: " << because;
  EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(because));
}

TEST(HuggingFaceConfig, ReadsALlama) {
  const absl::StatusOr<ModelConfig> config = Parse(Plain());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "llama");
  EXPECT_EQ(config->hidden, 64);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->bos_id, 1);
  EXPECT_THAT(config->eos_ids, ElementsAre(2));
  EXPECT_FALSE(config->qkv_bias);
  EXPECT_EQ(config->release_format, "");
}

TEST(HuggingFaceConfig, FillsInWhatOlderFilesLeaveOut) {
  json config = Plain();
  config.erase("num_key_value_heads");
  config.erase("head_dim");
  config.erase("rope_theta");
  const absl::StatusOr<ModelConfig> parsed = Parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->kv_heads, 4);
  EXPECT_EQ(parsed->head_dim, 16);
  EXPECT_EQ(parsed->rope.theta, 10000.0);
}

TEST(HuggingFaceConfig, JoinsTheEndTokensOfTheGenerationConfig) {
  const absl::StatusOr<ModelConfig> config = Parse(With("eos_token_id", {2, 3}), R"({"eos_token_id": [3, 9]})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->eos_ids, ElementsAre(2, 3, 9));
}

TEST(HuggingFaceConfig, ReadsRopeScaling) {
  const json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192}};
  EXPECT_EQ(Parse(With("rope_scaling", llama3))->rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(Parse(With("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}))->rope.factor, 2.0);
  EXPECT_EQ(Parse(With("rope_scaling", nullptr))->rope.scaling, RopeScaling::kNone);
  EXPECT_EQ(Parse(With("rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}))->rope.theta, 5e5);
  ExpectRefused(With("rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}), "rope scaling \"yarn\"");
  ExpectRefused(With("rope_scaling", {{"type", "linear"}}), "\"factor\" is nothing, expected a number");
}

TEST(HuggingFaceConfig, ReadsTheSlidingWindowAsEachArchitectureMeansIt) {
  json mistral = With("sliding_window", 4096);
  EXPECT_EQ(Parse(mistral)->sliding_window, 0);  // a llama has none
  mistral["model_type"] = "mistral";
  EXPECT_EQ(Parse(mistral)->sliding_window, 4096);
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(Parse(mistral)->sliding_window, 0);
  json qwen = With("sliding_window", 4096);
  qwen["model_type"] = "qwen2";
  EXPECT_EQ(Parse(qwen)->sliding_window, 0);
  EXPECT_TRUE(Parse(qwen)->qkv_bias);
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 0;
  EXPECT_EQ(Parse(qwen)->sliding_window, 4096);
  qwen["max_window_layers"] = 1;
  ExpectRefused(qwen, "not supported");
}

TEST(HuggingFaceConfig, NamesAnUnknownArchitectureAndTheKnownOnes) {
  ExpectRefused(With("model_type", "gpt_neox"),
                "unknown architecture \"gpt_neox\"; this build knows llama, mistral, qwen2");
}

TEST(HuggingFaceConfig, RefusesWhatTheEngineCannotCompute) {
  ExpectRefused(With("hidden_act", "gelu"), "hidden_act \"gelu\"");
}

TEST(HuggingFaceConfig, RefusesNonsense) {
  ExpectRefused(json::array(), "no JSON object");
  ExpectRefused(With("hidden_size", "64"), "\"hidden_size\" is \"64\", expected an integer");
  ExpectRefused(With("hidden_size", -64), "hidden size");
  ExpectRefused(With("num_hidden_layers", int64_t{1} << 40), "number of layers");
  ExpectRefused(With("num_attention_heads", 0), "attention heads");
  ExpectRefused(With("num_key_value_heads", 3), "expected a multiple");
  ExpectRefused(With("eos_token_id", 128), "outside the vocabulary");
  ExpectRefused(With("rms_norm_eps", 0.0), "epsilon");
  ExpectRefused(With("rope_theta", 0.0), "rope theta");
  EXPECT_FALSE(ParseHuggingFaceConfig("{\"model_type\":", "").ok());
  EXPECT_FALSE(ParseHuggingFaceConfig("", "").ok());
}

}  // namespace
}  // namespace uaqf::model
