// The order in which a job visits its items: random where it is to be, the same for all, and known to records by item.
#include "server/core/item_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "server/core/plan.h"
#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

JobSpec Shuffled(std::uint64_t seed) {
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8"});
  spec.timing.output_length = OutputLength::kMatched;
  spec.timing.repeats = 2;
  spec.shuffled = true;
  spec.seed = seed;
  return spec;
}

std::vector<std::int32_t> All(const ItemOrder& order, ChunkKind kind, std::int32_t count) {
  Chunk chunk;
  chunk.kind = kind;
  chunk.count = count;
  return order.ItemsOf(chunk);
}

TEST(ItemOrder, VisitsEachItemOnce) {
  const ItemCounts counts = {50, 7, 3, 1};
  const ItemOrder order(Shuffled(9), counts);
  const std::map<ChunkKind, std::int32_t> sizes = {
      {ChunkKind::kTiming, 50}, {ChunkKind::kPerplexity, 7}, {ChunkKind::kArticle, 3}, {ChunkKind::kTask, 1}};
  for (const auto& [kind, count] : sizes) {
    const std::vector<std::int32_t> items = All(order, kind, count);
    EXPECT_EQ(std::set<std::int32_t>(items.begin(), items.end()).size(), static_cast<std::size_t>(count));
    for (std::int32_t place = 0; place < count; ++place) EXPECT_EQ(order.PlaceOf(kind, items[place]), place);
    EXPECT_EQ(order.PlaceOf(kind, count), -1);
    EXPECT_EQ(order.PlaceOf(kind, -1), -1);
  }
}

TEST(ItemOrder, IsOneForAllThatIsMeasuredOnASet) {
  const ItemOrder order(Shuffled(9), {50, 40, 0, 0});
  EXPECT_EQ(All(order, ChunkKind::kTiming, 50), All(order, ChunkKind::kGeneration, 50));
  EXPECT_EQ(All(order, ChunkKind::kPerplexity, 40), All(order, ChunkKind::kDivergence, 40));
  EXPECT_EQ(All(order, ChunkKind::kPerplexity, 40), All(order, ChunkKind::kSummary, 40));
}

TEST(ItemOrder, IsThatOfTheSeed) {
  const ItemCounts counts = {50, 0, 0, 0};
  EXPECT_EQ(All(ItemOrder(Shuffled(9), counts), ChunkKind::kTiming, 50),
            All(ItemOrder(Shuffled(9), {50, 8, 8, 8}), ChunkKind::kTiming, 50));
  EXPECT_NE(All(ItemOrder(Shuffled(9), counts), ChunkKind::kTiming, 50),
            All(ItemOrder(Shuffled(10), counts), ChunkKind::kTiming, 50));
}

// Stored jobs count on it.
TEST(ItemOrder, NeverChanges) {
  EXPECT_EQ(All(ItemOrder(Shuffled(1), {8, 8, 0, 0}), ChunkKind::kTiming, 8),
            (std::vector<std::int32_t>{1, 0, 4, 3, 2, 6, 7, 5}));
  EXPECT_EQ(All(ItemOrder(Shuffled(1), {8, 8, 0, 0}), ChunkKind::kPerplexity, 8),
            (std::vector<std::int32_t>{1, 7, 0, 4, 6, 3, 5, 2}));
}

