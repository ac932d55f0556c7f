#include "server/core/plan.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/random.h"

namespace uaqf::core {
namespace {

JobSpec Spec(std::int32_t variants, std::uint64_t seed) {
  JobSpec spec;
  for (std::int32_t v = 0; v < variants; ++v)
    spec.variants.push_back(v + 1 < variants ? absl::StrCat("v", v) : std::string(kBaselineVariant));
  spec.seed = seed;
  return spec;
}

// Every shape a job can have, small.
struct Shape {
  JobSpec spec;
  std::int32_t prompts = 0;
  Survey survey;
};

Shape RandomShape(std::uint64_t seed) {
  Random random(seed);
  Shape shape;
  shape.spec = Spec(1 + static_cast<std::int32_t>(random.Below(7)), random.Next());
  shape.spec.timing.repeats = 1 + static_cast<std::int32_t>(random.Below(5));
  shape.spec.timing.block_prompts = 1 + static_cast<std::int32_t>(random.Below(9));
  shape.prompts = 1 + static_cast<std::int32_t>(random.Below(40));
  if (random.Below(2) == 0) shape.spec.quality.text_set = "t";
  shape.spec.quality.max_windows = static_cast<std::int32_t>(random.Below(12));
  shape.survey.text_windows = static_cast<std::int32_t>(random.Below(20));
  shape.spec.quality.divergence = !shape.spec.quality.text_set.empty() && random.Below(2) == 0;
  if (random.Below(2) == 0) shape.spec.quality.task_set = "q";
  shape.spec.quality.max_task_items = static_cast<std::int32_t>(random.Below(12));
  shape.survey.task_items = static_cast<std::int32_t>(random.Below(20));
  if (random.Below(2) == 0) shape.spec.quality.article_set = "a";
  shape.spec.quality.max_articles = static_cast<std::int32_t>(random.Below(12));
  shape.survey.articles = static_cast<std::int32_t>(random.Below(20));
  if (random.Below(2) == 0)
    shape.spec.grid = {{1, 8, 32}, {128, 512}, {64}, 1 + static_cast<std::int32_t>(random.Below(4))};
  if (random.Below(2) == 0) shape.spec.agreement = {static_cast<std::int32_t>(random.Below(80)), 16, {8}};
  return shape;
}

TEST(Plan, CoversEveryRecordExactlyOnce) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Shape shape = RandomShape(seed);
    std::set<std::tuple<ChunkKind, std::int32_t, std::int32_t, std::int32_t>> seen;
    const std::vector<Chunk> plan = MakePlan(shape.spec, shape.prompts, shape.survey);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      ASSERT_EQ(plan[i].index, static_cast<std::int32_t>(i));
      ASSERT_EQ(plan[i].position, plan[i].index);
      ASSERT_GE(plan[i].count, 1);
      for (std::int32_t item = plan[i].first; item < plan[i].first + plan[i].count; ++item) {
        ASSERT_TRUE(seen.insert({plan[i].kind, plan[i].variant, plan[i].repeat, item}).second) << "seed " << seed;
      }
    }
    const std::int32_t windows = WindowCount(shape.spec, shape.survey);
    ASSERT_EQ(static_cast<std::int64_t>(seen.size()),
              PlannedRecords(shape.spec, shape.prompts, windows, TaskCount(shape.spec, shape.survey),
                             ArticleCount(shape.spec, shape.survey)));
    const auto variants = static_cast<std::int32_t>(shape.spec.variants.size());
    for (std::int32_t v = 0; v < variants; ++v) {
      for (std::int32_t item = 0; item < shape.prompts; ++item) {
        ASSERT_TRUE(seen.count({ChunkKind::kGeneration, v, 0, item}));
        for (std::int32_t r = 0; r < shape.spec.timing.repeats; ++r) {
          ASSERT_TRUE(seen.count({ChunkKind::kTiming, v, r, item}));
        }
      }
      const bool compared = shape.spec.quality.divergence && shape.spec.variants[v] != kBaselineVariant;
      for (std::int32_t w = 0; w < windows; ++w) {
        ASSERT_TRUE(seen.count({ChunkKind::kPerplexity, v, 0, w}));
        ASSERT_EQ(seen.count({ChunkKind::kDivergence, v, 0, w}), compared ? 1u : 0u);
      }
      for (std::int32_t item = 0; item < TaskCount(shape.spec, shape.survey); ++item) {
        ASSERT_TRUE(seen.count({ChunkKind::kTask, v, 0, item}));
      }
      for (std::int32_t item = 0; item < shape.prompts; ++item) {
        ASSERT_EQ(seen.count({ChunkKind::kAgreement, v, 0, item}), item < shape.spec.agreement.prompts ? 1u : 0u);
      }
      for (std::int32_t article = 0; article < ArticleCount(shape.spec, shape.survey); ++article) {
        ASSERT_TRUE(seen.count({ChunkKind::kArticle, v, 0, article}));
      }
    }
  }
}

