#include "client/datasets/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"

namespace uaqf::client {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;

std::vector<v1::Prompt> Items(std::size_t count) {
  std::vector<v1::Prompt> items(count);
  for (std::size_t i = 0; i < count; ++i) items[i].set_id(absl::StrCat("item-", i));
  return items;
}

std::vector<std::string> Ids(const std::vector<v1::Prompt>& items) {
  std::vector<std::string> ids;
  for (const v1::Prompt& item : items) ids.push_back(item.id());
  return ids;
}

std::vector<std::string> DrawnIds(const std::vector<v1::Prompt>& items, std::size_t count, std::uint64_t seed) {
  const auto drawn = Draw(items, count, seed);
  EXPECT_TRUE(drawn.ok()) << drawn.status();
  return drawn.ok() ? Ids(*drawn) : std::vector<std::string>{};
}

TEST(Draw, IsASubsetWithoutRepeatsForEverySeed) {
  const auto items = Items(97);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<std::string> ids = DrawnIds(items, 20, seed);
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 20u);
    EXPECT_THAT(ids, IsSubsetOf(Ids(items)));
  }
}

TEST(Draw, DependsOnTheSeedAndNotOnTheOrderOfTheFile) {
  auto items = Items(200);
  const std::vector<std::string> before = DrawnIds(items, 30, 7);
  std::shuffle(items.begin(), items.end(), std::mt19937(3));
  EXPECT_THAT(DrawnIds(items, 30, 7), ElementsAreArray(before));
  EXPECT_NE(DrawnIds(items, 30, 8), before);
}

TEST(Draw, OfFewerItemsIsTheBeginningOfOneOfMore) {
  const auto items = Items(60);
  const std::vector<std::string> all = DrawnIds(items, 60, 11);
  for (std::size_t count = 0; count <= 60; ++count) {
    EXPECT_THAT(DrawnIds(items, count, 11), ElementsAreArray(all.begin(), all.begin() + static_cast<long>(count)));
  }
}

// Situation: 1,000 seeds draw 10 of 40; each item is expected 250 times, with a deviation of 14.
TEST(Draw, FavoursNoItem) {
  const auto items = Items(40);
  std::map<std::string, int> times;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    for (const std::string& id : DrawnIds(items, 10, seed)) ++times[id];
  }
  EXPECT_EQ(times.size(), 40u);
  for (const auto& [id, count] : times) EXPECT_NEAR(count, 250, 70) << id;
}

TEST(Draw, RefusesMoreThanThereIs) {
  const auto drawn = Draw(Items(3), 4, 1);
  EXPECT_TRUE(absl::IsInvalidArgument(drawn.status()));
  EXPECT_THAT(std::string(drawn.status().message()), HasSubstr("got a draw of 4, expected at most 3"));
}

}  // namespace
}  // namespace uaqf::client
