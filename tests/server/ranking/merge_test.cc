// Variants of several jobs ranked as those of one.
#include "server/ranking/merge.h"

#include <gmock/gmock.h>

#include "server/ranking/decision_data.h"
#include "server/ranking/groups.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Eight prompts in two runs, six windows. fp16 takes 2 s times `device`, the others as said.
Recorder Job(const std::vector<std::pair<std::string, double>>& variants, double device = 1) {
  std::vector<std::string> names;
  for (const auto& [name, seconds] : variants) names.push_back(name);
  Recorder recorder(names);
  for (int v = 0; v < static_cast<int>(variants.size()); ++v) {
    for (int prompt = 0; prompt < 8; ++prompt) {
      for (int run = 0; run < 2; ++run) {
        const double seconds = variants[static_cast<std::size_t>(v)].second * (1 + 0.01 * prompt + 0.001 * run);
        recorder.Timing(v, prompt, run, seconds * device, 50);
      }
    }
    for (int window = 0; window < 6; ++window) recorder.Window(v, window, 3 + 0.01 * v + 0.02 * window);
  }
  recorder.measurements().timings.group.resize(recorder.measurements().timings.variant.size());
  return recorder;
}

std::vector<JobRecords> Jobs(std::vector<Recorder> recorders) {
  std::vector<JobRecords> jobs;
  for (Recorder& recorder : recorders) {
    jobs.push_back({"jobs/" + std::string(1, static_cast<char>('a' + jobs.size())), recorder.measurements()});
  }
  return jobs;
}

AlignedRecords Merged(std::vector<JobRecords> jobs) {
  auto merged = MergeJobs(std::move(jobs));
  EXPECT_TRUE(merged.ok()) << merged.status();
  if (!merged.ok()) return {};
  AlignedRecords aligned = AlignGroups(std::move(merged->measurements));
  aligned.notes.insert(aligned.notes.begin(), merged->notes.begin(), merged->notes.end());
  return aligned;
}

std::vector<std::string> Names(const Measurements& m) {
  std::vector<std::string> names;
  for (const VariantFacts& variant : m.variants) names.push_back(variant.name);
  return names;
}

// Situation: the second job timed a grid of batches, so its engines hold longer sequences.
TEST(MergeJobs, ComparesNoMemoryOfEnginesOfAnotherSize) {
  Recorder first = Job({{"fp16", 2}, {"a", 1}}), same = Job({{"fp16", 2}, {"b", 1}});
  Recorder other = Job({{"fp16", 2}, {"c", 1}});
  for (VariantFacts& variant : other.measurements().variants) variant.memory->kv_cache_bytes = 300;
  const Measurements merged = Merged(Jobs({first, same, other})).measurements;
  ASSERT_THAT(Names(merged), ElementsAre("fp16", "a", "b", "c"));
  EXPECT_TRUE(merged.variants[2].memory);
  EXPECT_FALSE(merged.variants[3].memory);
  EXPECT_THAT(merged.variants[3].memory_problem, HasSubstr("fp16 takes 1300 bytes there and 1000 here"));
}

TEST(MergeJobs, LeavesOneJobAsItIs) {
  Recorder job = Job({{"fp16", 2}, {"a", 1}});
  const auto merged = MergeJobs(Jobs({job}));
  ASSERT_TRUE(merged.ok());
  EXPECT_THAT(merged->notes, IsEmpty());
  EXPECT_EQ(merged->measurements.timings.latency_ns, job.measurements().timings.latency_ns);
}

TEST(MergeJobs, RanksTheVariantsOfBoth) {
  const AlignedRecords merged = Merged(Jobs({Job({{"fp16", 2}, {"a", 1}}), Job({{"fp16", 2}, {"b", 0.5}})}));
  EXPECT_THAT(Names(merged.measurements), ElementsAre("fp16", "a", "b"));
  const auto measures = Measure(merged.measurements);
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_NEAR(*(*measures)[1].speedup, 2, 1e-6);
  EXPECT_NEAR(*(*measures)[2].speedup, 4, 1e-6);
  EXPECT_EQ((*measures)[0].timing_records, 16) << "fp16 of the first job alone";
  const DecisionData data = PrepareDecision(merged.measurements);
  EXPECT_TRUE(data.resampled.has(2).timings) << "paired on the same prompts";
  EXPECT_TRUE(data.resampled.has(2).nll);
}