// Situation: 70 prompts, of which a batch takes 32.
TEST(Plan, FillsBatchesOfOutputsBehindGenerations) {
  JobSpec spec = Spec(2, 1);
  spec.timing.block_prompts = 100;
  spec.agreement = {70, 16, {8, 32}};
  std::vector<std::pair<std::int32_t, std::int32_t>> ranges;
  const std::vector<Chunk> plan = MakePlan(spec, 100, {});
  EXPECT_EQ(plan[1].kind, ChunkKind::kGeneration);
  EXPECT_EQ(plan[2].kind, ChunkKind::kAgreement);
  for (const Chunk& chunk : plan) {
    if (chunk.kind == ChunkKind::kAgreement && chunk.variant == 0) ranges.emplace_back(chunk.first, chunk.count);
  }
  EXPECT_EQ(ranges, (std::vector<std::pair<std::int32_t, std::int32_t>>{{0, 32}, {32, 32}, {64, 6}}));
  EXPECT_EQ(AgreementCount(spec, 50), 50) << "no more than there are";
  EXPECT_EQ(MaxBatch(spec), 32) << "what a worker hosts them for";
}

// The twin's outputs would be fp16's.
TEST(Plan, GeneratesNothingAgainOfTheTwin) {
  JobSpec spec = Spec(2, 1);
  spec.variants.emplace_back(kBaselineTwin);
  spec.agreement = {4, 16, {}};
  int chunks = 0;
  for (const Chunk& chunk : MakePlan(spec, 4, {})) {
    if (chunk.kind != ChunkKind::kAgreement) continue;
    ++chunks;
    EXPECT_NE(spec.variants[chunk.variant], kBaselineTwin);
  }
  EXPECT_EQ(chunks, 2);
}

TEST(Plan, LetsEveryBlockVisitAllVariantsBeforeTheNext) {
  Shape shape = RandomShape(7);
  shape.spec.quality.divergence = false;  // the baseline takes no part in it
  const std::vector<Chunk> plan = MakePlan(shape.spec, shape.prompts, shape.survey);
  const std::size_t n = shape.spec.variants.size();
  for (std::size_t i = 0; i < plan.size(); i += n) {
    std::set<std::int32_t> variants;
    for (std::size_t j = i; j < i + n; ++j) {
      EXPECT_EQ(plan[j].first, plan[i].first);
      EXPECT_EQ(plan[j].kind, plan[i].kind);
      EXPECT_EQ(plan[j].repeat, plan[i].repeat);
      variants.insert(plan[j].variant);
    }
    EXPECT_EQ(variants.size(), n);
  }
}

TEST(Plan, PutsQualityFirstAndTheBaselineFirstInIt) {
  JobSpec spec = Spec(3, 1);  // the baseline is the last of the spec
  spec.quality.text_set = "t";
  Survey survey;
  survey.text_windows = 7;
  const std::vector<Chunk> plan = MakePlan(spec, 10, survey);
  bool timing = false;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    timing |= plan[i].kind == ChunkKind::kTiming;
    EXPECT_EQ(plan[i].kind == ChunkKind::kTiming, timing);
    if (!timing && i % 3 == 0) {
      EXPECT_EQ(plan[i].variant, 2);
    }
  }
}

