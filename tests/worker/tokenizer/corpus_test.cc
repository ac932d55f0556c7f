// Every tokenizer on a whole corpus, against token counts that others have published or measured.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "tests/worker/tokenizer/fixtures.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/sentencepiece_tokenizer.h"

namespace uaqf::tokenizer {
namespace {

size_t Count(const std::string& model_file, const std::string& text) {
  const auto tokenizer = ParseSentencePiece(test::ReadFile(test::SharedData(model_file)), "", {});
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return (*tokenizer)->Encode(text).value().size();
}

TEST(WikiText, HasThePublishedTokensOfLlama) {
  UAQF_NEED_DATA("wikitext2/wiki.test.raw");
  const size_t tokens = Count("tokenizers/llama-tokenizer.model", JoinedWikiText());
  EXPECT_EQ(tokens, 341469U);
  EXPECT_EQ(tokens / 2048, 166U);
}

TEST(WikiText, HasTheTokensOfMistral) {
  UAQF_NEED_DATA("wikitext2/wiki.test.raw");
  EXPECT_EQ(Count("tokenizers/mistral-tokenizer.model.v1", JoinedWikiText()), 334661U);
}

TEST(WikiText, HasTheTokensOfLlamaByPiecesAndScoresAlone) {
  UAQF_NEED_DATA("tokenizers/llama-tokenizer.llama2c.bin");
  UAQF_NEED_DATA("wikitext2/wiki.test.raw");
  const auto ids = ParseGgufTokenizer(LlamaGguf()).value()->Encode(JoinedWikiText()).value();
  EXPECT_EQ(ids.size(), 341469U);
}

TEST(WikiText, HasTheTokensOfSmolLm2AndComesBackWhole) {
  UAQF_NEED_FILE(test::DefaultModel());
  UAQF_NEED_DATA("wikitext2/wiki.test.raw");
  const auto tokenizer = SmolLm2();
  const std::string text = JoinedWikiText();
  const auto ids = tokenizer->Encode(text).value();
  EXPECT_EQ(ids.size(), 304978U);
  EXPECT_EQ(tokenizer->Decode(ids).value(), text);
}

// The demo scores 15 windows of 512 tokens; the oracle's windows are the first ten of them.
TEST(DemoProse, FillsTheDemosWindowsAndBeginsWithTheOracles) {
  UAQF_NEED_FILE(test::DefaultModel());
  const auto ids = SmolLm2()->Encode(test::ReadFile(test::SourceFile("deploy/demo/prose.txt"))).value();
  EXPECT_GE(ids.size(), 8000U);
  const auto oracle = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/data/smollm2_oracle.json")));
  std::vector<int32_t> windows;
  for (const auto& window : oracle["windows"]) {
    for (const auto& id : window["ids"]) windows.push_back(id);
  }
  ASSERT_EQ(windows.size(), 10U * 512U);
  EXPECT_TRUE(std::equal(windows.begin(), windows.end(), ids.begin()));
}

// The demo takes the first 13 prompts, one of each of the paper's categories.
TEST(DemoPrompts, BeginWithOneOfEachCategory) {
  std::istringstream lines(test::ReadFile(test::SourceFile("deploy/demo/prompts.jsonl")));
  std::set<std::string> ids;
  std::map<std::string, int> categories;
  for (std::string line; std::getline(lines, line);) {
    const auto prompt = nlohmann::json::parse(line);
    EXPECT_TRUE(ids.insert(prompt["id"]).second) << prompt["id"];
    EXPECT_NE(prompt.contains("text"), prompt.contains("messages")) << prompt["id"];
    categories[prompt["category"]] += 1;
    if (ids.size() == 13) {
      EXPECT_EQ(categories.size(), 13U);
    }
  }
  EXPECT_GE(ids.size(), 44U);
  EXPECT_EQ(categories.size(), 13U);
}

}  // namespace
}  // namespace uaqf::tokenizer
