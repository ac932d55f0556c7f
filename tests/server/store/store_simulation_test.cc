// The scheduler's random histories over the real store, which must agree with the one in plain containers after every
// commit; and one history with a failure at each of its commits in turn.
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_join.h"
#include "tests/server/core/rig.h"
#include "tests/server/core/simulation.h"
#include "tests/server/store/fault_store.h"
#include "tests/server/store/store_fixture.h"

namespace uaqf::store {
namespace {

// Commits to both stores and compares what they say.
class Twin : public core::SimStore {
 public:
  explicit Twin(JobStore* real) : real_(real) {}

  std::vector<bool> Commit(absl::Span<const core::Mutation> mutations) override {
    const std::vector<bool> expected = model_.Commit(mutations);
    const auto results = real_->Commit(mutations);
    EXPECT_TRUE(results.ok()) << results.status();
    std::vector<bool> applied;
    for (const MutationResult& result : *results) applied.push_back(result.applied == Applied::kYes);
    EXPECT_EQ(applied, expected);
    return applied;
  }

  core::Snapshot Load() override {
    const core::Snapshot expected = model_.Load();
    auto snapshot = real_->LoadSnapshot();
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    EXPECT_EQ(snapshot->jobs.size(), expected.jobs.size());
    for (std::size_t j = 0; j < std::min(snapshot->jobs.size(), expected.jobs.size()); ++j) {
      Compare(snapshot->jobs[j], expected.jobs[j]);
    }
    return *std::move(snapshot);
  }

  core::JobDump Dump(const core::JobId& id) override {
    const core::JobDump expected = model_.Dump(id);
    auto dump = real_->Dump(id);
    EXPECT_TRUE(dump.ok()) << dump.status();
    EXPECT_EQ(dump->state, expected.state);
    EXPECT_EQ(dump->chunks.size(), expected.chunks.size());
    EXPECT_EQ(dump->attempts.size(), expected.attempts.size());
    for (std::size_t a = 0; a < std::min(dump->attempts.size(), expected.attempts.size()); ++a) {
      EXPECT_EQ(dump->attempts[a].outcome, expected.attempts[a].outcome);
      EXPECT_EQ(dump->attempts[a].records.size(), expected.attempts[a].records.size());
    }
    for (std::size_t v = 0; v < expected.variants.size(); ++v) {
      EXPECT_EQ(dump->variants[v].tally, expected.variants[v].tally);
      EXPECT_EQ(dump->variants[v].state, expected.variants[v].state);
    }
    return *std::move(dump);
  }

 private:
  static void Compare(core::JobSnapshot got, core::JobSnapshot expected) {
    EXPECT_EQ(got.id, expected.id);
    EXPECT_EQ(got.spec, expected.spec);
    EXPECT_EQ(got.state, expected.state);
    EXPECT_EQ(got.planned, expected.planned);
    EXPECT_EQ(got.device_kind, expected.device_kind);
    std::sort(got.baseline_lengths.begin(), got.baseline_lengths.end());
    std::sort(expected.baseline_lengths.begin(), expected.baseline_lengths.end());
    EXPECT_EQ(got.baseline_lengths, expected.baseline_lengths);
    ASSERT_EQ(got.attempts.size(), expected.attempts.size());
    for (std::size_t a = 0; a < got.attempts.size(); ++a) {
      EXPECT_EQ(got.attempts[a].chunk, expected.attempts[a].chunk);
      EXPECT_EQ(got.attempts[a].epoch, expected.attempts[a].epoch);
      EXPECT_EQ(got.attempts[a].session, expected.attempts[a].session);
      EXPECT_EQ(got.attempts[a].next_sequence, expected.attempts[a].next_sequence);
      EXPECT_EQ(got.attempts[a].sums, expected.attempts[a].sums);
      EXPECT_EQ(got.attempts[a].loose, expected.attempts[a].loose);
    }
  }

  JobStore* const real_;
  core::MemoryStore model_;
};

TEST(StoreSimulation, AgreesWithTheModelOnRandomHistories) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    auto store = OpenOrDie(":memory:");
    Twin twin(store.get());
    core::Simulation::Profile profile;
    profile.cancels = seed % 3 == 0;
    profile.load_failures = seed % 5 == 0;
    profile.poison = seed % 4 == 0;
    profile.attempt_limit = seed % 4 == 0 ? 2 : 100;
    core::Simulation simulation(seed, profile, &twin);
    const std::vector<std::string> problems = simulation.Run();
    ASSERT_TRUE(problems.empty()) << absl::StrJoin(problems, "\n");
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

// One job, two workers, no other fault than the one of the store. Returns the number of commits.
int RunWithFault(int nth, FaultStore::Fault fault, core::JobDump* dump, bool* failed) {
  auto real = OpenOrDie(":memory:");
  FaultStore store(real.get());
  core::CreateJob create;
  create.id = "j";
  create.spec = core::Rig::Spec({"fp16", "rtn-w8"});
  create.prompt_count = 5;
  EXPECT_TRUE(CommitOne(real.get(), create));
  core::Scheduler scheduler;
  scheduler.AddJob("j", create.spec, 5, {1, 1});
  store.FailNth(nth, fault);
  core::Rig rig;  // only for what workers say
  int commits = 0;
  std::int64_t now = 1;
  // What the loop of the server does: commit, else begin again from the store.
  const auto flush = [&] {
    const core::Effects effects = scheduler.TakeEffects({now, now});
    if (effects.mutations.empty()) return true;
    ++commits;
    if (store.Commit(effects.mutations).ok()) return true;
    scheduler.Restore(*store.LoadSnapshot(), {now, now});
    return false;
  };
  for (int round = 0; round < 400 && !core::Ended(real->Dump("j")->state); ++round) {
    for (const char* id : {"a", "b"}) {
      core::WorkerReport report = rig.ReportOf(id);
      const core::DesiredState desired = scheduler.Desired(id, {now, now});
      if (!desired.variant.empty()) {
        report.hosted = {desired.model, desired.variant, core::VariantState::kReady, "", desired.max_sequence_tokens};
      }
      for (const core::SurveyRequest& survey : desired.surveys) {
        report.surveys.push_back({survey.job, core::Survey{10, 0, 0, ""}});
      }
      EXPECT_TRUE(scheduler.OnReport(report, {now, now}).ok());
      flush();
      for (const core::Lease& lease : scheduler.Desired(id, {now, now}).leases) {
        EXPECT_NE(scheduler.OnBatch(core::Rig::Whole(id, lease), {now, now}).verdict, core::Verdict::kRejected);
        if (!flush()) break;
      }
    }
    now += core::kSecond;
  }
  *dump = *real->Dump("j");
  *failed = store.Failed();
  return commits;
}

// Situation: the disk fails at the 1st, 2nd, ... commit, before or after it took effect.
TEST(StoreSimulation, CompletesTheJobWhicheverCommitFails) {
  for (const FaultStore::Fault fault : {FaultStore::Fault::kBeforeCommit, FaultStore::Fault::kAfterCommit}) {
    bool failed = true;
    int n = 0;
    while (failed) {
      core::JobDump dump;
      RunWithFault(++n, fault, &dump, &failed);
      ASSERT_EQ(dump.state, core::JobState::kSucceeded) << "commit " << n;
      const std::vector<std::string> problems = core::CheckInvariants(dump);
      ASSERT_TRUE(problems.empty()) << "commit " << n << ": " << absl::StrJoin(problems, "\n");
      ASSERT_LT(n, 200);
    }
    EXPECT_GT(n, 10);
  }
}

}  // namespace
}  // namespace uaqf::store