TEST(Plan, DependsOnNothingButItsArguments) {
  const Shape shape = RandomShape(3);
  const std::vector<Chunk> a = MakePlan(shape.spec, shape.prompts, shape.survey);
  const std::vector<Chunk> b = MakePlan(shape.spec, shape.prompts, shape.survey);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].variant, b[i].variant);
}

TEST(Plan, ChangesItsOrderWithTheSeed) {
  JobSpec spec = Spec(6, 1);
  const auto order = [&](std::uint64_t seed) {
    spec.seed = seed;
    std::vector<std::int32_t> variants;
    for (const Chunk& chunk : MakePlan(spec, 80, {})) {
      if (chunk.kind == ChunkKind::kTiming) variants.push_back(chunk.variant);
    }
    return variants;
  };
  EXPECT_NE(order(1), order(2));
}

TEST(Plan, ScoresAsManyWindowsAsThereAreAndAsAreAsked) {
  JobSpec spec = Spec(1, 0);
  Survey survey;
  survey.text_windows = 9;
  EXPECT_EQ(WindowCount(spec, survey), 0);
  spec.quality.text_set = "t";
  EXPECT_EQ(WindowCount(spec, survey), 9);
  spec.quality.max_windows = 4;
  EXPECT_EQ(WindowCount(spec, survey), 4);
  spec.quality.max_windows = 40;
  EXPECT_EQ(WindowCount(spec, survey), 9);
}

TEST(Plan, ScoresAsManyTasksAsThereAreAndAsAreAsked) {
  JobSpec spec = Spec(1, 0);
  Survey survey;
  survey.task_items = 9;
  EXPECT_EQ(TaskCount(spec, survey), 0);
  spec.quality.task_set = "q";
  EXPECT_EQ(TaskCount(spec, survey), 9);
  spec.quality.max_task_items = 4;
  EXPECT_EQ(TaskCount(spec, survey), 4);
}

TEST(Plan, SizesTheCacheForTheLongestTask) {
  JobSpec spec = Spec(1, 0);
  Survey survey;
  survey.longest_input_tokens = 10;
  survey.longest_task_tokens = 5000;
  EXPECT_EQ(MaxSequenceTokens(spec, survey), 5000);
}

TEST(Plan, SizesTheCacheForTheLongestSequence) {
  JobSpec spec = Spec(1, 0);
  spec.timing.max_output_tokens = 100;
  Survey survey;
  survey.longest_input_tokens = 30;
  EXPECT_EQ(MaxSequenceTokens(spec, survey), 130);
  spec.timing.input_tokens = 512;
  EXPECT_EQ(MaxSequenceTokens(spec, survey), 612);
  spec.quality.text_set = "t";
  spec.quality.context_tokens = 2048;
  EXPECT_EQ(MaxSequenceTokens(spec, survey), 2048);
}

HostingRoom Room(std::int32_t workers, std::int64_t memory = 0, std::vector<std::int64_t> needs = {}) {
  return {workers, memory, std::move(needs)};
}

// "v0".."v3" and fp16, which is the last of the spec.
TEST(Groups, AreOneWhereAllFitOrNothingIsKnown) {
  const std::vector<VariantGroup> one = {{4, 0, 1, 2, 3}};
  EXPECT_EQ(MakeGroups(Spec(5, 1), {}), one);
  EXPECT_EQ(MakeGroups(Spec(5, 1), Room(5)), one);
  EXPECT_EQ(MakeGroups(Spec(5, 1), Room(9, 50, {10, 10, 10, 10, 10})), one);
  EXPECT_EQ(MakeGroups(Spec(5, 1), Room(9, 50, {0, 0, 0, 0, 0})), one);
}

TEST(Groups, AreOneForOneWorkerAndWithoutABaseline) {
  EXPECT_EQ(MakeGroups(Spec(5, 1), Room(1)).size(), 1u);
  JobSpec spec = Spec(3, 1);
  spec.variants.pop_back();
  EXPECT_EQ(MakeGroups(spec, Room(2, 5, {4, 4})).size(), 1u);
}

