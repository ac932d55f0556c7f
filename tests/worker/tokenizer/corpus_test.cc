// Every tokenizer on a whole corpus, against token counts that others have published or measured.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace uaqf::tokenizer
