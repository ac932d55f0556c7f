// What must hold for any measurements: tried on seeded random ones.
#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

constexpr int kTrials = 50;
constexpr double kEps = 1e-9;

// Those that ship, and two of ours that weigh behaviour.
std::vector<Profile> Profiles() {
  std::vector<Profile> profiles = BuiltInProfiles();
  Profile steady;
  steady.name = "profiles/steady";
  steady.weights = {.speed = 0.3, .quality = 0.2, .stability = 0.1, .memory = 0.1, .behaviour = 0.3};
  profiles.push_back(steady);
  steady.normalization = Normalization::kMinMax;
  profiles.push_back(steady);
  return profiles;
}

struct Random {
  explicit Random(unsigned seed) : engine(seed) {}
  double Between(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine); }
  std::mt19937 engine;
};

// A job of fp16 and four more variants, 6 prompts, 3 runs, 5 windows, and outputs of each prompt.
Recorder RandomJob(unsigned seed, double time_scale = 1) {
  Random random(seed);
  Recorder recorder({"fp16", "a", "b", "c", "d"});
  for (int v = 0; v < 5; ++v) {
    recorder.measurements().variants[v].memory->weights_bytes = static_cast<std::int64_t>(random.Between(1e6, 4e6));
    const double speed = random.Between(1, 4);
    for (int item = 0; item < 6; ++item) {
      for (int repeat = 0; repeat < 3; ++repeat) {
        recorder.Timing(v, item, repeat, time_scale * (item + 1) * random.Between(0.9, 1.1) / speed, 10 + item);
      }
    }
    for (int item = 0; item < 6; ++item) {
      const auto same = [&] { return static_cast<int>(random.Between(0, 10.999)); };
      recorder.Output(v, item, std::vector<std::int32_t>(10, item), {{1, 10}, {8, same()}, {32, same()}});
      recorder.measurements().agreements.back().loop = random.Between(0, 1) < 0.1;
    }
    for (int window = 0; window < 5; ++window) recorder.Window(v, window, 2 + 0.02 * v + random.Between(0, 0.1));
  }
  return recorder;
}

std::vector<VariantMeasures> MeasuresOfJob(Recorder recorder) {
  const auto measures = Measure(recorder.measurements());
  EXPECT_TRUE(measures.ok()) << measures.status();
  return measures.ok() ? *measures : std::vector<VariantMeasures>{};
}

Ranking Ranked(const std::vector<VariantMeasures>& measures, const Profile& profile) {
  const auto ranking = Rank(measures, profile, JobFacts{});
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return ranking.ok() ? *ranking : Ranking{};
}

void ExpectSameUtilities(const Ranking& expected, const Ranking& actual) {
  for (const RankedVariant& variant : expected.variants) {
    ASSERT_TRUE(Find(actual, variant.variant).utility.has_value()) << variant.variant;
    EXPECT_NEAR(*Find(actual, variant.variant).utility, *variant.utility, kEps) << variant.variant;
  }
  EXPECT_EQ(actual.winner, expected.winner);
}

