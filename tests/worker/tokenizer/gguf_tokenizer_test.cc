#include "worker/tokenizer/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/tokenizer/fixtures.h"
#include "worker/model/checkpoint.h"
#include "worker/tokenizer/load.h"

namespace uaqf::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(GgufTokenizer, GivesTheOraclesIdsForSmolLm2) {
  UAQF_NEED_FILE(test::DefaultModel());
  const auto tokenizer = SmolLm2();
  const auto oracle = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/data/smollm2_oracle.json")));
  ASSERT_EQ(oracle["prompts"].size(), 20U);
  for (const auto& prompt : oracle["prompts"]) {
    const std::string text = prompt["text"];
    EXPECT_EQ(tokenizer->Encode(text, {.parse_special = true}).value(),
              prompt["prompt_ids"].get<std::vector<int32_t>>())
        << text;
  }
}

TEST(GgufTokenizer, KnowsTheSpecialTokensOfSmolLm2) {
  UAQF_NEED_FILE(test::DefaultModel());
  const auto tokenizer = SmolLm2();
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_EQ(tokenizer->special().bos, 1);
  EXPECT_EQ(tokenizer->special().eos, 2);
  EXPECT_FALSE(tokenizer->special().add_bos);
  EXPECT_THAT(tokenizer->special().stop, ElementsAre(0, 2));
  EXPECT_TRUE(tokenizer->special().Stops(2));
  EXPECT_FALSE(tokenizer->special().Stops(1));
}

// Scores and pieces alone must give what SentencePiece gives with the whole model.
TEST(GgufTokenizer, EncodesLlamaByScoresAsSentencePieceDoes) {
  UAQF_NEED_DATA("tokenizers/llama-tokenizer.llama2c.bin");
  auto tokenizer = ParseGgufTokenizer(LlamaGguf());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_TRUE((*tokenizer)->special().add_bos);
  const auto oracle = nlohmann::json::parse(test::ReadFile(test::SharedData("tokenizers/sentencepiece_oracle.json")));
  for (const auto& row : oracle["llama_tokenizer_model"]) {
    const std::string text = row["text"];
    EXPECT_EQ((*tokenizer)->Encode(text, {.add_bos = false}).value(), row["ids"].get<std::vector<int32_t>>()) << text;
    EXPECT_EQ((*tokenizer)->Decode(row["ids"].get<std::vector<int32_t>>()).value(), row["decoded"].get<std::string>());
  }
}

TEST(GgufTokenizer, NamesAnUnknownPreTokenizer) {
  const auto tokenizer = ParseGgufTokenizer(GgufOf(BpeOracle().at("gpt-2").json, "tekken"));
  EXPECT_TRUE(absl::IsUnimplemented(tokenizer.status()));
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("\"tekken\""));
}

TEST(GgufTokenizer, NamesAnUnknownKind) {
  model::GgufMetadata metadata;
  ASSERT_TRUE(metadata.Insert("tokenizer.ggml.model", std::string("t5")));
  ASSERT_TRUE(metadata.Insert("tokenizer.ggml.tokens", std::vector<std::string>{"a"}));
  const auto tokenizer = ParseGgufTokenizer(metadata);
  EXPECT_TRUE(absl::IsUnimplemented(tokenizer.status()));
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("\"t5\""));
}

TEST(GgufTokenizer, RefusesAFileWithoutOne) {
  EXPECT_TRUE(absl::IsNotFound(ParseGgufTokenizer(model::GgufMetadata()).status()));
}

TEST(GgufTokenizer, RefusesListsOfDifferentLengths) {
  model::GgufMetadata metadata;
  ASSERT_TRUE(metadata.Insert("tokenizer.ggml.model", std::string("llama")));
  ASSERT_TRUE(metadata.Insert("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(metadata.Insert("tokenizer.ggml.scores", std::vector<double>{0.0}));
  const auto status = ParseGgufTokenizer(metadata).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 tokens and 1 scores"));
}

TEST(GgufTokenizer, RefusesASpecialIdOutsideTheVocabulary) {
  model::GgufMetadata metadata = GgufOf(BpeOracle().at("gpt-2").json, "gpt-2");
  ASSERT_TRUE(metadata.Insert("tokenizer.ggml.eos_token_id", int64_t{99999}));
  const auto status = ParseGgufTokenizer(metadata).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("99999"));
}

}  // namespace
}  // namespace uaqf::tokenizer
