// A tokenizer is told by its vocabulary and by what it does.
#include "worker/tokenizer/digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/worker/tokenizer/fixtures.h"
#include "worker/tokenizer/tokenizer_json.h"

namespace uaqf::tokenizer {
namespace {

std::string DigestOf(const std::string& json) {
  const auto tokenizer = ParseTokenizerJson(json, "", {});
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  if (!tokenizer.ok()) return "";
  const auto digest = TokenizerDigest(**tokenizer);
  EXPECT_TRUE(digest.ok()) << digest.status();
  return digest.ok() ? *digest : "";
}

TEST(TokenizerDigest, IsTheSameForTheSameFile) {
  const std::string& json = BpeOracle().at("gpt-2").json;
  EXPECT_EQ(DigestOf(json).size(), 64u);
  EXPECT_EQ(DigestOf(json), DigestOf(json));
}

TEST(TokenizerDigest, TellsTokenizersApart) {
  std::set<std::string> digests;
  for (const auto& [name, oracle] : BpeOracle()) digests.insert(DigestOf(oracle.json));
  EXPECT_EQ(digests.size(), BpeOracle().size());
}

// The vocabulary is the same: only what is merged first differs.
TEST(TokenizerDigest, TellsMergesApart) {
  auto file = nlohmann::json::parse(BpeOracle().at("gpt-2").json);
  const std::string before = DigestOf(file.dump());
  file["model"]["merges"].clear();
  EXPECT_NE(DigestOf(file.dump()), before);
}

TEST(TokenizerDigest, TellsOneTokenApart) {
  auto file = nlohmann::json::parse(BpeOracle().at("gpt-2").json);
  const std::string before = DigestOf(file.dump());
  file["added_tokens"].push_back({{"id", file["model"]["vocab"].size() + file["added_tokens"].size()},
                                  {"content", "<|new|>"},
                                  {"special", true},
                                  {"single_word", false},
                                  {"lstrip", false},
                                  {"rstrip", false},
                                  {"normalized", false}});
  EXPECT_NE(DigestOf(file.dump()), before);
}

}  // namespace
}  // namespace uaqf::tokenizer
