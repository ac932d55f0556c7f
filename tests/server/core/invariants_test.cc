// The checker must see each kind of damage; a checker that sees nothing proves nothing.
#include "server/core/invariants.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_join.h"

namespace uaqf::core {
namespace {

// A job that succeeded: one variant, two chunks; the second was tainted once.
JobDump Healthy() {
  JobDump job;
  job.id = "j";
  job.spec.variants = {"fp16"};
  job.state = JobState::kSucceeded;
  job.planned = true;
  job.end_commit = 9;
  job.variants.resize(1);
  Tally& tally = job.variants[0].tally;
  tally.records_done = tally.records_total = 4;
  tally.chunks_done = tally.chunks_total = 2;
  tally.attempts_tainted = tally.attempts_rerun = 1;
  for (std::int32_t c = 0; c < 2; ++c) {
    Chunk chunk;
    chunk.index = chunk.position = c;
    chunk.state = ChunkState::kDone;
    chunk.first = 2 * c;
    chunk.count = 2;
    chunk.epoch = 1 + c;
    job.chunks.push_back(chunk);
  }
  job.attempts = {{0, 1, Outcome::kAccepted, 2, 3, {{0, 0, false}, {1, 0, false}}},
                  {1, 1, Outcome::kTainted, 4, 5, {{2, 0, false}, {3, 0, false}}},
                  {1, 2, Outcome::kAccepted, 6, 9, {{2, 0, false}, {3, 0, false}}}};
  return job;
}

// The numbers of the invariants that are violated, e.g. "I1 I6".
std::string Violated(const JobDump& job) {
  std::set<std::string> all;
  for (const std::string& problem : CheckInvariants(job)) all.insert(problem.substr(0, 2));
  return absl::StrJoin(all, " ");
}

TEST(Invariants, HoldForAHealthyJob) { EXPECT_EQ(Violated(Healthy()), ""); }

TEST(Invariants, SeeALostRecord) {
  JobDump job = Healthy();
  job.attempts[0].records.pop_back();
  EXPECT_EQ(Violated(job), "I1 I6");
}

TEST(Invariants, SeeAChunkThatVanished) {
  JobDump job = Healthy();
  job.chunks[0].state = ChunkState::kAbandoned;
  EXPECT_NE(Violated(job).find("I2"), std::string::npos);
}

TEST(Invariants, SeeARecordOutsideItsChunk) {
  JobDump job = Healthy();
  job.attempts[0].records[1].item = 3;
  EXPECT_NE(Violated(job).find("I1"), std::string::npos);
}

TEST(Invariants, SeeOverlappingChunks) {
  JobDump job = Healthy();
  job.chunks[1].first = 1;
  EXPECT_NE(Violated(job).find("I1"), std::string::npos);
}

TEST(Invariants, SeeADoubledRecord) {
  JobDump job = Healthy();
  job.attempts[1].outcome = Outcome::kAccepted;
  EXPECT_EQ(Violated(job), "I2 I3 I6");
}

TEST(Invariants, SeeAResultOfAnOldEpoch) {
  JobDump job = Healthy();
  std::swap(job.attempts[1].outcome, job.attempts[2].outcome);
  EXPECT_EQ(Violated(job), "I3");
}

TEST(Invariants, SeeAnEpochThatWasSkippedOrWentBack) {
  JobDump job = Healthy();
  job.chunks[1].epoch = 3;
  job.attempts[2].epoch = 3;
  EXPECT_EQ(Violated(job), "I4");
  job = Healthy();
  job.attempts[2].lease_commit = 1;
  EXPECT_EQ(Violated(job), "I4");
}

TEST(Invariants, SeeTwoOpenLeases) {
  JobDump job = Healthy();
  job.state = JobState::kRunning;
  job.chunks[1].state = ChunkState::kLeased;
  job.attempts[1].outcome = Outcome::kOpen;
  job.attempts[2].outcome = Outcome::kOpen;
  EXPECT_NE(Violated(job).find("I5"), std::string::npos);
}

TEST(Invariants, SeeCountersThatDisagree) {
  JobDump job = Healthy();
  ++job.variants[0].tally.attempts_rerun;
  EXPECT_EQ(Violated(job), "I6");
}

TEST(Invariants, SeeRowsAfterTheEnd) {
  JobDump job = Healthy();
  job.end_commit = 8;
  EXPECT_EQ(Violated(job), "I7");
}

TEST(Invariants, SeeWorkLeftOpenInAnEndedJob) {
  JobDump job = Healthy();
  job.state = JobState::kCancelled;
  job.chunks[0].state = ChunkState::kPending;
  EXPECT_NE(Violated(job).find("I7"), std::string::npos);
}

TEST(Invariants, SurviveADumpThatMakesNoSense) {
  JobDump job = Healthy();
  job.attempts[0].chunk = 77;
  EXPECT_NE(Violated(job), "");
}

}  // namespace
}  // namespace uaqf::core
