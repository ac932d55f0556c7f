// The 900 prompts of our own: as many as there should be, and no two alike.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/datasets/categories.h"
#include "client/datasets/import.h"

namespace uaqf::client {
namespace {

using ::testing::SizeIs;

constexpr std::size_t kShingleLetters = 5;
constexpr double kMostAlike = 0.25;
constexpr std::size_t kRunWords = 7;
constexpr std::size_t kOpeningWords = 4;
constexpr int kMostOpenings = 3;

std::string TextOf(const v1::Prompt& prompt) {
  std::string text = prompt.text();
  for (const v1::ChatMessage& message : prompt.messages()) absl::StrAppend(&text, message.content(), "\n");
  return text;
}

bool IsLetter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80;
}

std::vector<std::string> WordsOf(const std::string& text) {
  std::string plain = absl::AsciiStrToLower(text);
  for (char& c : plain) c = IsLetter(c) ? c : ' ';
  return absl::StrSplit(plain, ' ', absl::SkipEmpty());
}

// Every run of letters of that length (bytes of UTF-8, side by side in a number), sorted, each once.
std::vector<std::uint64_t> Shingles(const std::string& text) {
  const std::string letters = absl::StrJoin(WordsOf(text), "");
  std::set<std::uint64_t> all;
  std::uint64_t run = 0;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    run = (run << 8 | static_cast<unsigned char>(letters[i])) & ((std::uint64_t{1} << 8 * kShingleLetters) - 1);
    if (i + 1 >= kShingleLetters || i + 1 == letters.size()) all.insert(run);
  }
  return {all.begin(), all.end()};
}

// Jaccard: what both have, of what either has.
double Alike(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
  std::vector<std::uint64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(a.size() + b.size() - both.size());
}

class OwnPromptsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto own = OwnPrompts();
    ASSERT_TRUE(own.ok()) << own.status();
    prompts_ = own->prompts;
    source_ = own->sources.at(0);
  }
  std::vector<v1::Prompt> prompts_;
  v1::PromptSource source_;
};

TEST_F(OwnPromptsTest, AreAHundredInEachOfNineCategories) {
  std::map<std::string, std::set<std::string>> ids;
  for (const v1::Prompt& prompt : prompts_) {
    ids[prompt.category()].insert(prompt.id());
    EXPECT_EQ(prompt.group(), GroupOf(prompt.category()));
    EXPECT_NE(prompt.group(), v1::PROMPT_GROUP_UNSPECIFIED);
    EXPECT_FALSE(prompt.has_task());
  }
  EXPECT_EQ(prompts_.size(), 900u);
  EXPECT_EQ(ids.size(), 9u);
  for (std::size_t i = kDatasetCategories; i < kPaperCategories.size(); ++i) {
    EXPECT_THAT(ids[std::string(kPaperCategories[i].name)], SizeIs(100));
  }
  EXPECT_EQ(source_.dataset(), "uaqf");
  EXPECT_EQ(source_.taken_items(), 900);
  EXPECT_EQ(source_.file_sha256().size(), 64u);
}

TEST_F(OwnPromptsTest, AreNoTwoAlike) {
  std::vector<std::vector<std::uint64_t>> shingles;
  for (const v1::Prompt& prompt : prompts_) shingles.push_back(Shingles(TextOf(prompt)));
  for (std::size_t i = 0; i < prompts_.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double alike = Alike(shingles[i], shingles[j]);
      EXPECT_LE(alike, kMostAlike) << prompts_[i].id() << " and " << prompts_[j].id();
    }
  }
}

TEST_F(OwnPromptsTest, ShareNoRunOfWords) {
  std::map<std::string, std::string> first;
  for (const v1::Prompt& prompt : prompts_) {
    const std::vector<std::string> words = WordsOf(TextOf(prompt));
    for (std::size_t i = 0; i + kRunWords <= words.size(); ++i) {
      const auto at = words.begin() + static_cast<std::ptrdiff_t>(i);
      const std::string run = absl::StrJoin(at, at + kRunWords, " ");
      const auto [known, fresh] = first.emplace(run, prompt.id());
      EXPECT_TRUE(fresh || known->second == prompt.id()) << run << ": " << known->second << ", " << prompt.id();
    }
  }
}

TEST_F(OwnPromptsTest, DoNotOpenAlike) {
  std::map<std::string, int> openings;
  for (const v1::Prompt& prompt : prompts_) {
    std::vector<std::string> words = WordsOf(TextOf(prompt));
    words.resize(std::min(words.size(), kOpeningWords));
    const std::string opening = absl::StrJoin(words, " ");
    EXPECT_LE(++openings[opening], kMostOpenings) << opening;
  }
}

TEST(OwnPromptsMeasure, FindsATemplateFilledTwice) {
  const std::string a = "Write a short story about a dragon who is afraid of the dark and finds a friend.";
  const std::string b = "Write a short story about a pirate who is afraid of the dark and finds a friend.";
  const std::string c = "Which trains go from here to the coast on a Sunday, and do they take bicycles?";
  EXPECT_GT(Alike(Shingles(a), Shingles(b)), kMostAlike);
  EXPECT_LT(Alike(Shingles(a), Shingles(c)), kMostAlike);
}

}  // namespace
}  // namespace uaqf::client