// A device that was 30 % slower for the second job was so for its fp16 too.
TEST(MergeJobs, TakesOutWhatChangedBetweenTheJobs) {
  const AlignedRecords merged = Merged(Jobs({Job({{"fp16", 2}, {"a", 1}}), Job({{"fp16", 2}, {"b", 1}}, 1.3)}));
  const auto measures = Measure(merged.measurements);
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_NEAR((*measures)[2].latency_s->value, (*measures)[1].latency_s->value, 1e-6);
  EXPECT_TRUE(AnyContains(merged.notes, "group 2 is jobs/b"));
  EXPECT_TRUE(AnyContains(merged.notes, "b ran in group 2, where fp16 took +30.00 % more time"));
}

TEST(MergeJobs, SaysWhereNothingTellsWhatChanged) {
  const AlignedRecords merged = Merged(Jobs({Job({{"fp16", 2}, {"a", 1}}), Job({{"b", 1}}, 1.3)}));
  const auto measures = Measure(merged.measurements);
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_NEAR((*measures)[2].latency_s->value / (*measures)[1].latency_s->value, 1.3, 1e-6);
  EXPECT_TRUE(AnyContains(merged.notes, "jobs/b has no fp16 of its own"));
}

TEST(MergeJobs, KeepsTheGroupsOfEachJobApart) {
  Recorder first = Job({{"fp16", 2}, {"a", 1}});
  Recorder second = Job({{"fp16", 2}, {"b", 1}, {"c", 1}});
  // c ran in a second group of the second job, with an fp16 that took twice as long.
  TimingColumns& t = second.measurements().timings;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == 2) t.group[k] = 1;
  }
  for (int prompt = 0; prompt < 8; ++prompt) {
    for (int run = 0; run < 2; ++run) {
      second.Timing(0, prompt, run, 4 * (1 + 0.01 * prompt + 0.001 * run), 50);
      t.group.push_back(1);
    }
  }
  const AlignedRecords merged = Merged(Jobs({first, second}));
  const auto measures = Measure(merged.measurements);
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_NEAR(*(*measures)[2].speedup, 2, 1e-6) << "b";
  EXPECT_NEAR(*(*measures)[3].speedup, 4, 1e-6) << "c";
  EXPECT_TRUE(AnyContains(merged.notes, "groups 2 to 3 are of jobs/b"));
}

TEST(MergeJobs, RefusesAVariantOfTwoJobs) {
  const auto merged = MergeJobs(Jobs({Job({{"fp16", 2}, {"a", 1}}), Job({{"fp16", 2}, {"b", 1}, {"a", 1}})}));
  EXPECT_EQ(merged.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(merged.status().message()), HasSubstr("a is in jobs/a and in jobs/b"));
}

TEST(MergeJobs, DoesNotMixTheLossesOfTwoBaselines) {
  Recorder second = Job({{"fp16", 2}, {"b", 1}});
  for (double& nll : second.measurements().windows.nll_sum) nll += 50;
  const AlignedRecords merged = Merged(Jobs({Job({{"fp16", 2}}), second}));
  EXPECT_EQ(merged.measurements.windows.variant.size(), 12u) << "six of fp16 and six of b";
  const auto measures = Measure(merged.measurements);
  ASSERT_TRUE(measures.ok()) << measures.status();
  EXPECT_NEAR((*measures)[1].delta_nll->value, 0.51, 1e-9) << "to fp16 of the first job";
}

TEST(MergeJobs, CarriesEveryTable) {
  Recorder second = Job({{"fp16", 2}, {"b", 1}});
  for (int v = 0; v < 2; ++v) {
    second.Generation(v, 0, 9).Task(v, 0, 3, 1).Article(v, 0, 2).Energy(v, 0, 2, 10, 100);
  }
  second.Divergence(1, 0, 0.1, 90, 900);
  const Measurements merged = Merged(Jobs({Job({{"fp16", 2}, {"a", 1}}), second})).measurements;
  for (const auto* column : {&merged.generations.variant, &merged.tasks.variant, &merged.articles.variant,
                             &merged.energies.variant, &merged.divergences.variant}) {
    EXPECT_THAT(*column, ElementsAre(2)) << "b's alone";
  }
  EXPECT_TRUE(Measure(merged).ok());
}

TEST(MergeJobs, DoesNotDependOnTheOrderOfLaterJobs) {
  const Recorder a = Job({{"fp16", 2}, {"a", 1}}), b = Job({{"fp16", 2}, {"b", 0.8}}, 1.2),
                 c = Job({{"fp16", 2}, {"c", 0.7}}, 0.9);
  const auto one = Measure(Merged(Jobs({a, b, c})).measurements), two = Measure(Merged(Jobs({a, c, b})).measurements);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_DOUBLE_EQ(*(*one)[2].speedup, *(*two)[3].speedup);
  EXPECT_DOUBLE_EQ(*(*one)[3].speedup, *(*two)[2].speedup);
}

}  // namespace
}  // namespace uaqf::ranking
