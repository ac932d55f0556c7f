#include "worker/measure/input_length.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/measure/fake_text_model.h"
#include "worker/measure/prose.h"

namespace uaqf::measure {
namespace {

using testing::HasSubstr;

class InputLengthTest : public testing::Test {
 protected:
  std::vector<int32_t> Fit(const Prompt& prompt, int32_t tokens, bool chat = false, uint64_t seed = 1) {
    GenerationRequest request;
    request.input_tokens = tokens;
    request.prose_seed = seed;
    request.chat = chat;
    auto input = PrepareInput(model_, prompt, request);
    EXPECT_TRUE(input.ok()) << input.status();
    auto ids = EncodeInput(model_, *input);
    EXPECT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(input->tokens, static_cast<int32_t>(ids->size()));
    return *ids;
  }
  std::vector<int32_t> Plain(const Prompt& prompt, bool chat = false) { return *model_.Encode(prompt, chat); }

  test::FakeClock clock_;
  test::FakeTextModel model_{&clock_};
  const Prompt prompt_{"p", "tell me all that you know of leases", {}};
};

TEST_F(InputLengthTest, ReachesEveryLengthExactly) {
  for (int32_t tokens = 2; tokens < 300; ++tokens) {
    EXPECT_EQ(Fit(prompt_, tokens).size(), static_cast<size_t>(tokens));
    EXPECT_EQ(Fit(prompt_, tokens + 6, true).size(), static_cast<size_t>(tokens + 6));
  }
}

TEST_F(InputLengthTest, KeepsThePromptAsItIsWithoutALength) { EXPECT_EQ(Fit(prompt_, 0), Plain(prompt_)); }

TEST_F(InputLengthTest, PutsProseBetweenTheBeginningAndThePrompt) {
  const std::vector<int32_t> whole = Plain(prompt_);
  const std::vector<int32_t> longer = Fit(prompt_, 50);
  EXPECT_EQ(longer.front(), 1);
  EXPECT_TRUE(std::equal(whole.begin() + 1, whole.end(), longer.end() - static_cast<long>(whole.size() - 1)));
}

TEST_F(InputLengthTest, KeepsTheTemplateOnBothSides) {
  for (const int32_t tokens : {8, 60}) {
    const std::vector<int32_t> ids = Fit(prompt_, tokens, true);
    EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.begin() + 3), (std::vector<int32_t>{1, 90, 91}));
    EXPECT_EQ(std::vector<int32_t>(ids.end() - 3, ids.end()), (std::vector<int32_t>{92, 93, 94}));
  }
}

TEST_F(InputLengthTest, CutsTheEndOfALongPrompt) {
  const std::vector<int32_t> whole = Plain(prompt_);
  const std::vector<int32_t> cut = Fit(prompt_, 5);
  EXPECT_EQ(cut, std::vector<int32_t>(whole.begin(), whole.begin() + 5));
}

TEST_F(InputLengthTest, GrowsTheLastUserTurnOfAConversation) {
  const Prompt talk{"p", "", {{"user", "hello"}, {"assistant", "hi"}, {"user", "what is a lease"}}};
  EXPECT_EQ(Fit(talk, 64).size(), 64u);
  EXPECT_EQ(Fit(talk, 9).size(), 9u);
}

TEST_F(InputLengthTest, SameSeedSameInputOtherSeedOtherInput) {
  EXPECT_EQ(Fit(prompt_, 64, false, 5), Fit(prompt_, 64, false, 5));
  EXPECT_NE(Fit(prompt_, 64, false, 5), Fit(prompt_, 64, false, 6));
}

TEST_F(InputLengthTest, RefusesALengthThatTheTemplateAloneExceeds) {
  GenerationRequest request;
  request.input_tokens = 6;
  request.chat = true;
  EXPECT_THAT(std::string(PrepareInput(model_, prompt_, request).status().message()),
              HasSubstr("expected more than the 6 that the template and the earlier turns of prompt p take"));
}

TEST(Prose, FewerWordsAreAPrefixOfMore) {
  EXPECT_EQ(Prose(3, 0), "");
  const std::string longer = Prose(3, 100);
  for (int words = 1; words < 100; ++words) EXPECT_EQ(longer.rfind(Prose(3, words), 0), 0u);
}

TEST(Prose, ItemsOfAJobDoNotShareTheirSeed) {
  EXPECT_NE(ItemSeed(1, 0), ItemSeed(1, 1));
  EXPECT_NE(ItemSeed(1, 0), ItemSeed(2, 0));
  EXPECT_EQ(ItemSeed(1, 7), ItemSeed(1, 7));
}

}  // namespace
}  // namespace uaqf::measure
