// What is decided before a job has measured everything.
#include "server/ranking/elimination.h"

#include <gmock/gmock.h>

#include <utility>

#include "server/ranking/stopped.h"
#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using testing::HasSubstr;

constexpr double kError = 0.05;

// fp16, then "fast" twice as fast at a loss of 0.02, "slow" a tenth faster at the same loss, and "lossy" as fast as
// "fast" at a loss of 0.5. Runs vary by a hundredth, windows by as many nats.
Recorder Job(int prompts, int windows) {
  Recorder recorder({"fp16", "fast", "slow", "lossy"});
  const double times[] = {2, 1, 1.8, 1}, losses[] = {0, 0.02, 0.02, 0.5};
  const auto jitter = [](int a, int b, int c) { return 0.01 * (((a * 37 + b * 11 + c * 5) % 13) / 6.0 - 1); };
  for (int v = 0; v < 4; ++v) {
    for (int prompt = 0; prompt < prompts; ++prompt) {
      for (int run = 0; run < 3; ++run) {
        recorder.Timing(v, prompt, run, times[v] * (1 + 0.1 * (prompt % 7)) * (1 + jitter(v, prompt, run)), 100);
      }
    }
    for (int window = 0; window < windows; ++window) {
      recorder.Window(v, window, 3 + 0.1 * (window % 3) + losses[v] + (v == 0 ? 0 : jitter(v, window, 3)));
    }
  }
  return recorder;
}

std::vector<Elimination> Kinds(const std::vector<Eliminated>& verdicts) {
  std::vector<Elimination> kinds;
  for (const Eliminated& verdict : verdicts) kinds.push_back(verdict.kind);
  return kinds;
}

std::vector<Eliminated> Verdicts(Recorder recorder, const Profile& profile) {
  return Eliminate(recorder.measurements(), std::vector<bool>(4, true), profile, kError);
}

constexpr auto kNone = Elimination::kNone;
constexpr auto kBeaten = Elimination::kBeaten;
constexpr auto kInfeasible = Elimination::kInfeasible;

TEST(Eliminate, SaysWhoIsSurelyBeatenAndByWhom) {
  Profile profile = BuiltIn("latency");
  profile.max_delta_nll.reset();
  const auto verdicts = Verdicts(Job(12, 12), profile);
  EXPECT_EQ(Kinds(verdicts), (std::vector{kBeaten, kNone, kBeaten, kBeaten}));
  EXPECT_THAT(verdicts[2].reason, HasSubstr("fast is surely better"));
  EXPECT_THAT(verdicts[2].reason, HasSubstr("over 12 prompts and 12 windows"));
}

TEST(Eliminate, SaysNothingOfFewPrompts) {
  Profile profile = BuiltIn("latency");
  profile.max_delta_nll.reset();
  EXPECT_EQ(Kinds(Verdicts(Job(4, 12), profile)), std::vector(4, kNone));
  EXPECT_EQ(Kinds(Verdicts(Job(12, 4), profile)), std::vector(4, kNone));
}

TEST(Eliminate, TakesOutWhatSurelyLosesTooMuch) {
  const Profile profile = BuiltIn("latency");
  ASSERT_TRUE(profile.max_delta_nll.has_value());
  const auto verdicts = Verdicts(Job(12, 12), profile);
  EXPECT_EQ(verdicts[3].kind, kInfeasible);
  EXPECT_THAT(verdicts[3].reason, HasSubstr("the loss of quality"));
  EXPECT_EQ(verdicts[1].kind, kNone);
}

TEST(Eliminate, TakesOutWhatSurelyBreaksALimit) {
  Profile profile = BuiltIn("quality");
  profile.constraints = {{LimitedFigure::kLatencyP50, 2.3}};
  const auto verdicts = Verdicts(Job(300, 12), profile);
  EXPECT_EQ(verdicts[0].kind, kInfeasible);
  EXPECT_NE(verdicts[2].kind, kInfeasible);  // four of seven prompts are slower: by chance, perhaps
  EXPECT_EQ(verdicts[1].kind, kNone);
}

TEST(Eliminate, IsBeatenOnlyByWhatSurelyKeepsTheLimits) {
  // The share of records above a p99 cannot be told from so few: fast may yet turn out to break the limit.
  Profile profile = BuiltIn("latency");
  profile.constraints = {{LimitedFigure::kLatencyP99, 5}};
  EXPECT_EQ(Verdicts(Job(12, 12), profile)[2].kind, kNone);
}

TEST(Eliminate, SaysWhoSurelyKeepsTheLimits) {
  Profile profile = BuiltIn("latency");
  const auto sane = Verdicts(Job(12, 12), profile);
  EXPECT_TRUE(sane[1].keeps_limits);
  EXPECT_FALSE(sane[3].keeps_limits);
  profile.constraints = {{LimitedFigure::kLatencyP99, 5}};
  EXPECT_FALSE(Verdicts(Job(12, 12), profile)[1].keeps_limits) << "nobody knows yet";
}

