// The written form of FP16's distributions: what comes back, what it costs the bound, and what is refused.
#include "worker/evaluate/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

namespace uaqf::evaluate {
namespace {

constexpr int64_t kVocabulary = 3000;

std::vector<float> RandomLogits(std::mt19937_64& random, double spread) {
  std::normal_distribution<double> normal(0, spread);
  std::vector<float> logits(kVocabulary);
  for (float& logit : logits) logit = static_cast<float>(normal(random));
  return logits;
}

std::vector<int32_t> Window(int32_t tokens) {
  std::vector<int32_t> window(static_cast<size_t>(tokens));
  std::iota(window.begin(), window.end(), 7);
  return window;
}

// Of three positions.
std::string Written(int32_t k, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  SummaryWriter writer(Window(4), kVocabulary, k);
  for (const double spread : {0.5, 2.0, 6.0}) writer.Add(Summarize(RandomLogits(random, spread), k));
  return writer.Take();
}

// Reads everything; OK when it is whole.
absl::Status ReadThrough(std::string_view bytes) {
  auto reader = SummaryReader::Open(bytes);
  if (!reader.ok()) return reader.status();
  while (true) {
    const auto position = reader->Next();
    if (absl::IsOutOfRange(position.status())) return absl::OkStatus();
    if (!position.ok()) return position.status();
    const std::set<int32_t> ids(position->ids.begin(), position->ids.end());
    if (static_cast<int32_t>(ids.size()) != reader->k() || *ids.begin() < 0 || *ids.rbegin() >= reader->vocabulary()) {
      return absl::InternalError("a position that no distribution has");
    }
  }
}

TEST(Summary, ComesBackWithinItsRounding) {
  for (const int32_t k : {1, 10, 64, 65, 500, 3000}) {
    std::mt19937_64 random(3);
    const TopLogProbs sent = Summarize(RandomLogits(random, 3), k);
    SummaryWriter writer(Window(2), kVocabulary, k);
    writer.Add(sent);
    const std::string bytes = writer.Take();
    auto reader = SummaryReader::Open(bytes);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ(reader->k(), k);
    const auto got = reader->Next();
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->normalizer, sent.normalizer);
    EXPECT_EQ(got->tail_mass, sent.tail_mass);
    EXPECT_EQ(got->tail_entropy, sent.tail_entropy);
    std::map<int32_t, float> log_probs;
    for (size_t i = 0; i < sent.ids.size(); ++i) log_probs[sent.ids[i]] = sent.log_probs[i];
    for (size_t i = 0; i < got->ids.size(); ++i) {
      // The order of the first ten is what agreement is counted by.
      EXPECT_TRUE(i >= 10 || got->ids[i] == sent.ids[i]);
      EXPECT_NEAR(got->log_probs[i], log_probs.at(got->ids[i]), got->rounding[i]) << i;
      EXPECT_TRUE(i <= 64 || got->log_probs[i] <= got->log_probs[i - 1]);
    }
    EXPECT_TRUE(absl::IsOutOfRange(reader->Next().status()));
  }
}

TEST(Summary, OfAPositionWithoutNumbersSaysSo) {
  std::vector<float> logits(kVocabulary, NAN);
  SummaryWriter writer(Window(2), kVocabulary, 20);
  writer.Add(Summarize(logits, 20));
  const std::string bytes = writer.Take();
  const auto position = SummaryReader::Open(bytes)->Next();
  ASSERT_TRUE(position.ok()) << position.status();
  const DivergenceBound bound = BoundDivergence(*position, std::vector<float>(kVocabulary, 1));
  EXPECT_TRUE(std::isnan(bound.lower) && std::isnan(bound.upper));
}

// Sharp and flat, near and far, and tokens beyond the range of a logarithm: rounded, the bound still holds the value,
// and is hardly wider.
TEST(Summary, WidensTheBoundByItsRounding) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 300; ++round) {
    const std::vector<float> p = RandomLogits(random, 0.1 + round % 30);
    std::vector<float> q = RandomLogits(random, 0.01 * std::pow(10, round % 4));
    for (size_t i = 0; i < q.size(); ++i) q[i] += p[i];
    const double value = Divergence(p, q);
    for (const int32_t k : {10, 64, 300, 3000}) {
      SummaryWriter writer(Window(2), kVocabulary, k);
      writer.Add(Summarize(p, k));
      const std::string bytes = writer.Take();
      const auto position = SummaryReader::Open(bytes)->Next();
      ASSERT_TRUE(position.ok()) << position.status();
      const DivergenceBound sent = BoundDivergence(*position, q);
      const DivergenceBound exact = BoundDivergence(Summarize(p, k), q);
      // Rounded, the value itself may lie below 0.
      EXPECT_LE(sent.lower, std::max(value, 0.0));
      EXPECT_GE(sent.upper, value);
      EXPECT_LE(sent.width(), exact.width() * 1.01 + 5e-3 * (1 + value));
    }
  }
}

TEST(Summary, TakesThreeToFiveBytesOfAToken) {
  EXPECT_LE(Written(64).size(), 52u + 3 * (24 + 64 * 6));
  EXPECT_LE(Written(3000).size(), 52u + 3 * (24 + 64 * 6 + 2936 * 3)) << "gaps of one byte";
}

TEST(Summary, KnowsItsWindow) {
  const std::string bytes = Written(10);
  const auto reader = SummaryReader::Open(bytes);
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE(reader->IsOf(Window(4)));
  EXPECT_FALSE(reader->IsOf(Window(5)));
  std::vector<int32_t> other = Window(4);
  ++other[3];
  EXPECT_FALSE(reader->IsOf(other));
}

TEST(Summary, IsRefusedWhenCutShortOrGoingOn) {
  const std::string bytes = Written(70);
  ASSERT_TRUE(ReadThrough(bytes).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(ReadThrough(std::string_view(bytes).substr(0, size)))) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(ReadThrough(bytes + "x")));
}

// A changed byte is refused, or gives another distribution that is one: never a token beyond the vocabulary or twice.
TEST(Summary, OfChangedBytesIsRefusedOrStillOne) {
  const std::string bytes = Written(70);
  std::mt19937_64 random(5);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string changed = bytes;
    for (uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    const absl::Status status = ReadThrough(changed);
    EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
    refused += status.ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 0);
}

TEST(Summary, OfAForeignHeaderIsRefusedBeforeAnythingIsAllocated) {
  std::string bytes = Written(70);
  for (const size_t field : {8u, 12u, 16u}) {  // vocabulary, k, positions
    std::string changed = bytes;
    for (size_t i = 0; i < 4; ++i) changed[field + i] = '\xff';
    EXPECT_TRUE(absl::IsDataLoss(ReadThrough(changed))) << field;
  }
  bytes[4] = 2;
  const absl::Status version = ReadThrough(bytes);
  EXPECT_THAT(std::string(version.message()), testing::HasSubstr("expected what a worker of this version makes"));
}

}  // namespace
}  // namespace uaqf::evaluate
