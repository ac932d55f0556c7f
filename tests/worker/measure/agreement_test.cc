#include "worker/measure/agreement.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace uaqf::measure {
namespace {

using testing::ElementsAre;

TEST(SameTokens, EndBeforeTheFirstThatDiffers) {
  const std::vector<int32_t> output = {1, 2, 3, 4};
  EXPECT_EQ(SameTokens(output, output), 4);
  EXPECT_EQ(SameTokens(output, std::vector<int32_t>{1, 2, 9, 4}), 2) << "what comes after is another story";
  EXPECT_EQ(SameTokens(output, std::vector<int32_t>{9, 2, 3, 4}), 0);
  EXPECT_EQ(SameTokens(output, std::vector<int32_t>{1, 2, 3}), 3) << "one that ended earlier";
  EXPECT_EQ(SameTokens(std::vector<int32_t>{1, 2}, output), 2);
}

// Outputs of four tokens, of which the last tells how many were generated together.
class Runs : public testing::Test {
 protected:
  absl::StatusOr<std::vector<Agreement>> Run(int32_t items, std::vector<int32_t> batch_sizes) {
    return RunAgreement({items, std::move(batch_sizes), refused_}, [this](std::span<const int32_t> places) {
      calls_.push_back(absl::StrJoin(places, " "));
      std::vector<GreedyOutput> outputs;
      for (const int32_t place : places) {
        GreedyOutput& output = outputs.emplace_back();
        output.ids = {place, 7, 7, static_cast<int32_t>(places.size())};
        output.not_finite_tokens = place == bad_item_ ? 1 : 0;
        output.loop = place == bad_item_;
      }
      if (calls_.size() == broken_call_)
        return absl::StatusOr<std::vector<GreedyOutput>>(absl::InternalError("broken"));
      return absl::StatusOr<std::vector<GreedyOutput>>(std::move(outputs));
    });
  }

  std::vector<std::string> calls_;
  std::string refused_;
  int32_t bad_item_ = -1;
  size_t broken_call_ = 0;
};

TEST_F(Runs, GeneratesEachAloneTwiceAndThenFullBatches) {
  const auto agreements = Run(3, {2, 4});
  ASSERT_TRUE(agreements.ok()) << agreements.status();
  EXPECT_THAT(calls_, ElementsAre("0", "0", "1", "1", "2", "2", "0 1", "2 0", "0 1 2 0"))
      << "what is missing in a batch is made up by others";
  ASSERT_EQ(agreements->size(), 3u);
  for (const Agreement& agreement : *agreements) {
    EXPECT_THAT(agreement.repeats, ElementsAre(RepeatedOutput{1, 4}, RepeatedOutput{2, 3}, RepeatedOutput{4, 3}));
  }
  EXPECT_EQ((*agreements)[2].first.ids.front(), 2) << "in the order of the items";
}

TEST_F(Runs, FillABatchWithOnePrompt) {
  ASSERT_TRUE(Run(1, {3}).ok());
  EXPECT_THAT(calls_, ElementsAre("0", "0", "0 0 0"));
}

TEST_F(Runs, CountLogitsThatAreNotFiniteInAllOutputs) {
  bad_item_ = 1;
  const auto agreements = Run(2, {8});
  ASSERT_TRUE(agreements.ok());
  EXPECT_EQ((*agreements)[0].not_finite_tokens, 0);
  EXPECT_EQ((*agreements)[1].not_finite_tokens, 3) << "alone, again, and in one batch: what fills it does not count";
  EXPECT_TRUE((*agreements)[1].first.loop);
}

TEST_F(Runs, SayWhyThereAreNoBatches) {
  refused_ = "one at a time";
  const auto agreements = Run(1, {});
  ASSERT_TRUE(agreements.ok());
  EXPECT_EQ((*agreements)[0].batches_refused, "one at a time");
  EXPECT_THAT((*agreements)[0].repeats, ElementsAre(RepeatedOutput{1, 4}));
}

TEST_F(Runs, EndWithTheFirstError) {
  broken_call_ = 3;
  EXPECT_EQ(Run(2, {2}).status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(calls_.size(), 3u);
}

}  // namespace
}  // namespace uaqf::measure