TEST(Eliminate, BeatsNobodyByLessThanFp16DiffersFromItself) {
  Profile profile = BuiltIn("latency");
  profile.max_delta_nll.reset();
  profile.weights = {.speed = 1};
  const auto verdicts = [&](double noise) {
    NoiseFloor floor;
    floor.speed = {0, {-noise, noise}};
    return Kinds(Eliminate(Job(40, 12).measurements(), std::vector<bool>(4, true), profile, kError, floor));
  };
  // fast is 1.8 times as fast as slow, and twice as fast as fp16.
  EXPECT_EQ(verdicts(0.3), (std::vector{kBeaten, kNone, kBeaten, kNone}));
  EXPECT_EQ(verdicts(0.64), (std::vector{kBeaten, kNone, kNone, kNone}));
  EXPECT_EQ(verdicts(0.75), std::vector(4, kNone));
}

TEST(Eliminate, SaysNothingByAStabilityThatOneRunDoesNotTell) {
  Profile profile = BuiltIn("balanced");
  profile.max_delta_nll.reset();
  Recorder once({"fp16", "fast", "slow", "lossy"});
  for (int prompt = 0; prompt < 40; ++prompt) {
    for (int v = 0; v < 4; ++v) once.Timing(v, prompt, 0, (v == 1 ? 1 : 2) * (1 + 0.01 * (prompt % 7)), 100);
  }
  for (int window = 0; window < 12; ++window) {
    for (int v = 0; v < 4; ++v) once.Window(v, window, 3 + 0.1 * (window % 3));
  }
  EXPECT_EQ(Kinds(Verdicts(once, profile)), std::vector(4, kNone));
  profile.weights = {.speed = 0.5, .quality = 0.5};
  EXPECT_EQ(Kinds(Verdicts(once, profile))[2], kBeaten);
}

// Situation: the first prompts say one token each, so nothing is known of the gaps between tokens.
TEST(Eliminate, HasNoRangeFromUnitsThatAreAllEqual) {
  Profile profile = BuiltIn("latency");
  profile.max_delta_nll.reset();
  profile.constraints = {{LimitedFigure::kInterTokenMean, 0.001}};
  Recorder recorder({"fp16", "a"});
  for (int prompt = 0; prompt < 200; ++prompt) {
    for (int v = 0; v < 2; ++v) recorder.Timing(v, prompt, 0, 1, prompt < 4 ? 1 : 100);
  }
  const auto verdicts = Eliminate(recorder.measurements(), {true, true}, profile, kError);
  EXPECT_EQ(Kinds(verdicts), std::vector(2, kNone));
  EXPECT_FALSE(verdicts[1].keeps_limits);
}

TEST(Eliminate, LooksAtWhatAllActiveVariantsHave) {
  Profile profile = BuiltIn("latency");
  profile.max_delta_nll.reset();
  // slow was stopped behind its fourth prompt: the others go on without it.
  Recorder recorder = Job(12, 12);
  Measurements& m = recorder.measurements();
  for (std::size_t k = 0; k < m.timings.variant.size(); ++k) {
    if (m.timings.variant[k] == 2 && m.timings.item[k] >= 4) m.timings.item[k] += 100;
  }
  EXPECT_EQ(Kinds(Eliminate(m, {true, true, false, true}, profile, kError)),
            (std::vector{kBeaten, kNone, kNone, kBeaten}));
  EXPECT_EQ(Kinds(Eliminate(m, std::vector<bool>(4, true), profile, kError)), std::vector(4, kNone));
}

TEST(Eliminate, LeavesOutWhoLacksWhatIsWeighed) {
  Profile profile = BuiltIn("memory");
  profile.max_delta_nll.reset();
  Recorder recorder = Job(12, 12);
  recorder.measurements().variants[2].memory.reset();
  const auto verdicts = Verdicts(recorder, profile);
  EXPECT_EQ(verdicts[2].kind, kNone);
  EXPECT_EQ(verdicts[3].kind, kBeaten);
}

TEST(Eliminate, NeedsAProfileThatComparesWithFp16) {
  EXPECT_TRUE(CanEliminate(BuiltIn("balanced")).ok());
  Profile served = BuiltIn("balanced");
  served.traffic = {{{8, 512, 64}, 1}};
  EXPECT_THAT(std::string(CanEliminate(served).message()), HasSubstr("has a traffic mix"));
  const absl::Status status = CanEliminate(BuiltIn("accuracy-critical"));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("expected a profile that normalizes by fp16"));
  EXPECT_EQ(Kinds(Verdicts(Job(12, 12), BuiltIn("accuracy-critical"))), std::vector(4, kNone));
  Profile steady = BuiltIn("balanced");
  steady.weights = {.speed = 0.9, .behaviour = 0.1};
  EXPECT_THAT(CanEliminate(steady).message(), HasSubstr("weighs behaviour"));
}

