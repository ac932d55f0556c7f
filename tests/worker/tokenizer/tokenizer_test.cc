#include "worker/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/worker/tokenizer/fixtures.h"
#include "worker/model/checkpoint.h"
#include "worker/tokenizer/load.h"
#include "worker/tokenizer/tokenizer_json.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Tokenizer> Gpt2() { return ParseTokenizerJson(BpeOracle().at("gpt-2").json, "", {}).value(); }

TEST(Tokenizer, NamesTheByteThatIsNotUtf8) {
  const auto tokenizer = Gpt2();
  for (const auto& [text, at] : {std::pair<std::string, size_t>{"abc\xFFxyz", 3},
                                 {"\xC0\x80", 0},             // overlong
                                 {"a\xED\xA0\x80", 1},        // surrogate
                                 {"\xF4\x90\x80\x80", 0},     // above U+10FFFF
                                 {"ok \xE4\xB8", 3},          // ends too early
                                 {"\xE4\xB8\xAD\x80", 3}}) {  // continues nothing
    const auto status = tokenizer->Encode(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("offset " + std::to_string(at) + " of"));
  }
}

TEST(Tokenizer, RefusesAnIdOutsideTheVocabulary) {
  const auto tokenizer = Gpt2();
  for (const int32_t id : {-1, tokenizer->vocab_size(), INT32_MAX}) {
    const auto status = tokenizer->Decode({id}).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(id)));
  }
}

TEST(Tokenizer, RoundTripsRandomText) {
  const auto tokenizer = Gpt2();
  const std::vector<std::string> parts = {"a",  "the",  " ", "  ", "\n", "\r\n", "\t",     "é", "e\u0301",
                                          "中", "🙂", "1", "9",  ".",  "'ll",  "\u00a0", "_", "the river"};
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t i = random() % 24; i > 0; --i) text += parts[random() % parts.size()];
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text).value()).value(), text);
  }
}

