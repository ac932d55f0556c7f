// Random histories against the invariants. UAQF_SIMULATIONS sets their number (default 20000); a failure prints its
// seed, and UAQF_SEED runs that one alone.
#include "tests/server/core/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/str_join.h"
#include "server/core/divergence.h"

namespace uaqf::core {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kHistories = 2000;
#else
constexpr std::uint64_t kHistories = 20000;
#endif

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Runs `percent` of the histories with `profile`; `check` looks at each when it has ended.
template <typename Check>
void RunHistories(int percent, std::uint64_t salt, const Simulation::Profile& profile, Check check) {
  const std::uint64_t only = FromEnvironment("UAQF_SEED", 0);
  const std::uint64_t count = only != 0 ? 1 : FromEnvironment("UAQF_SIMULATIONS", kHistories) * percent / 100;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t seed = only != 0 ? only : salt * 1'000'000'000 + i;
    MemoryStore store;
    Simulation simulation(seed, profile, &store);
    const std::vector<std::string> problems = simulation.Run();
    ASSERT_TRUE(problems.empty()) << absl::StrJoin(problems, "\n");
    check(seed, simulation, &store);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

Tally Total(const JobDump& dump) {
  Tally total;
  for (const VariantStatus& variant : dump.variants) total.Add(variant.tally);
  return total;
}

// How often each prompt is timed: every variant and repeat, the baseline once in each group.
std::int64_t TimedRuns(const JobDump& dump) {
  std::set<std::tuple<std::int32_t, std::int32_t, std::int32_t>> runs;
  for (const Chunk& chunk : dump.chunks) {
    if (chunk.kind == ChunkKind::kTiming) runs.insert({chunk.variant, chunk.group, chunk.repeat});
  }
  return static_cast<std::int64_t>(runs.size());
}

// Situation: anything may crash, hang, repeat or be reordered; attempts are plenty.
TEST(Simulation, LosesAndDoublesNothingUnderFaults) {
  RunHistories(50, 1, {}, [](std::uint64_t seed, const Simulation& simulation, MemoryStore* store) {
    for (const JobId& id : simulation.jobs()) {
      const JobDump dump = store->Dump(id);
      ASSERT_EQ(dump.state, JobState::kSucceeded) << "seed " << seed;
      ASSERT_EQ(Total(dump).records_quarantined, 0) << "seed " << seed;
      ASSERT_EQ(Total(dump).records_done, Total(dump).records_total) << "seed " << seed;
    }
  });
}

// Situation: the same, and after each round a variant may be stopped, or the job be decided.
TEST(Simulation, KeepsItsPromisesWhenJobsEndEarly) {
  Simulation::Profile profile;
  profile.rounds = true;
  int stopped = 0, early = 0;
  RunHistories(20, 10, profile, [&](std::uint64_t seed, const Simulation& simulation, MemoryStore* store) {
    for (const JobId& id : simulation.jobs()) {
      const JobDump dump = store->Dump(id);
      ASSERT_EQ(dump.state, JobState::kSucceeded) << "seed " << seed;
      early += Total(dump).records_done < Total(dump).records_total ? 1 : 0;
      for (const VariantStatus& variant : dump.variants) {
        if (variant.state != VariantState::kStopped) continue;
        ++stopped;
        EXPECT_FALSE(variant.error.empty()) << "seed " << seed;
      }
    }
  });
  EXPECT_GT(early, 0);
  EXPECT_GT(stopped, 0);
}

// Situation: the same with many prompts and few workers: variants and groups take turns in stages.
TEST(Simulation, KeepsItsPromisesWhereVariantsTakeTurns) {
  for (const bool small_devices : {false, true}) {
    Simulation::Profile profile;
    profile.rounds = profile.stages = true;
    profile.small_devices = small_devices;
    profile.cancels = profile.load_failures = small_devices;
    int done = 0;
    RunHistories(2, small_devices ? 12 : 11, profile,
                 [&](std::uint64_t seed, const Simulation& simulation, MemoryStore* store) {
                   for (const JobId& id : simulation.jobs()) {
                     const JobDump dump = store->Dump(id);
                     ASSERT_TRUE(Ended(dump.state)) << "seed " << seed;
                     done += dump.state == JobState::kSucceeded ? 1 : 0;
                   }
                 });
    EXPECT_GT(done, 0);
  }
}

// 1000026650: a worker was benched while it held a lease, which it reported for ever.
TEST(Simulation, PassesTheHistoriesThatOnceFailed) {
  for (const std::uint64_t seed : {1000026650u}) {
    MemoryStore store;
    EXPECT_EQ(absl::StrJoin(Simulation(seed, {}, &store).Run(), "\n"), "");
  }
}

// Situation: the same, and records that were accepted must be the ones made under the accepted epoch.
TEST(Simulation, AcceptsOnlyWhatTheAcceptedAttemptMeasured) {
  RunHistories(5, 2, {}, [](std::uint64_t seed, const Simulation&, MemoryStore* store) {
    for (const auto& [id, job] : store->jobs()) {
      for (const auto& [key, attempt] : job.attempts) {
        for (const RecordRow& record : attempt.records) {
          const std::string expected = ToString({id, key.first, key.second}) + " item " + std::to_string(record.item);
          ASSERT_EQ(record.blob, expected) << "seed " << seed;
        }
      }
    }
  });
}

// Situation: jobs are cancelled at any moment.
TEST(Simulation, KeepsInvariantsWhenJobsAreCancelled) {
  Simulation::Profile profile;
  profile.cancels = true;
  RunHistories(15, 3, profile, [](std::uint64_t, const Simulation&, MemoryStore*) {});
}

// Situation: some workers cannot load anything.
TEST(Simulation, EndsWhenVariantsCannotBeHosted) {
  Simulation::Profile profile;
  profile.load_failures = true;
  RunHistories(10, 4, profile, [](std::uint64_t, const Simulation&, MemoryStore*) {});
}

// Situation: devices hold one to three variants at once, and workers crash and come back.
TEST(Simulation, EndsOnDevicesThatHoldFewVariants) {
  Simulation::Profile profile;
  profile.small_devices = true;
  RunHistories(5, 7, profile, [](std::uint64_t seed, const Simulation& simulation, MemoryStore* store) {
    for (const JobId& id : simulation.jobs()) {
      ASSERT_EQ(store->Dump(id).state, JobState::kSucceeded) << "seed " << seed;
    }
  });
}

// The same without faults: then the coordinator knows what is held.
TEST(Simulation, NeverHostsMoreThanADeviceHolds) {
  Simulation::Profile profile;
  profile.small_devices = true;
  profile.faults = false;
  RunHistories(5, 8, profile, [](std::uint64_t seed, const Simulation& simulation, MemoryStore* store) {
    for (const JobId& id : simulation.jobs()) {
      ASSERT_EQ(store->Dump(id).state, JobState::kSucceeded) << "seed " << seed;
    }
  });
}

// Situation: anything may crash; some windows are too loose with the first k, or with every one. Each comparison that
// is bounded from summaries grows until it is tight, or to the greatest k, once per block whoever asks.
TEST(Simulation, GrowsSummariesUntilEveryBoundIsTight) {
  std::int64_t grown = 0;
  RunHistories(10, 9, {}, [&grown](std::uint64_t seed, const Simulation&, MemoryStore* store) {
    for (const auto& [id, job] : store->jobs()) {
      std::map<std::pair<std::int32_t, std::int32_t>, std::pair<std::int32_t, bool>>
          last;  // (variant, window): k, loose
      for (const auto& [key, attempt] : job.attempts) {
        const Chunk& chunk = job.saved.chunks[key.first];
        if (chunk.kind != ChunkKind::kDivergence || chunk.summary_k == 0 || attempt.outcome != Outcome::kAccepted)
          continue;
        for (const RecordRow& record : attempt.records) {
          auto& best = last[{chunk.variant, record.item}];
          if (record.summary_k > best.first) best = {record.summary_k, TooLoose(record)};
          grown += record.summary_k > kFirstSummaryK;
        }
      }
      for (const auto& [window, best] : last) {
        ASSERT_TRUE(!best.second || best.first == kMostSummaryK) << "seed " << seed << " window " << window.second;
      }
    }
  });
  EXPECT_TRUE(grown > 0 || FromEnvironment("UAQF_SEED", 0) != 0);
}

// Situation: one prompt kills every worker that times it. No other fault.
TEST(Simulation, QuarantinesExactlyThePoisonedPrompt) {
  Simulation::Profile profile;
  profile.faults = false;
  profile.poison = true;
  profile.attempt_limit = 2;
  profile.steps = 0;
  RunHistories(5, 5, profile, [](std::uint64_t seed, const Simulation& simulation, MemoryStore* store) {
    const JobDump dump = store->Dump(simulation.jobs().front());
    const std::int64_t poisoned = TimedRuns(dump);
    ASSERT_EQ(Total(dump).records_quarantined, poisoned) << "seed " << seed;
    ASSERT_EQ(Total(dump).records_done, Total(dump).records_total - poisoned) << "seed " << seed;
    // Two attempts of the whole chunk, then one for each halving of at most four prompts.
    ASSERT_LE(simulation.worker_deaths(), poisoned * (2 + 2)) << "seed " << seed;
  });
}

// Situation: one worker dies on everything it is given; the others are well.
TEST(Simulation, BenchesTheSickWorkerAndPoisonsNoRecord) {
  Simulation::Profile profile;
  profile.faults = false;
  profile.sick = true;
  profile.attempt_limit = 3;
  profile.steps = 0;
  RunHistories(5, 6, profile, [](std::uint64_t seed, const Simulation& simulation, MemoryStore* store) {
    const JobDump dump = store->Dump(simulation.jobs().front());
    ASSERT_EQ(dump.state, JobState::kSucceeded) << "seed " << seed;
    ASSERT_EQ(Total(dump).records_quarantined, 0) << "seed " << seed;
    ASSERT_EQ(Total(dump).records_done, Total(dump).records_total) << "seed " << seed;
  });
}

}  // namespace
}  // namespace uaqf::core