TEST(RankProperties, OrderOfRecordsHasNoEffect) {
  for (unsigned seed = 0; seed < kTrials; ++seed) {
    Recorder recorder = RandomJob(seed);
    const auto straight = MeasuresOfJob(recorder);
    TimingColumns &t = recorder.measurements().timings, shuffled = t;
    std::vector<std::size_t> order(t.variant.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    for (std::size_t k = 0; k < order.size(); ++k) {
      shuffled.variant[k] = t.variant[order[k]];
      shuffled.item[k] = t.item[order[k]];
      shuffled.repeat[k] = t.repeat[order[k]];
      shuffled.output_tokens[k] = t.output_tokens[order[k]];
      shuffled.latency_ns[k] = t.latency_ns[order[k]];
      shuffled.prefill_ns[k] = t.prefill_ns[order[k]];
      shuffled.decode_ns[k] = t.decode_ns[order[k]];
    }
    t = shuffled;
    const auto mixed = MeasuresOfJob(recorder);
    for (std::size_t v = 0; v < straight.size(); ++v) {
      EXPECT_NEAR(mixed[v].latency_s->value, straight[v].latency_s->value, kEps);
      EXPECT_NEAR(*mixed[v].latency_s->half_width, *straight[v].latency_s->half_width, kEps);
      EXPECT_NEAR(*mixed[v].relative_stability, *straight[v].relative_stability, kEps);
      EXPECT_EQ(*mixed[v].latency_p50_s, *straight[v].latency_p50_s);
    }
    for (const Profile& profile : Profiles()) ExpectSameUtilities(Ranked(straight, profile), Ranked(mixed, profile));
  }
}

TEST(RankProperties, OrderOfVariantsHasNoEffect) {
  for (unsigned seed = 0; seed < kTrials; ++seed) {
    auto measures = MeasuresOfJob(RandomJob(seed));
    for (const Profile& profile : Profiles()) {
      const Ranking straight = Ranked(measures, profile);
      auto reversed = measures;
      std::reverse(reversed.begin(), reversed.end());
      const Ranking turned = Ranked(reversed, profile);
      ExpectSameUtilities(straight, turned);
      for (std::size_t k = 0; k < straight.variants.size(); ++k) {
        EXPECT_EQ(straight.variants[k].variant, turned.variants[k].variant);
      }
    }
  }
}

// The normalized terms do not depend on the weights, and the utility is linear in them.
TEST(RankProperties, PermutedWeightsOnlyReweighTheSameTerms) {
  for (unsigned seed = 0; seed < kTrials; ++seed) {
    const auto measures = MeasuresOfJob(RandomJob(seed));
    std::vector<double> weights = {0.35, 0.25, 0.2, 0.15, 0.05};
    Profile profile;
    profile.weights = {weights[0], weights[1], weights[2], weights[3], weights[4]};
    const Ranking first = Ranked(measures, profile);
    do {
      profile.weights = {weights[0], weights[1], weights[2], weights[3], weights[4]};
      const Ranking ranking = Ranked(measures, profile);
      for (const RankedVariant& variant : ranking.variants) {
        const auto& terms = Find(first, variant.variant).terms;
        double expected = 0;
        for (std::size_t k = 0; k < 5; ++k) {
          EXPECT_EQ(variant.terms[k].normalized, terms[k].normalized);
          const bool gain = terms[k].name == "speed" || terms[k].name == "memory";
          expected += (gain ? 1 : -1) * weights[k] * terms[k].normalized;
        }
        EXPECT_NEAR(*variant.utility, expected, kEps);
      }
    } while (std::prev_permutation(weights.begin(), weights.end()));
  }
}

TEST(RankProperties, ADuplicatedVariantChangesNothingForTheOthers) {
  for (unsigned seed = 0; seed < kTrials; ++seed) {
    const auto measures = MeasuresOfJob(RandomJob(seed));
    auto doubled = measures;
    doubled.push_back(measures[2]);
    doubled.back().variant = "b-again";
    for (const Profile& profile : Profiles()) {
      const Ranking ranking = Ranked(doubled, profile);
      ExpectSameUtilities(Ranked(measures, profile), ranking);
      EXPECT_EQ(*Find(ranking, "b-again").utility, *Find(ranking, "b").utility);
    }
  }
}

// A machine that is 7 times as slow: nothing but the combined stability form, which adds seconds to rates, may notice.
TEST(RankProperties, ScaledTimesChangeNothing) {
  for (unsigned seed = 0; seed < kTrials; ++seed) {
    const auto fast = MeasuresOfJob(RandomJob(seed)), slow = MeasuresOfJob(RandomJob(seed, 7));
    for (const Profile& profile : Profiles()) {
      const Ranking expected = Ranked(fast, profile), actual = Ranked(slow, profile);
      for (const RankedVariant& variant : expected.variants) {
        // Latencies are whole nanoseconds: scaled ones are not exact multiples.
        EXPECT_NEAR(*Find(actual, variant.variant).utility, *variant.utility, 1e-6);
      }
    }
  }
  Profile combined = BuiltIn("balanced");
  combined.stability_form = StabilityForm::kCombined;
  combined.stability_alpha = combined.stability_beta = 1;
  const Ranking fast = Ranked(MeasuresOfJob(RandomJob(1)), combined),
                slow = Ranked(MeasuresOfJob(RandomJob(1, 7)), combined);
  EXPECT_GT(std::abs(*Find(fast, "a").utility - *Find(slow, "a").utility), 1e-3);
}

// Against fp16 a score does not depend on who else is in the list; under min-max it may.
TEST(RankProperties, ARemovedVariantLeavesScoresAgainstTheBaselineAlone) {
  bool minmax_moved = false;
  for (unsigned seed = 0; seed < kTrials; ++seed) {
    const auto measures = MeasuresOfJob(RandomJob(seed));
    for (std::size_t gone = 1; gone < measures.size(); ++gone) {
      auto fewer = measures;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(gone));
      for (const Profile& profile : Profiles()) {
        const Ranking all = Ranked(measures, profile), some = Ranked(fewer, profile);
        for (const RankedVariant& variant : some.variants) {
          const bool same = *variant.utility == *Find(all, variant.variant).utility;
          if (profile.normalization == Normalization::kBaseline) {
            EXPECT_TRUE(same) << variant.variant;
          } else {
            minmax_moved = minmax_moved || !same;
          }
        }
      }
    }
  }
  EXPECT_TRUE(minmax_moved);
}

// Better in one measure and equal in the rest never scores worse.
TEST(RankProperties, AnImprovedVariantNeverLosesUtility) {
  for (unsigned seed = 0; seed < kTrials; ++seed) {
    const auto measures = MeasuresOfJob(RandomJob(seed));
    for (const Profile& profile : Profiles()) {
      const double before = *Find(Ranked(measures, profile), "b").utility;
      auto faster = measures;
      faster[2].tokens_per_s->value *= 1.2;
      EXPECT_GE(*Find(Ranked(faster, profile), "b").utility, before - kEps) << profile.name;
      auto smaller = measures;
      smaller[2].memory_bytes = *smaller[2].memory_bytes / 2;
      EXPECT_GE(*Find(Ranked(smaller, profile), "b").utility, before - kEps) << profile.name;
      auto steadier = measures;
      *steadier[2].behaviour->penalty *= 0.5;
      EXPECT_GE(*Find(Ranked(steadier, profile), "b").utility, before - kEps) << profile.name;
    }
  }
}

}  // namespace
}  // namespace uaqf::ranking
