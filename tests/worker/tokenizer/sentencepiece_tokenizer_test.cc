#include "worker/tokenizer/sentencepiece_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/worker/tokenizer/fixtures.h"

namespace uaqf::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Tokenizer> Load(const std::string& file, std::string_view config = "") {
  auto tokenizer = ParseSentencePiece(test::ReadFile(test::SharedData(file)), config, {});
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

constexpr char kLlama[] = "tokenizers/llama-tokenizer.model";
constexpr char kMistral[] = "tokenizers/mistral-tokenizer.model.v1";

TEST(SentencePieceTokenizer, MatchesTheOracleIdForId) {
  UAQF_NEED_DATA("tokenizers/sentencepiece_oracle.json");
  const auto oracle = nlohmann::json::parse(test::ReadFile(test::SharedData("tokenizers/sentencepiece_oracle.json")));
  ASSERT_EQ(oracle.size(), 3U);
  for (const auto& [name, rows] : oracle.items()) {
    const auto tokenizer = Load(name.rfind("llama", 0) == 0     ? kLlama
                                : name.rfind("mistral", 0) == 0 ? kMistral
                                                                : "stories260k/tok512.model");
    ASSERT_GE(rows.size(), 14U);
    for (const auto& row : rows) {
      const std::string text = row["text"];
      const auto ids = row["ids"].get<std::vector<int32_t>>();
      EXPECT_EQ(tokenizer->Encode(text, {.add_bos = false}).value(), ids) << name << ": " << text;
      EXPECT_EQ(tokenizer->Decode(ids).value(), row["decoded"].get<std::string>()) << name << ": " << text;
    }
  }
}

TEST(SentencePieceTokenizer, MatchesTheCasesOfLlama2c) {
  UAQF_NEED_DATA("tokenizers/llama2c_encode_cases.json");
  const auto tokenizer = Load(kLlama);
  const auto file = nlohmann::json::parse(test::ReadFile(test::SharedData("tokenizers/llama2c_encode_cases.json")));
  ASSERT_EQ(file["cases"].size(), 5U);
  for (const auto& one : file["cases"]) {
    EXPECT_EQ(tokenizer->Encode(one["text"].get<std::string>()).value(),
              one["ids_with_bos"].get<std::vector<int32_t>>());
  }
}

TEST(SentencePieceTokenizer, ReadsControlTokensOnlyWhereAsked) {
  UAQF_NEED_DATA(kLlama);
  const auto tokenizer = Load(kLlama);
  const std::string text = "<s>[INST] Hi [/INST]</s>";
  EXPECT_THAT(tokenizer->Encode(text, {.add_bos = false, .parse_special = true}).value(),
              ElementsAre(1, 518, 25580, 29962, 6324, 518, 29914, 25580, 29962, 2));
  EXPECT_THAT(tokenizer->Encode("</s>", {.add_bos = false}).value(), ElementsAre(1533, 29879, 29958));
}

TEST(SentencePieceTokenizer, BeginsWithBosUnlessTheConfigurationSaysNo) {
  UAQF_NEED_DATA(kLlama);
  EXPECT_THAT(Load(kLlama)->Encode("").value(), ElementsAre(1));
  EXPECT_THAT(Load(kLlama, R"({"add_bos_token":false})")->Encode("").value(), ElementsAre());
}

TEST(SentencePieceTokenizer, TakesTheTokensThatAFolderAdds) {
  UAQF_NEED_DATA(kLlama);
  const char* config = R"({"added_tokens_decoder":{"0":{"content":"<unk>","special":true},
      "32000":{"content":"<|im_end|>","special":true}}})";
  const auto tokenizer = Load(kLlama, config);
  EXPECT_EQ(tokenizer->vocab_size(), 32001);
  EXPECT_THAT(tokenizer->Encode("a<|im_end|>", {.add_bos = false, .parse_special = true}).value(),
              ElementsAre(263, 32000));
  EXPECT_TRUE(tokenizer->special().Stops(32000));
}

TEST(SentencePieceTokenizer, RefusesAddedTokensThatLeaveAGap) {
  UAQF_NEED_DATA(kLlama);
  const std::string bytes = test::ReadFile(test::SharedData(kLlama));
  const auto status = ParseSentencePiece(bytes, R"({"added_tokens_decoder":{"40000":{"content":"<x>"}}})", {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("40000"));
}

TEST(SentencePieceTokenizer, RoundTripsTextOfEveryKind) {
  UAQF_NEED_DATA(kLlama);
  const auto tokenizer = Load(kLlama);
  const std::vector<std::string> parts = {"a",  " ",    "  ", "\n", "\t",    "é",
                                          "中", "🙂", "1",  ".",  "Hello", "\xE2\x80\x8B"};
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (size_t i = random() % 20; i > 0; --i) text += parts[random() % parts.size()];
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text).value()).value(), text);
  }
}

TEST(SentencePieceTokenizer, RefusesWhatIsNoModel) {
  for (const std::string& bytes : {std::string(), std::string("not a model"), std::string(1000, '\0')}) {
    const auto status = ParseSentencePiece(bytes, "", {}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("tokenizer.model"));
  }
}

// A flipped or missing byte gives an error or another tokenizer, but never a crash.
TEST(SentencePieceTokenizer, SurvivesADamagedModel) {
  UAQF_NEED_DATA("stories260k/tok512.model");
  const std::string whole = test::ReadFile(test::SharedData("stories260k/tok512.model"));
  std::mt19937 random(11);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole.substr(0, round % 2 == 0 ? whole.size() : random() % whole.size());
    for (int flips = 0; flips < 3 && !bytes.empty(); ++flips)
      bytes[random() % bytes.size()] ^= static_cast<char>(1 << (random() % 8));
    const auto tokenizer = ParseSentencePiece(bytes, "", {});
    if (!tokenizer.ok()) {
      ++refused;
      continue;
    }
    const auto ids = (*tokenizer)->Encode("Once upon a time 🙂");
    EXPECT_TRUE(!ids.ok() || (*tokenizer)->Decode(*ids).ok());
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace uaqf::tokenizer
