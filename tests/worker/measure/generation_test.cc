#include "worker/measure/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "tests/worker/measure/fake_text_model.h"
#include "worker/measure/digest.h"

namespace uaqf::measure {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class GenerationTest : public testing::Test {
 protected:
  absl::StatusOr<GeneratedText> Time() { return TimeGeneration(model_, clock_, prompt_, request_); }

  test::FakeClock clock_;
  test::FakeTextModel model_{&clock_};
  Prompt prompt_{"p", "one two three", {}};
  GenerationRequest request_;
};

TEST_F(GenerationTest, TimesEveryStageByItself) {
  request_.output_tokens = 3;
  const auto generated = Time();
  ASSERT_TRUE(generated.ok()) << generated.status();
  const Timing& timing = generated->timing;
  EXPECT_EQ(timing.tokenize_ns, 10);
  EXPECT_EQ(timing.prefill_ns, 1000);
  EXPECT_THAT(timing.inter_token_ns, ElementsAre(200, 300));
  EXPECT_EQ(timing.decode_ns, 500);
  EXPECT_EQ(timing.detokenize_ns, 7);
  EXPECT_EQ(timing.latency_ns, 10 + 1000 + 500 + 7);
  EXPECT_EQ(timing.input_tokens, 4);
}

TEST_F(GenerationTest, GapsAreOneFewerThanTokensAndSumToTheDecodeTime) {
  for (const int tokens : {1, 2, 17}) {
    request_.output_tokens = tokens;
    const auto generated = Time();
    ASSERT_TRUE(generated.ok()) << generated.status();
    const Timing& timing = generated->timing;
    EXPECT_EQ(timing.output_tokens, tokens);
    EXPECT_EQ(timing.inter_token_ns.size(), static_cast<size_t>(tokens - 1));
    EXPECT_EQ(std::accumulate(timing.inter_token_ns.begin(), timing.inter_token_ns.end(), int64_t{0}),
              timing.decode_ns);
  }
}

TEST_F(GenerationTest, IgnoresEndTokensAtAFixedLength) {
  request_.output_tokens = 6;
  const auto generated = Time();
  ASSERT_TRUE(generated.ok()) << generated.status();
  EXPECT_THAT(generated->output_ids, ElementsAre(11, 12, 13, 2, 11, 12));
  EXPECT_FALSE(generated->stopped);
}

TEST_F(GenerationTest, CountsTheEndTokenOfANaturalAnswerButDoesNotGiveItOut) {
  const auto generated = Time();
  ASSERT_TRUE(generated.ok()) << generated.status();
  EXPECT_TRUE(generated->stopped);
  EXPECT_THAT(generated->output_ids, ElementsAre(11, 12, 13));
  EXPECT_EQ(generated->timing.output_tokens, 4);
  EXPECT_EQ(generated->timing.inter_token_ns.size(), 3u);
  EXPECT_EQ(generated->text, "xxx");
}

TEST_F(GenerationTest, ANaturalAnswerAndAFixedOneOfItsLengthHaveTheSameDigest) {
  const auto natural = Time();
  request_.output_tokens = 3;
  const auto fixed = Time();
  ASSERT_TRUE(natural.ok() && fixed.ok());
  EXPECT_EQ(natural->timing.output_digest, fixed->timing.output_digest);
  EXPECT_EQ(natural->timing.output_digest, TokenDigest({11, 12, 13}));
}

TEST_F(GenerationTest, StopsANaturalAnswerAtItsLimit) {
  request_.max_output_tokens = 2;
  const auto generated = Time();
  ASSERT_TRUE(generated.ok()) << generated.status();
  EXPECT_FALSE(generated->stopped);
  EXPECT_EQ(generated->timing.output_tokens, 2);
}

TEST_F(GenerationTest, PreparesTheInputOutsideOfTheTimedRegion) {
  request_.input_tokens = 40;
  request_.output_tokens = 1;
  const auto generated = Time();
  ASSERT_TRUE(generated.ok()) << generated.status();
  EXPECT_EQ(generated->timing.tokenize_ns, 10) << "one encoding, of the many that finding the length takes";
  EXPECT_EQ(generated->timing.input_tokens, 40);
  EXPECT_EQ(model_.fed.size(), 40u);
}

TEST_F(GenerationTest, RefusesWhatDoesNotFitTheSequence) {
  model_.most = 10;
  request_.output_tokens = 7;
  EXPECT_THAT(std::string(Time().status().message()), HasSubstr("4 tokens in and 7 out: expected at most 10"));
}

TEST_F(GenerationTest, EndsBetweenTokensWhenItIsCancelled) {
  std::atomic<bool> cancelled = false;
  int decoded = 0;
  model_.on_decode = [&] { cancelled = ++decoded == 3; };
  request_.cancelled = &cancelled;
  request_.output_tokens = 100;
  EXPECT_EQ(Time().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(decoded, 3);
}

TEST(TokenDigest, IsTheSha256OfLittleEndianIds) {
  // printf '\x01\0\0\0\x00\x02\0\0' | sha256sum
  const std::string digest = TokenDigest({1, 512});
  std::string hex;
  for (const unsigned char c : digest) {
    hex += "0123456789abcdef"[c >> 4];
    hex += "0123456789abcdef"[c & 15];
  }
  EXPECT_EQ(hex, "99fb3cc3089a84cd7dab716e7c722ec621ec4be866133d6c685b03d9aa660786");
}

}  // namespace
}  // namespace uaqf::measure