TEST(ItemOrder, IsThatOfTheSetForJobsWithoutOne) {
  JobSpec spec = Shuffled(9);
  spec.shuffled = false;
  const ItemOrder order(spec, {4, 0, 0, 0});
  EXPECT_EQ(All(order, ChunkKind::kTiming, 4), (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(order.PlaceOf(ChunkKind::kTiming, 3), 3);
}

TEST(ItemOrder, LeavesWhatIsToldOfTheFirstPromptsAndOfTrafficAsItIs) {
  const ItemOrder order(Shuffled(9), {50, 40, 0, 0});
  for (const ChunkKind kind : {ChunkKind::kAgreement, ChunkKind::kTraffic}) {
    EXPECT_EQ(All(order, kind, 4), (std::vector<std::int32_t>{0, 1, 2, 3}));
  }
}

// Every item stands equally often at every place, as far as chance allows.
TEST(ItemOrder, FavoursNoItem) {
  constexpr int kSeeds = 2000, kItems = 10;
  std::map<std::int32_t, int> first;
  for (int seed = 0; seed < kSeeds; ++seed) {
    ++first[ItemOrder(Shuffled(seed), {kItems, 0, 0, 0}).ItemAt(ChunkKind::kTiming, 0)];
  }
  for (std::int32_t item = 0; item < kItems; ++item) EXPECT_NEAR(first[item], kSeeds / kItems, 60) << item;
}

// Situation: six prompts in blocks of two; fp16 emits 1 + item tokens for each, which are the lengths of all.
TEST(ItemOrder, LeasesItemsWithTheirOwnLengthsInTheSameBlocksToAll) {
  Rig rig;
  rig.Submit("j", Shuffled(3), 6);
  for (const char* id : {"a", "b"}) rig.Report(rig.ReportOf(id));
  for (const char* id : {"a", "b"}) rig.Connect(id);
  std::map<std::string, std::vector<std::vector<std::int32_t>>> blocks;
  for (int i = 0; i < 200 && rig.State("j") != JobState::kSucceeded; ++i) {
    for (const char* id : {"a", "b"}) {
      const std::vector<Lease> leases = rig.Leases(id);
      if (!leases.empty() && leases[0].kind == ChunkKind::kTiming) {
        auto& own = blocks[leases[0].variant];
        if (leases[0].repeat == 0 && (own.empty() || own.back() != leases[0].items)) own.push_back(leases[0].items);
        for (std::size_t k = 0; k < leases[0].items.size(); ++k) {
          EXPECT_EQ(leases[0].output_tokens[k], std::min(1 + leases[0].items[k], 4));
        }
      }
      if (i == 7) rig.RestartCoordinator();
      rig.CompleteOne(id);
      rig.Report(rig.ReportOf(id));
    }
  }
  ASSERT_EQ(rig.State("j"), JobState::kSucceeded);
  EXPECT_EQ(blocks["fp16"], blocks["rtn-w8"]);
  ASSERT_EQ(blocks["fp16"].size(), 3u);
  EXPECT_NE(blocks["fp16"], (std::vector<std::vector<std::int32_t>>{{0, 1}, {2, 3}, {4, 5}}));
}

// Situation: a worker that was not brought up to date with its coordinator, and later one that was.
TEST(ItemOrder, IsNotLeasedToAWorkerThatKnowsNone) {
  for (const bool shuffled : {true, false}) {
    Rig rig;
    JobSpec spec = Shuffled(3);
    spec.shuffled = shuffled;
    rig.Submit("j", spec, 6);
    rig.AnswerSurvey("old");
    for (int i = 0; i < 3; ++i) {
      WorkerReport report = rig.ReportOf("old");
      report.lists_items = false;
      rig.Report(report);
    }
    EXPECT_EQ(rig.Leases("old").empty(), shuffled);
    const std::string current = rig.scheduler().Job("j", rig.now())->progress.current;
    EXPECT_EQ(current.find("waiting for a worker of the coordinator's version") == 0, shuffled) << current;
    if (!shuffled) continue;
    rig.Connect("new");
    EXPECT_FALSE(rig.Leases("new").empty());
  }
}

TEST(ItemOrder, RefusesARecordOfAnItemThatIsNotLeased) {
  Rig rig;
  rig.Submit("j", Shuffled(3), 6);
  rig.Connect("a");
  const Lease lease = rig.Leases("a").at(0);
  ASSERT_NE(lease.items, (std::vector<std::int32_t>{0, 1})) << "another seed is needed";
  RecordBatch batch = Rig::Whole("a", lease);
  // What a worker would measure that goes by the numbers of the set.
  for (std::int32_t k = 0; k < 2; ++k) batch.records[k].item = k;
  EXPECT_EQ(rig.Send(batch).verdict, Verdict::kRejected);
}

// Situation: prompt 5 cannot be measured, wherever it stands.
TEST(ItemOrder, GivesUpTheItemThatFailsAndNoOther) {
  Rig rig;
  JobSpec spec = Shuffled(3);
  spec.variants = {"fp16"};
  spec.timing.block_prompts = 8;
  rig.Submit("j", spec, 8);
  rig.Connect("w");
  for (int i = 0; i < 200 && rig.State("j") == JobState::kRunning; ++i) {
    const Lease lease = rig.Leases("w").at(0);
    const bool poisoned =
        lease.kind == ChunkKind::kGeneration && std::count(lease.items.begin(), lease.items.end(), 5) > 0;
    if (!poisoned) {
      rig.CompleteOne("w");
      continue;
    }
    WorkerReport report = rig.ReportOf("w");
    report.attempts[0].error = "prompt 5 is poison";
    rig.Report(report);
  }
  ASSERT_EQ(rig.State("j"), JobState::kSucceeded);
  for (const AttemptDump& attempt : rig.store().Dump("j").attempts) {
    if (attempt.outcome != Outcome::kQuarantined) continue;
    ASSERT_EQ(attempt.records.size(), 1u);
    EXPECT_EQ(attempt.records[0].item, 5);
  }
}

}  // namespace
}  // namespace uaqf::core