TEST(Tokenizer, EncodesTheSameFromManyThreads) {
  const auto tokenizer = Gpt2();
  const std::string text = test::ReadFile(test::SourceFile("deploy/demo/prose.txt"));
  const auto expected = tokenizer->Encode(text).value();
  std::vector<std::thread> threads;
  std::array<std::vector<int32_t>, 4> results;
  for (auto& result : results) threads.emplace_back([&] { result = tokenizer->Encode(text).value(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

TEST(StreamDecoder, GivesOutOnlyWholeCharacters) {
  const auto tokenizer = Gpt2();
  const std::string text = "A 🙂 and 中文.";
  const auto ids = tokenizer->Encode(text).value();
  StreamDecoder decoder(*tokenizer);
  std::string joined;
  size_t silent = 0;
  for (const int32_t id : ids) {
    const std::string piece = decoder.Push(id).value();
    EXPECT_EQ(FindInvalidUtf8(piece), piece.size());
    silent += piece.empty() ? 1 : 0;
    joined += piece;
  }
  EXPECT_EQ(joined + decoder.Finish(), text);
  EXPECT_GT(silent, 0U);
}

TEST(StreamDecoder, ReplacesACharacterThatIsNeverFinished) {
  const auto tokenizer = Gpt2();
  std::vector<int32_t> ids = tokenizer->Encode("x🙂").value();
  ids.pop_back();
  EXPECT_EQ(tokenizer->Decode(ids).value(), "x\xEF\xBF\xBD");
}

TEST(StreamDecoder, SaysNothingForControlTokens) {
  const auto tokenizer = Gpt2();
  const auto ids = tokenizer->Encode("a<|im_end|>b", {.parse_special = true}).value();
  EXPECT_EQ(tokenizer->Decode(ids).value(), "ab");
}

TEST(Utf8, ReplacesEachLongestBeginningOfACharacterOnce) {
  for (const auto& [bytes, expected] : {std::pair<std::string, std::string>{"\xF0\x9F\x98", "\uFFFD"},
                                        {"\xF0\x9F\x98"
                                         "a",
                                         "\uFFFDa"},
                                        {"\xFF\xFE", "\uFFFD\uFFFD"},
                                        {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
                                        {"a\xC3\xA9", "aé"}}) {
    std::string pending = bytes;
    EXPECT_EQ(TakeUtf8(pending, /*final=*/true), expected);
    EXPECT_TRUE(pending.empty());
  }
}

TEST(Utf8, DecodesWhatItEncodes) {
  for (char32_t character = 1; character <= 0x10FFFF; ++character) {
    if (character == 0xD800) character = 0xE000;
    std::string text;
    AppendUtf8(character, text);
    ASSERT_EQ(FindInvalidUtf8(text), text.size()) << std::hex << uint32_t{character};
    ASSERT_TRUE(DecodeUtf8(text, 0) == character) << std::hex << uint32_t{character};
    ASSERT_EQ(Utf8Length(static_cast<unsigned char>(text[0])), text.size());
  }
}

TEST(Vocabulary, CutsOutTheLongestTokenThatBeginsFirst) {
  std::vector<Token> tokens(3);
  auto vocabulary = Vocabulary::Create(
      tokens, {{.content = "<a>", .id = 0}, {.content = "<a><b>", .id = 1}, {.content = "<b>c", .id = 2}});
  ASSERT_TRUE(vocabulary.ok());
  const std::vector<Section> sections = vocabulary->Split("x<a><b>c<a>", false, true);
  ASSERT_EQ(sections.size(), 4U);
  EXPECT_EQ(sections[0].text, "x");
  EXPECT_EQ(sections[1].id, 1);
  EXPECT_EQ(sections[2].text, "c");
  EXPECT_EQ(sections[3].id, 0);
}

TEST(Vocabulary, RefusesAnAddedTokenOutsideIt) {
  EXPECT_TRUE(
      absl::IsInvalidArgument(Vocabulary::Create(std::vector<Token>(2), {{.content = "<a>", .id = 2}}).status()));
}

TEST(CheckVocabulary, AllowsPaddingButNotAnotherModelsTokenizer) {
  const auto tokenizer = Gpt2();
  const int64_t size = tokenizer->vocab_size();
  EXPECT_TRUE(CheckVocabulary(*tokenizer, size, "m").ok());
  EXPECT_TRUE(CheckVocabulary(*tokenizer, size + 10, "m").ok());
  const auto larger = CheckVocabulary(*tokenizer, 49152, "models/m");
  EXPECT_TRUE(absl::IsFailedPrecondition(larger));
  EXPECT_THAT(std::string(larger.message()), HasSubstr("wrong tokenizer for models/m"));
  EXPECT_THAT(std::string(larger.message()), HasSubstr("49152"));
  EXPECT_FALSE(CheckVocabulary(*tokenizer, size - 1, "m").ok());
}

TEST(LoadTokenizer, ReadsAHuggingFaceFolder) {
  UAQF_NEED_DATA("tinystories656k/tokenizer.json");
  auto checkpoint = model::Checkpoint::Open(test::SharedData("tinystories656k"));
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  auto tokenizer = LoadTokenizer(**checkpoint);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 2048);
  EXPECT_EQ((*tokenizer)->special().bos, 1);
  EXPECT_EQ((*tokenizer)->special().eos, 2);
  EXPECT_TRUE((*tokenizer)->special().add_bos);
  // Unknown characters, one after the other, are one <unk>: byte fallback is set, but there are no byte pieces.
  const auto ids = (*tokenizer)->Encode("Once upon a time 中文").value();
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(ids.back(), 0);
  EXPECT_EQ((*tokenizer)->Decode(ids).value(), "Once upon a time ");
  EXPECT_TRUE(absl::IsNotFound(LoadChatTemplate(**checkpoint, **tokenizer).status()));
}

// Somebody copies the tokenizer of another model into the folder.
TEST(LoadTokenizer, RefusesTheTokenizerOfAnotherModel) {
  UAQF_NEED_DATA("tinystories656k/model.safetensors");
  const std::string folder = test::ScratchFolder();
  for (const char* file : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(test::SharedData(std::string("tinystories656k/") + file), folder + "/" + file);
  }
  std::ofstream(folder + "/tokenizer.json") << BpeOracle().at("gpt-2").json;
  const auto checkpoint = model::Checkpoint::Open(folder).value();
  const auto status = LoadTokenizer(*checkpoint).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("wrong tokenizer"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("2048"));
}

TEST(LoadTokenizer, SaysWhatIsMissing) {
  UAQF_NEED_DATA("tinystories656k/model.safetensors");
  const std::string folder = test::ScratchFolder();
  for (const char* file : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(test::SharedData(std::string("tinystories656k/") + file), folder + "/" + file);
  }
  const auto checkpoint = model::Checkpoint::Open(folder).value();
  const auto status = LoadTokenizer(*checkpoint).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no tokenizer.json and no tokenizer.model"));
}

}  // namespace
}  // namespace uaqf::tokenizer