TEST(Groups, HoldAsManyAsThereAreWorkersWithTheBaselineInEach) {
  EXPECT_EQ(MakeGroups(Spec(5, 1), Room(3)), (std::vector<VariantGroup>{{4, 0, 1}, {4, 2, 3}}));
  EXPECT_EQ(MakeGroups(Spec(5, 1), Room(2)), (std::vector<VariantGroup>{{4, 0}, {4, 1}, {4, 2}, {4, 3}}));
}

TEST(Groups, HoldWhatTheMemoryHolds) {
  EXPECT_EQ(MakeGroups(Spec(4, 1), Room(9, 20, {5, 5, 5, 10})), (std::vector<VariantGroup>{{3, 0, 1}, {3, 2}}));
}

TEST(Groups, PairWithTheBaselineWhatDoesNotFitBesideIt) {
  EXPECT_EQ(MakeGroups(Spec(3, 1), Room(9, 20, {15, 5, 10})), (std::vector<VariantGroup>{{2, 0}, {2, 1}}));
}

TEST(Plan, TimesTheBaselineInEveryGroupAndScoresItInTheFirst) {
  JobSpec spec = Spec(3, 7);
  spec.timing.repeats = 2;
  spec.timing.block_prompts = 4;
  spec.quality.text_set = "t";
  Survey survey;
  survey.text_windows = 3;
  const std::vector<Chunk> plan = MakePlan(spec, 8, survey, {{2, 0}, {2, 1}});
  std::map<std::tuple<ChunkKind, std::int32_t, std::int32_t>, int> count;  // kind, variant, group
  for (std::size_t i = 0; i < plan.size(); ++i) {
    ++count[{plan[i].kind, plan[i].variant, plan[i].group}];
    EXPECT_TRUE(i == 0 || plan[i].group >= plan[i - 1].group);
  }
  for (const auto& [variant, group] : {std::pair(2, 0), std::pair(0, 0), std::pair(2, 1), std::pair(1, 1)}) {
    const bool scored = variant != 2 || group == 0;
    EXPECT_EQ((count[{ChunkKind::kTiming, variant, group}]), 4);
    EXPECT_EQ((count[{ChunkKind::kGeneration, variant, group}]), scored ? 2 : 0);
    EXPECT_EQ((count[{ChunkKind::kPerplexity, variant, group}]), scored ? 1 : 0);
  }
  EXPECT_EQ((count[{ChunkKind::kTiming, 1, 0}]), 0);
}

TEST(BalancedOrder, PutsEveryVariantEquallyOftenAtEveryPlace) {
  for (std::int32_t n = 1; n <= 9; ++n) {
    const BalancedOrder order(n, 42);
    std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> places;
    std::vector<std::int32_t> row;
    for (std::int64_t r = 0; r < order.period(); ++r) {
      order.Row(r, &row);
      ASSERT_EQ(row.size(), static_cast<std::size_t>(n));
      for (std::int32_t place = 0; place < n; ++place) ++places[{row[place], place}];
    }
    ASSERT_EQ(places.size(), static_cast<std::size_t>(n * n));
    for (const auto& [key, count] : places) EXPECT_EQ(count, order.period() / n) << n;
  }
}

TEST(BalancedOrder, LetsEveryVariantFollowEveryOtherEquallyOften) {
  for (std::int32_t n = 2; n <= 9; ++n) {
    const BalancedOrder order(n, 42);
    std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> pairs;
    std::vector<std::int32_t> row;
    for (std::int64_t r = 0; r < order.period(); ++r) {
      order.Row(r, &row);
      for (std::int32_t place = 1; place < n; ++place) ++pairs[{row[place - 1], row[place]}];
    }
    ASSERT_EQ(pairs.size(), static_cast<std::size_t>(n * (n - 1))) << n;
    for (const auto& [key, count] : pairs) EXPECT_EQ(count, pairs.begin()->second) << n;
  }
}

}  // namespace
}  // namespace uaqf::core
