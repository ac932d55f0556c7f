// Intervals that hold at all times at once.
#include "server/ranking/confidence_sequence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace uaqf::ranking {
namespace {

TEST(ConfidenceSequence, SaysNothingOfFewValues) {
  ConfidenceSequence sequence(0.01);
  for (int i = 0; i + 1 < ConfidenceSequence::kLeastValues; ++i) sequence.Add(1);
  EXPECT_TRUE(std::isinf(sequence.interval().low) && std::isinf(sequence.interval().high));
  sequence.Add(1);
  EXPECT_EQ(sequence.interval().low, 1);
  EXPECT_EQ(sequence.interval().high, 1);
}

TEST(ConfidenceSequence, NeverWidens) {
  std::mt19937_64 engine(1);
  std::normal_distribution<double> normal;
  ConfidenceSequence sequence(0.01);
  Interval before = sequence.interval();
  for (int i = 0; i < 200; ++i) {
    sequence.Add(normal(engine));
    EXPECT_GE(sequence.interval().low, before.low);
    EXPECT_LE(sequence.interval().high, before.high);
    before = sequence.interval();
  }
  EXPECT_LT(before.width(), 0.6);
}

// One look after every value: the share of sequences that ever exclude the mean, on either side.
double EverWrong(double error, const std::function<double(std::mt19937_64&)>& draw) {
  constexpr int kSequences = 4000, kValues = 100;
  std::mt19937_64 engine(7);
  int wrong = 0;
  for (int s = 0; s < kSequences; ++s) {
    ConfidenceSequence sequence(error);
    for (int i = 0; i < kValues; ++i) sequence.Add(draw(engine));
    wrong += sequence.interval().low > 0 || sequence.interval().high < 0 ? 1 : 0;
  }
  return static_cast<double>(wrong) / kSequences;
}

TEST(ConfidenceSequence, HoldsTheMeanAtAllTimesTogether) {
  std::normal_distribution<double> normal;
  EXPECT_LE(EverWrong(0.025, [&](auto& engine) { return normal(engine); }), 0.05);
  // Scaled by chance from value to value: heavier tails than a normal's.
  std::student_t_distribution<double> heavy(5);
  EXPECT_LE(EverWrong(0.025, [&](auto& engine) { return heavy(engine); }), 0.05);
}

TEST(ConfidenceSequence, ATestAtEveryLookWouldNot) {
  // What the sequence is there for: Student's interval after every value excludes the mean far too often.
  std::mt19937_64 engine(7);
  std::normal_distribution<double> normal;
  int wrong = 0;
  for (int s = 0; s < 1000; ++s) {
    Moments moments;
    bool excluded = false;
    for (int i = 0; i < 100; ++i) {
      moments.Add(normal(engine));
      excluded = excluded || (moments.count() >= 5 && std::abs(moments.mean()) > *moments.HalfWidth());
    }
    wrong += excluded ? 1 : 0;
  }
  EXPECT_GT(wrong, 200);
}

TEST(ShareSequence, TakesAFewEqualValuesForNoCertainty) {
  ShareSequence share(0.01);
  EXPECT_EQ(share.interval().high, 1);
  for (int i = 0; i < 20; ++i) share.Add(0);
  EXPECT_EQ(share.interval().low, 0);
  // (1 - p)^20 times Jeffreys' mixture falls to 1/100: at 0.2840.
  EXPECT_NEAR(share.interval().high, 0.2840, 0.0001);
}

TEST(ShareSequence, HoldsTheProbabilityAtAllTimesTogether) {
  std::mt19937_64 engine(3);
  int wrong = 0;
  for (const double p : {0.02, 0.5, 0.95}) {
    std::bernoulli_distribution draw(p);
    for (int s = 0; s < 500; ++s) {
      ShareSequence share(0.05);
      bool excluded = false;
      for (int i = 0; i < 100; ++i) {
        share.Add(draw(engine) ? 1 : 0);
        const Interval interval = share.interval();
        excluded = excluded || interval.low > p || interval.high < p;
      }
      wrong += excluded ? 1 : 0;
    }
  }
  EXPECT_LE(wrong, 75);
}

}  // namespace
}  // namespace uaqf::ranking
