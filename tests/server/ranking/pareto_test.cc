// Who beats whom in every term.
#include "server/ranking/pareto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace uaqf::ranking {
namespace {

using testing::Each;
using testing::ElementsAre;

TEST(DominatedBy, NamesOneThatIsNowhereWorse) {
  // (speed, savings): c loses to a and b, d to c and so to a.
  EXPECT_THAT(DominatedBy({{3, 2, 2, 1}, {1, 2, 1, 0}}, 4), ElementsAre(-1, -1, 0, 0));
}

TEST(DominatedBy, LeavesEqualsAlone) { EXPECT_THAT(DominatedBy({{1, 1}, {2, 2}}, 2), ElementsAre(-1, -1)); }

TEST(DominatedBy, HasNothingToSayWithoutColumns) { EXPECT_THAT(DominatedBy({}, 3), Each(-1)); }

TEST(DominatedBy, IsTheSameForAnyOrderAndUnit) {
  std::mt19937_64 engine(2);
  std::uniform_real_distribution<double> draw(0, 1);
  for (int trial = 0; trial < 100; ++trial) {
    std::vector<std::vector<double>> columns(3, std::vector<double>(8)), turned = columns;
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t v = 0; v < 8; ++v) {
        columns[c][v] = draw(engine);
        turned[c][7 - v] = 1000 * columns[c][v] - 5;
      }
    }
    const auto one = DominatedBy(columns, 8), other = DominatedBy(turned, 8);
    for (std::size_t v = 0; v < 8; ++v) {
      EXPECT_EQ(one[v] < 0, other[7 - v] < 0);
      if (one[v] < 0) continue;
      EXPECT_LT(one[static_cast<std::size_t>(one[v])], 0) << "the dominator is on the front";
    }
  }
}

}  // namespace
}  // namespace uaqf::ranking
