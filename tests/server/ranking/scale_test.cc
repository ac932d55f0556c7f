// A large job goes through ranking whole; how fast is what tests/bench/coordinator_load.py measures.
#include <gtest/gtest.h>

#include <utility>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

TEST(Ranking, UsesEveryRecordOfAHundredThousand) {
  Recorder recorder({"fp16", "a", "b", "c", "d", "e"});
  for (int item = 0; item < 5000; ++item) {
    for (int v = 0; v < 6; ++v) {
      for (int repeat = 0; repeat < 3; ++repeat) {
        recorder.Timing(v, item, repeat, 1 + 0.01 * ((item * 31 + v * 17 + repeat * 7) % 97), 100 + item % 13);
      }
    }
  }
  for (int v = 0; v < 6; ++v) {
    for (int window = 0; window < 1667; ++window) recorder.Window(v, window, 2 + 0.01 * v + 1e-4 * (window % 50));
  }
  const auto common = KeepCommonRecords(recorder.measurements());
  ASSERT_TRUE(common.ok());
  const auto measures = Measure(common->measurements);
  ASSERT_TRUE(measures.ok());
  const auto ranking = Rank(*measures, BuiltIn("balanced"), JobFacts{});
  ASSERT_TRUE(ranking.ok());
  EXPECT_EQ(ranking->records_used, 90000 + 6 * 1667);
}

}  // namespace
}  // namespace uaqf::ranking
