// Byte-pair encoders against Hugging Face's tokenizers package, on texts chosen to be difficult (tests/oracle/
// bpe_cases.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/tokenizer/fixtures.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/tokenizer_json.h"

namespace uaqf::tokenizer {
namespace {

using ::testing::HasSubstr;

class EveryKind : public ::testing::TestWithParam<std::string> {
 protected:
  const OracleTokenizer& oracle() const { return BpeOracle().at(GetParam()); }
};

TEST_P(EveryKind, OfTokenizerJsonGivesTheIdsOfHuggingFace) {
  auto tokenizer = ParseTokenizerJson(oracle().json, "", {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  ASSERT_GT(oracle().cases.size(), 150U);
  for (const OracleCase& one : oracle().cases) {
    EXPECT_EQ((*tokenizer)->Encode(one.text, {.parse_special = true}).value(), one.ids) << '"' << one.text << '"';
    EXPECT_EQ((*tokenizer)->Encode(one.text).value(), one.plain) << '"' << one.text << '"';
  }
}

TEST_P(EveryKind, DecodesWhatItEncodes) {
  auto tokenizer = ParseTokenizerJson(oracle().json, "", {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  int compared = 0;
  for (const OracleCase& one : oracle().cases) {
    // The vocabularies lack three bytes on purpose, and "metaspace" all of them; some texts change by design: by
    // normalization, and by white space that an added token takes along. ASCII words are safe in all of them.
    const bool safe = one.text.find_first_not_of(" abcdefghijklmnopqrstuvwxyz,.") == std::string::npos;
    // Metaspace puts no mark before a text that begins with a space, and takes one away all the same.
    if (!safe || (GetParam() == "metaspace" && !one.text.empty() && one.text.front() == ' ')) continue;
    EXPECT_EQ((*tokenizer)->Decode((*tokenizer)->Encode(one.text).value()).value(), one.text);
    ++compared;
  }
  EXPECT_GT(compared, 5);
}

INSTANTIATE_TEST_SUITE_P(Bpe, EveryKind,
                         ::testing::Values("gpt-2", "smollm", "qwen2", "llama-bpe", "llama-2", "metaspace"),
                         [](const auto& info) {
                           std::string name = info.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

class EveryGgufKind : public ::testing::TestWithParam<std::string> {};

// A GGUF file names its pre-tokenizer instead of spelling it out; the ids must be the same.
TEST_P(EveryGgufKind, GivesTheSameIdsFromGguf) {
  const OracleTokenizer& oracle = BpeOracle().at(GetParam());
  auto tokenizer = ParseGgufTokenizer(GgufOf(oracle.json, GetParam()));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const bool bos = GetParam() == "llama-bpe";
  for (const OracleCase& one : oracle.cases) {
    // GGUF has no place for lstrip, which "<mask>" has here.
    if (one.text.find("<mask>") != std::string::npos) continue;
    std::vector<int32_t> expected = one.ids;
    if (bos) expected.erase(expected.begin());
    EXPECT_EQ((*tokenizer)->Encode(one.text, {.add_bos = false, .parse_special = true}).value(), expected)
        << '"' << one.text << '"';
  }
}

INSTANTIATE_TEST_SUITE_P(Bpe, EveryGgufKind, ::testing::Values("gpt-2", "smollm", "qwen2", "llama-bpe"),
                         [](const auto& info) {
                           std::string name = info.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

nlohmann::json Gpt2Json() { return nlohmann::json::parse(BpeOracle().at("gpt-2").json); }

TEST(TokenizerJson, ReadsMergesAsStringsAsWellAsPairs) {
  nlohmann::json file = Gpt2Json();
  for (auto& merge : file["model"]["merges"]) {
    ASSERT_TRUE(merge.is_array());
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  auto tokenizer = ParseTokenizerJson(file.dump(), "", {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  for (const OracleCase& one : BpeOracle().at("gpt-2").cases) {
    EXPECT_EQ((*tokenizer)->Encode(one.text).value(), one.plain);
  }
}

struct Unsupported {
  const char* name;
  const char* part;
  const char* value;
  const char* said;
};

class UnsupportedPart : public ::testing::TestWithParam<Unsupported> {};

TEST_P(UnsupportedPart, IsRefusedByName) {
  nlohmann::json file = Gpt2Json();
  file[nlohmann::json::json_pointer(GetParam().part)] = nlohmann::json::parse(GetParam().value);
  const auto tokenizer = ParseTokenizerJson(file.dump(), "", {});
  EXPECT_TRUE(absl::IsUnimplemented(tokenizer.status())) << tokenizer.status();
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(
    TokenizerJson, UnsupportedPart,
    ::testing::Values(
        Unsupported{"Normalizer", "/normalizer", R"({"type":"BertNormalizer"})", "BertNormalizer"},
        Unsupported{"ReplaceOfARegex", "/normalizer", R"({"type":"Replace","pattern":{"Regex":"a+"},"content":"b"})",
                    "Replace"},
        Unsupported{"PreTokenizer", "/pre_tokenizer", R"({"type":"BertPreTokenizer"})", "BertPreTokenizer"},
        Unsupported{"SplitBehavior", "/pre_tokenizer",
                    R"({"type":"Split","pattern":{"Regex":"a"},"behavior":"MergedWithNext","invert":false})",
                    "MergedWithNext"},
        Unsupported{"Model", "/model/type", R"("Unigram")", "Unigram"},
        Unsupported{"Suffix", "/model/end_of_word_suffix", R"("</w>")", "end_of_word_suffix"},
        Unsupported{"Decoder", "/decoder", R"({"type":"WordPiece"})", "WordPiece"},
        Unsupported{"PostProcessor", "/post_processor", R"({"type":"BertProcessing"})", "BertProcessing"},
        Unsupported{"TokenAfterTheText", "/post_processor",
                    R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"x"}}],
                        "special_tokens":{"x":{"ids":[1]}}})",
                    "TemplateProcessing"}),
    [](const auto& info) { return std::string(info.param.name); });

struct Damage {
  const char* name;
  const char* part;
  const char* value;
  const char* said;
};

class DamagedTokenizerJson : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedTokenizerJson, IsRefusedWithTheReason) {
  nlohmann::json file = Gpt2Json();
  file[nlohmann::json::json_pointer(GetParam().part)] = nlohmann::json::parse(GetParam().value);
  const auto tokenizer = ParseTokenizerJson(file.dump(), "", {});
  EXPECT_TRUE(absl::IsInvalidArgument(tokenizer.status())) << tokenizer.status();
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(
    TokenizerJson, DamagedTokenizerJson,
    ::testing::Values(Damage{"NoVocabulary", "/model/vocab", "{}", "vocab"},
                      Damage{"VocabularyOfText", "/model/vocab", "7", "vocab"},
                      Damage{"NegativeId", "/model/vocab/a", "-1", "-1"},
                      Damage{"HugeId", "/model/vocab/a", "4000000000", "4000000000"},
                      Damage{"GapInIds", "/model/vocab/a", "1000000", "without gaps"},
                      Damage{"IdOfText", "/model/vocab/a", "\"1\"", "expected an integer"},
                      Damage{"NoMerges", "/model/merges", "null", "merges"},
                      Damage{"MergeOfOne", "/model/merges/0", "[\"a\"]", "merge 0"},
                      Damage{"MergeOfUnknown", "/model/merges/0", "[\"a\",\"zzzz\"]", "zzzz"},
                      Damage{"FlagOfText", "/model/ignore_merges", "\"yes\"", "ignore_merges"},
                      Damage{"EmptyAddedToken", "/added_tokens/0/content", "\"\"", "empty"},
                      Damage{"BrokenRegex", "/pre_tokenizer",
                             R"({"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated","invert":false})",
                             "parenthesis"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(TokenizerJson, RefusesWhatIsNoJson) {
  EXPECT_TRUE(absl::IsInvalidArgument(ParseTokenizerJson("{\"model\":", "", {}).status()));
  EXPECT_FALSE(ParseTokenizerJson("[]", "", {}).ok());
  EXPECT_FALSE(ParseTokenizerJson("null", "", {}).ok());
}

TEST(TokenizerJson, NeverCrashesOnATruncatedFile) {
  const std::string& whole = BpeOracle().at("llama-2").json;
  for (size_t size = 0; size < whole.size(); size += 97) {
    EXPECT_FALSE(ParseTokenizerJson(whole.substr(0, size), "", {}).ok());
  }
}

// A pattern that backtracks without end is stopped instead of hanging the worker.
TEST(TokenizerJson, StopsAPatternThatNeedsTooManySteps) {
  nlohmann::json file = Gpt2Json();
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}, {"invert", false}}}}};
  auto tokenizer = ParseTokenizerJson(file.dump(), "", {});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto ids = (*tokenizer)->Encode(std::string(60, 'a') + "b");
  EXPECT_TRUE(absl::IsResourceExhausted(ids.status())) << ids.status();
}

TEST(TokenizerJson, TakesBosFromThePostProcessorAndObeysLlamasConfiguration) {
  const std::string& llama3 = BpeOracle().at("llama-bpe").json;
  EXPECT_TRUE(ParseTokenizerJson(llama3, "", {}).value()->special().add_bos);
  EXPECT_FALSE(ParseTokenizerJson(BpeOracle().at("gpt-2").json, "", {}).value()->special().add_bos);
  // The configuration decides for Llama's tokenizer class only.
  const char* off = R"({"tokenizer_class":"LlamaTokenizerFast","add_bos_token":false})";
  EXPECT_FALSE(ParseTokenizerJson(llama3, off, {}).value()->special().add_bos);
  const char* other = R"({"tokenizer_class":"PreTrainedTokenizerFast","add_bos_token":false})";
  EXPECT_TRUE(ParseTokenizerJson(llama3, other, {}).value()->special().add_bos);
}

}  // namespace
}  // namespace uaqf::tokenizer