TEST(CanDecide, NeedsWhatTheProfileWeighs) {
  const Profile balanced = BuiltIn("balanced");
  EXPECT_TRUE(CanDecide(balanced, 3, true).ok());
  EXPECT_THAT(CanDecide(balanced, 1, true).message(), HasSubstr("expected 2 repeats or more"));
  EXPECT_THAT(CanDecide(balanced, 3, false).message(), HasSubstr("the job scores no text"));
  Profile speed;
  speed.weights.speed = 1;
  EXPECT_TRUE(CanDecide(speed, 1, false).ok());
}

Measurements WithSlowStopped() {
  Recorder recorder = Job(20, 20);
  Measurements m = recorder.measurements();
  TimingColumns& t = m.timings;
  for (std::size_t k = t.variant.size(); k-- > 0;) {
    if (t.variant[k] != 2 || t.item[k] < 8) continue;
    for (auto* column : {&t.variant, &t.item, &t.repeat, &t.output_tokens}) {
      column->erase(column->begin() + static_cast<std::ptrdiff_t>(k));
    }
    for (auto* column : {&t.latency_ns, &t.prefill_ns, &t.decode_ns}) {
      column->erase(column->begin() + static_cast<std::ptrdiff_t>(k));
    }
  }
  m.variants[2].stopped = "fast is surely better";
  return m;
}

Ranking RankAll(const Measurements& m, std::optional<double> sanity = std::nullopt,
                const char* decided_by = "profiles/balanced") {
  const auto stopped = JudgeStopped(m);
  const auto common = KeepCommonRecords(WithoutStopped(m));
  const DecisionData data = PrepareDecision(common->measurements);
  RankOptions options;
  options.data = &data;
  options.stopped = &*stopped;
  Profile profile = BuiltIn("balanced");
  profile.max_delta_nll = sanity;
  const auto ranking = Rank(*Measure(common->measurements), profile, JobFacts{.decided_by = decided_by}, options);
  EXPECT_TRUE(ranking.ok()) << ranking.status();
  return *ranking;
}

TEST(Stopped, StandsBehindTheRankedByWhatItHad) {
  const Ranking ranking = RankAll(WithSlowStopped());
  EXPECT_EQ(ranking.winner, "fast");
  const auto slow = std::find_if(ranking.variants.begin(), ranking.variants.end(),
                                 [](const RankedVariant& v) { return v.variant == "slow"; });
  EXPECT_EQ(slow - ranking.variants.begin(), 3);
  EXPECT_EQ(slow->status, RankStatus::kStopped);
  EXPECT_EQ(slow->rank, 0);
  EXPECT_EQ(slow->reason, "fast is surely better");
  EXPECT_EQ(slow->standing->probability_best, 0);
  // By its own eight prompts.
  EXPECT_NEAR(slow->speedup->value, 2 / 1.8, 0.02);
}

TEST(Stopped, IsNotSurelyWorseByAnotherProfileThanTheOneThatStoppedIt) {
  EXPECT_FALSE(AnyContains(RankAll(WithSlowStopped()).warnings, "may be better"));
  const Ranking ranking = RankAll(WithSlowStopped(), std::nullopt, "profiles/memory");
  EXPECT_FALSE(Find(ranking, "slow").standing);
  EXPECT_TRUE(
      AnyContains(ranking.warnings, "slow was stopped early by profiles/memory, and may be better by this profile"));
}

TEST(Stopped, HasItsFiguresWhereItBrokeALimitButNoUtility) {
  const Ranking ranking = RankAll(WithSlowStopped(), 0.01);
  const RankedVariant& slow = Find(ranking, "slow");
  EXPECT_EQ(slow.status, RankStatus::kStopped);
  EXPECT_EQ(slow.reason, "fast is surely better");
  EXPECT_FALSE(slow.utility);
  EXPECT_FALSE(slow.standing);
  EXPECT_NEAR(slow.speedup->value, 2 / 1.8, 0.02);
}

TEST(Stopped, DoesNotShrinkWhatTheOthersAreComparedOn) {
  Measurements uniform = Job(20, 20).measurements();
  const Ranking all = RankAll(uniform);
  const Ranking adaptive = RankAll(WithSlowStopped());
  const auto standing = [](const Ranking& ranking, const char* name) {
    return *std::find_if(ranking.variants.begin(), ranking.variants.end(),
                         [&](const RankedVariant& v) { return v.variant == name; });
  };
  EXPECT_EQ(*standing(all, "fast").utility, *standing(adaptive, "fast").utility);
  EXPECT_EQ(standing(all, "fast").speedup->interval.low, standing(adaptive, "fast").speedup->interval.low);
}

}  // namespace
}  // namespace uaqf::ranking
