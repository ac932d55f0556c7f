// What every store promises. Another kind of store joins by a line in `Stores`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "server/core/item_order.h"
#include "tests/server/store/store_fixture.h"

namespace uaqf::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct SqliteFile {
  static std::unique_ptr<Store> Open() { return OpenOrDie(test::ScratchFolder() + "/uaqf.db"); }
};
struct SqliteMemory {
  static std::unique_ptr<Store> Open() { return OpenOrDie(":memory:"); }
};

template <typename Kind>
class StoreConformance : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = Kind::Open();
    ASSERT_NE(store_, nullptr);
  }
  // A planned job.
  core::PlanJob Plan(const core::JobId& id) {
    const core::CreateJob create = NewJob(id);
    core::PlanJob plan = PlanOf(create);
    EXPECT_TRUE(CommitOne(store_.get(), create));
    EXPECT_TRUE(CommitOne(store_.get(), plan));
    return plan;
  }

  std::unique_ptr<Store> store_;
};

using Stores = ::testing::Types<SqliteFile, SqliteMemory>;
TYPED_TEST_SUITE(StoreConformance, Stores);

// --- Jobs

core::ImportJob NewImport(const core::JobId& id, const std::string& request) {
  core::ImportJob import;
  import.id = id;
  import.table = {"Table 7",
                  "FP16",
                  { {"fp16", 1.28, 38.2, 0.0, 13'500'000'000},
                    { "Atom \"4-bit\"",
                      {},
                      63.1,
                      {},
                      {} } }};
  import.request = {"me", request, "digest"};
  import.wall_ns = 1'700'000'000'000'000'000;
  return import;
}

TYPED_TEST(StoreConformance, KeepsPublishedFiguresAsAJobThatHasEnded) {
  const core::ImportJob import = NewImport("aaaaaa", "r");
  ASSERT_EQ(this->store_->ImportJob(import)->applied, Applied::kYes);
  const auto job = this->store_->GetJob("aaaaaa");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state, core::JobState::kSucceeded);
  ASSERT_TRUE(job->imported.has_value());
  EXPECT_EQ(*job->imported, import.table);
  EXPECT_THAT(job->spec.variants, ElementsAre("fp16", "Atom \"4-bit\""));
  EXPECT_TRUE(this->store_->LoadSnapshot()->jobs.empty()) << "nothing to schedule";
  EXPECT_TRUE(this->store_->ReadMeasurements("aaaaaa")->timings.variant.empty());
  ASSERT_TRUE(CommitOne(this->store_.get(), NewJob("bbbbbb")));
  EXPECT_FALSE(this->store_->GetJob("bbbbbb")->imported.has_value());
}

TYPED_TEST(StoreConformance, MakesOneJobOfARepeatedImport) {
  ASSERT_EQ(this->store_->ImportJob(NewImport("aaaaaa", "r"))->applied, Applied::kYes);
  EXPECT_EQ(this->store_->ImportJob(NewImport("bbbbbb", "r"))->existing, "aaaaaa");
  EXPECT_EQ(this->store_->ImportJob(NewImport("aaaaaa", "other"))->applied, Applied::kIdTaken);
  core::ImportJob reused = NewImport("cccccc", "r");
  reused.request.digest = "another";
  EXPECT_EQ(this->store_->ImportJob(reused)->applied, Applied::kRequestReused);
  EXPECT_TRUE(absl::IsNotFound(this->store_->GetJob("cccccc").status()));
}

TYPED_TEST(StoreConformance, GivesBackAJobAsItWasAsked) {
  const core::CreateJob create = NewJob("k7f2m9");
  ASSERT_TRUE(CommitOne(this->store_.get(), create));
  const auto job = this->store_->GetJob("k7f2m9");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->spec, create.spec);
  EXPECT_EQ(job->state, core::JobState::kQueued);
  EXPECT_EQ(job->create_wall_ns, create.wall_ns);
  ASSERT_EQ(job->progress.variants.size(), 2u);
  EXPECT_EQ(job->progress.variants[1].variant, "rtn-w4");
  EXPECT_TRUE(absl::IsNotFound(this->store_->GetJob("nope").status()));
}

TYPED_TEST(StoreConformance, MakesOneJobOfARepeatedRequest) {
  ASSERT_TRUE(CommitOne(this->store_.get(), NewJob("aaaaaa", "r")));
  const auto again = this->store_->Commit(std::vector<core::Mutation>{NewJob("bbbbbb", "r")});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->at(0).applied, Applied::kExists);
  EXPECT_EQ(again->at(0).existing, "aaaaaa");
  core::CreateJob other = NewJob("cccccc", "r");
  other.request.digest = "other";
  EXPECT_THAT(CommitAll(this->store_.get(), {other}), ElementsAre(Applied::kRequestReused));
  other.request.principal = "you";
  EXPECT_TRUE(CommitOne(this->store_.get(), other));
  EXPECT_THAT(CommitAll(this->store_.get(), {NewJob("aaaaaa", "new")}), ElementsAre(Applied::kIdTaken));
  EXPECT_TRUE(absl::IsNotFound(this->store_->GetJob("bbbbbb").status()));
}

TYPED_TEST(StoreConformance, FindsARequestWithoutWriting) {
  const core::CreateJob create = NewJob("aaaaaa", "r");
  EXPECT_EQ(this->store_->FindRequest(create.request)->applied, Applied::kYes);
  ASSERT_TRUE(CommitOne(this->store_.get(), create));
  EXPECT_EQ(this->store_->FindRequest(create.request)->existing, "aaaaaa");
  EXPECT_EQ(this->store_->FindRequest({"me", "r", "other"})->applied, Applied::kRequestReused);
}

TYPED_TEST(StoreConformance, ListsJobsNewestFirstInPages) {
  for (const char* id : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(CommitOne(this->store_.get(), NewJob(id)));
  std::vector<core::JobId> ids;
  std::int64_t before = 0;
  int pages = 0;
  do {
    const auto page = this->store_->ListJobs(before, 2);
    ASSERT_TRUE(page.ok());
    for (const core::JobView& job : page->jobs) ids.push_back(job.id);
    before = page->next;
    ++pages;
  } while (before != 0);
  EXPECT_THAT(ids, ElementsAre("e", "d", "c", "b", "a"));
  EXPECT_EQ(pages, 3);
}

// --- Fencing

// Situation: a chunk was leased twice; the first worker wakes up.
TYPED_TEST(StoreConformance, RefusesEverythingOfAnOldEpoch) {
  const core::PlanJob plan = this->Plan("j");
  core::CloseAttempt expired = Accepting("j", 0, 1);
  expired.outcome = core::Outcome::kExpired;
  expired.next = core::ChunkState::kPending;
  expired.failures = 1;
  ASSERT_THAT(CommitAll(this->store_.get(), {LeaseOf("j", 0, 1), expired, LeaseOf("j", 0, 2)}),
              ElementsAre(Applied::kYes, Applied::kYes, Applied::kYes));
  EXPECT_THAT(CommitAll(this->store_.get(), {core::AppendRecords{{"j", 0, 1}, 0, RowsOf(plan.chunks[0])},
                                             Accepting("j", 0, 1), LeaseOf("j", 0, 2), LeaseOf("j", 0, 4)}),
              ElementsAre(Applied::kLost, Applied::kLost, Applied::kLost, Applied::kLost));
  const auto dump = this->store_->Dump("j");
  ASSERT_TRUE(dump.ok());
  EXPECT_EQ(dump->chunks[0].epoch, 2);
  EXPECT_EQ(dump->chunks[0].state, core::ChunkState::kLeased);
  for (const core::AttemptDump& attempt : dump->attempts) EXPECT_TRUE(attempt.records.empty());
}

TYPED_TEST(StoreConformance, AppliesTheRestWhenOneMutationIsLost) {
  const core::PlanJob plan = this->Plan("j");
  ASSERT_TRUE(CommitOne(this->store_.get(), LeaseOf("j", 1, 1)));
  EXPECT_THAT(CommitAll(this->store_.get(), {core::AppendRecords{{"j", 0, 1}, 0, RowsOf(plan.chunks[0])},
                                             core::AppendRecords{{"j", 1, 1}, 0, RowsOf(plan.chunks[1])}}),
              ElementsAre(Applied::kLost, Applied::kYes));
}

TYPED_TEST(StoreConformance, TakesEachBatchOnceAndInOrder) {
  const core::PlanJob plan = this->Plan("j");
  ASSERT_TRUE(CommitOne(this->store_.get(), LeaseOf("j", 0, 1)));
  const core::AppendRecords first{{"j", 0, 1}, 0, RowsOf(plan.chunks[0])};
  const core::AppendRecords third{{"j", 0, 1}, 2, {}};
  EXPECT_THAT(CommitAll(this->store_.get(), {third, first, first}),
              ElementsAre(Applied::kLost, Applied::kYes, Applied::kLost));
}

TYPED_TEST(StoreConformance, KeepsNothingOfACommitThatFails) {
  this->Plan("j");
  std::vector<core::RecordRow> doubled = {TimingRow(0, 0), TimingRow(0, 0)};
  const auto result = this->store_->Commit(
      std::vector<core::Mutation>{LeaseOf("j", 0, 1), core::AppendRecords{{"j", 0, 1}, 0, doubled}});
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(this->store_->Dump("j")->chunks[0].epoch, 0);
  EXPECT_TRUE(CommitOne(this->store_.get(), LeaseOf("j", 0, 1)));
}

TYPED_TEST(StoreConformance, StoresNothingAfterTheEndOfAJob) {
  const core::PlanJob plan = this->Plan("j");
  ASSERT_TRUE(CommitOne(this->store_.get(), LeaseOf("j", 0, 1)));
  ASSERT_TRUE(CommitOne(this->store_.get(), core::SetJobState{"j", core::JobState::kCancelled, 5, "", ""}));
  EXPECT_THAT(CommitAll(this->store_.get(),
                        {core::AppendRecords{{"j", 0, 1}, 0, RowsOf(plan.chunks[0])}, Accepting("j", 0, 1),
                         LeaseOf("j", 1, 1), core::AddChunks{"j", {plan.chunks[0]}}, core::SaveVariant{"j", 0, {}},
                         core::EndVariant{"j", 0, core::VariantState::kFailed, "x"},
                         core::SetJobState{"j", core::JobState::kSucceeded, 6, "", ""}, plan}),
              ElementsAre(Applied::kLost, Applied::kLost, Applied::kLost, Applied::kLost, Applied::kLost,
                          Applied::kLost, Applied::kLost, Applied::kLost));
  const core::JobDump dump = *this->store_->Dump("j");
  for (const core::AttemptDump& attempt : dump.attempts) {
    EXPECT_EQ(attempt.outcome, core::Outcome::kAbandoned);
    EXPECT_TRUE(attempt.records.empty());
  }
  for (const core::Chunk& chunk : dump.chunks) EXPECT_EQ(chunk.state, core::ChunkState::kAbandoned);
  EXPECT_EQ(this->store_->GetJob("j")->end_wall_ns, 5);
  EXPECT_TRUE(this->store_->LoadSnapshot()->jobs.empty());
}

TYPED_TEST(StoreConformance, LosesMutationsOfUnknownJobs) {
  EXPECT_THAT(CommitAll(this->store_.get(), {LeaseOf("nope", 0, 1), core::SaveVariant{"nope", 0, {}},
                                             core::SetJobState{"nope", core::JobState::kRunning, 1, "", "k"}}),
              ElementsAre(Applied::kLost, Applied::kLost, Applied::kLost));
}

// --- Snapshot

TYPED_TEST(StoreConformance, GivesTheSchedulerEverythingBack) {
  const core::PlanJob plan = this->Plan("j");
  ASSERT_TRUE(CommitOne(this->store_.get(), core::SetJobState{"j", core::JobState::kRunning, 7, "", "cpu x"}));
  Complete(this->store_.get(), "j", plan.chunks[0]);  // the baseline's generation of prompts 0 and 1
  core::VariantStatus status;
  status.tally.records_done = 2;
  status.tally.nll_sum = std::numeric_limits<double>::quiet_NaN();
  status.tally.latency_sum_s = 0.1;
  std::vector<core::RecordRow> half = RowsOf(plan.chunks[2]);
  half.pop_back();
  CommitAll(this->store_.get(),
            {core::SaveVariant{"j", 0, status}, LeaseOf("j", 2, 1), core::AppendRecords{{"j", 2, 1}, 0, half}});
  const auto snapshot = this->store_->LoadSnapshot();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  ASSERT_EQ(snapshot->jobs.size(), 1u);
  const core::JobSnapshot& job = snapshot->jobs[0];
  EXPECT_EQ(job.spec, SmallSpec());
  EXPECT_EQ(job.survey, plan.survey);
  EXPECT_EQ(this->store_->GetJob("j")->parameters, 7'000'000'000);
  EXPECT_EQ(job.device_kind, "cpu x");
  EXPECT_EQ(job.start_wall_ns, 7);
  EXPECT_EQ(job.prompt_count, 4);
  EXPECT_EQ(job.chunks.size(), plan.chunks.size());
  EXPECT_EQ(job.chunks[0].state, core::ChunkState::kDone);
  EXPECT_EQ(job.baseline_lengths, (std::vector<std::pair<std::int32_t, std::int32_t>>{{0, 5}, {1, 5}}));
  EXPECT_DOUBLE_EQ(job.variants[0].tally.latency_sum_s, 0.1);
  EXPECT_TRUE(std::isnan(job.variants[0].tally.nll_sum));
  ASSERT_EQ(job.attempts.size(), 1u);
  EXPECT_EQ(job.attempts[0].worker, "w1");
  EXPECT_EQ(job.attempts[0].session, "w1/0");
  EXPECT_EQ(job.attempts[0].device, "d0");
  EXPECT_EQ(job.attempts[0].next_sequence, 1);
  EXPECT_THAT(job.attempts[0].items, ElementsAre(2));
  EXPECT_EQ(job.attempts[0].sums.records_done, 1);
}

// --- Records

TYPED_TEST(StoreConformance, GivesBackRecordsExactlyAsTheyCame) {
  const core::PlanJob plan = this->Plan("j");
  Complete(this->store_.get(), "j", plan.chunks[0]);
  const auto page = this->store_->ReadRecords("j", {}, {}, 100);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->records.size(), 2u);
  EXPECT_TRUE(page->at_end);
  const std::vector<core::RecordRow> rows = RowsOf(plan.chunks[0]);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(page->records[i].blob, rows[i].blob);
    EXPECT_EQ(page->records[i].item, rows[i].item);
    EXPECT_EQ(page->records[i].kind, core::ChunkKind::kGeneration);
    EXPECT_EQ(page->records[i].worker, "w1");
    EXPECT_EQ(page->records[i].epoch, 1);
  }
  EXPECT_TRUE(absl::IsNotFound(this->store_->ReadRecords("nope", {}, {}, 1).status()));
}

// Situation: a reader follows while attempts are accepted in another order than they were leased.
TYPED_TEST(StoreConformance, GivesAFollowerEveryAcceptedRecordOnce) {
  const core::PlanJob plan = this->Plan("j");
  CommitAll(this->store_.get(),
            {LeaseOf("j", 0, 1), LeaseOf("j", 1, 1), core::AppendRecords{{"j", 0, 1}, 0, RowsOf(plan.chunks[0])},
             core::AppendRecords{{"j", 1, 1}, 0, RowsOf(plan.chunks[1])}});
  RecordCursor cursor;
  std::vector<std::pair<std::int32_t, std::int32_t>> seen;
  const auto read = [&] {
    for (bool at_end = false; !at_end;) {
      const auto page = this->store_->ReadRecords("j", cursor, {}, 1);
      ASSERT_TRUE(page.ok());
      ASSERT_LE(page->records.size(), 1u);
      for (const StoredRecord& record : page->records) seen.emplace_back(record.chunk, record.item);
      cursor = page->next;
      at_end = page->at_end;
    }
  };
  read();
  EXPECT_TRUE(seen.empty());
  ASSERT_TRUE(CommitOne(this->store_.get(), Accepting("j", 1, 1)));
  read();
  ASSERT_TRUE(CommitOne(this->store_.get(), Accepting("j", 0, 1)));
  read();
  read();
  EXPECT_THAT(seen,
              ElementsAre(std::make_pair(1, 0), std::make_pair(1, 1), std::make_pair(0, 0), std::make_pair(0, 1)));
}

TYPED_TEST(StoreConformance, FiltersRecordsByVariantAndKind) {
  const core::PlanJob plan = this->Plan("j");
  for (const core::Chunk& chunk : plan.chunks) Complete(this->store_.get(), "j", chunk);
  RecordFilter filter;
  filter.variant = 1;
  filter.kind = core::ChunkKind::kTiming;
  const auto page = this->store_->ReadRecords("j", {}, filter, 1000);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->records.size(), 8u);
  for (const StoredRecord& record : page->records) {
    EXPECT_EQ(record.variant, 1);
    EXPECT_EQ(record.kind, core::ChunkKind::kTiming);
  }
}

TYPED_TEST(StoreConformance, HidesWhatWasNotAccepted) {
  const core::PlanJob plan = this->Plan("j");
  core::CloseAttempt tainted = Accepting("j", 0, 1);
  tainted.outcome = core::Outcome::kTainted;
  tainted.next = core::ChunkState::kPending;
  CommitAll(this->store_.get(),
            {LeaseOf("j", 0, 1), core::AppendRecords{{"j", 0, 1}, 0, RowsOf(plan.chunks[0])}, tainted});
  EXPECT_TRUE(this->store_->ReadRecords("j", {}, {}, 10)->records.empty());
  EXPECT_TRUE(this->store_->ReadMeasurements("j")->generations.item.empty());
}

// Situation: the one record of the attempt was stored, but its end never came.
TYPED_TEST(StoreConformance, ShowsAQuarantinedRecordWithItsReason) {
  core::PlanJob plan = this->Plan("j");
  core::CloseAttempt close = Accepting("j", 0, 1);
  close.outcome = core::Outcome::kQuarantined;
  close.next = core::ChunkState::kQuarantined;
  close.error = "it kills workers";
  CommitAll(this->store_.get(), {LeaseOf("j", 0, 1), core::AppendRecords{{"j", 0, 1}, 0, {TimingRow(0, 0)}}, close});
  const auto page = this->store_->ReadRecords("j", {}, {}, 10);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->records.size(), 1u);
  EXPECT_EQ(page->records[0].failure, "it kills workers");
  EXPECT_EQ(page->records[0].blob, "");
  EXPECT_TRUE(this->store_->ReadMeasurements("j")->timings.item.empty());
  EXPECT_EQ(this->store_->ReadMeasurements("j")->variants.at(plan.chunks[0].variant).failure, "it kills workers");
  EXPECT_EQ(this->store_->ReadMeasurements("j")->variants.at(1 - plan.chunks[0].variant).failure, "");
}

TYPED_TEST(StoreConformance, GivesMeasurementsAsColumns) {
  const core::PlanJob plan = this->Plan("j");
  for (const core::Chunk& chunk : plan.chunks) Complete(this->store_.get(), "j", chunk);
  const auto measured = this->store_->ReadMeasurements("j");
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_EQ(measured->timings.item.size(), 16u);  // 2 variants, 2 repeats, 4 prompts
  EXPECT_EQ(measured->generations.item.size(), 8u);
  EXPECT_EQ(measured->windows.window.size(), 14u);
  for (std::size_t i = 0; i < measured->timings.item.size(); ++i) {
    EXPECT_EQ(measured->timings.latency_ns[i], 1'000'000 + measured->timings.item[i]);
    EXPECT_EQ(measured->timings.prefill_ns[i], 2000 + measured->timings.item[i]);
    EXPECT_EQ(measured->timings.decode_ns[i], 3000 + measured->timings.item[i]);
    EXPECT_EQ(measured->timings.output_tokens[i], 5);
  }
  for (std::size_t i = 0; i < measured->windows.window.size(); ++i) {
    EXPECT_EQ(measured->windows.nll_sum[i], 5000.5 + measured->windows.window[i]);
  }
  ASSERT_EQ(measured->variants.size(), 2u);
  EXPECT_EQ(measured->variants[0].name, "fp16");
  ASSERT_TRUE(measured->variants[0].memory.has_value());
  EXPECT_EQ(measured->variants[0].memory->kv_cache_bytes, 10);
  EXPECT_TRUE(absl::IsNotFound(this->store_->ReadMeasurements("nope").status()));
}

// Situation: two processes of one worker time a chunk each.
TYPED_TEST(StoreConformance, TellsWhichProcessTimedARecord) {
  const core::PlanJob plan = this->Plan("j");
  std::map<std::string, std::set<std::int32_t>> processes;  // by session
  std::map<std::int32_t, std::string> sessions;             // by variant
  for (const core::Chunk& chunk : plan.chunks) {
    if (chunk.kind != core::ChunkKind::kTiming) continue;
    core::LeaseChunk lease = LeaseOf("j", chunk.index, 1);
    lease.session = sessions[chunk.variant] = chunk.variant == 0 ? "w1/first" : "w1/second";
    CommitAll(this->store_.get(),
              {lease, core::AppendRecords{{"j", chunk.index, 1}, 0, RowsOf(chunk)}, Accepting("j", chunk.index, 1)});
  }
  const auto measured = this->store_->ReadMeasurements("j");
  ASSERT_EQ(measured->timings.process.size(), measured->timings.variant.size());
  for (std::size_t k = 0; k < measured->timings.variant.size(); ++k) {
    processes[sessions[measured->timings.variant[k]]].insert(measured->timings.process[k]);
  }
  ASSERT_EQ(processes.size(), 2u);
  for (const auto& [session, numbers] : processes) EXPECT_EQ(numbers.size(), 1u) << session;
  EXPECT_NE(processes["w1/first"], processes["w1/second"]);
}

// Situation: the second variant is measured by two workers whose calibrations rounded differently.
TYPED_TEST(StoreConformance, KeepsAConfigurationOnceForAllAttemptsUnderIt) {
  const core::PlanJob plan = this->Plan("j");
  std::map<std::string, int> records;
  bool gpu = false;
  for (const core::Chunk& chunk : plan.chunks) {
    core::CloseAttempt close = Accepting("j", chunk.index, 1);
    const char* digest = chunk.variant == 0 ? "a" : (gpu = !gpu) ? "gpu" : "cpu";
    close.evidence.variant_digest = digest;
    close.evidence.variant_configuration = absl::StrCat("{\"of\":\"", digest, "\"}");
    CommitAll(this->store_.get(),
              {LeaseOf("j", chunk.index, 1), core::AppendRecords{{"j", chunk.index, 1}, 0, RowsOf(chunk)}, close});
    records[digest] += chunk.count;
  }
  const auto measured = this->store_->ReadMeasurements("j");
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_THAT(measured->variants[0].configurations, ElementsAre(core::Configuration{"a", "{\"of\":\"a\"}"}));
  EXPECT_THAT(measured->variants[1].configurations, ElementsAre(core::Configuration{"cpu", "{\"of\":\"cpu\"}"},
                                                                core::Configuration{"gpu", "{\"of\":\"gpu\"}"}));
  const auto page = this->store_->ReadRecords("j", {}, {}, 1000);
  ASSERT_TRUE(page.ok());
  for (const StoredRecord& record : page->records) --records[record.variant_digest];
  EXPECT_THAT(records, testing::Each(testing::Pair(testing::_, 0)));
}

TYPED_TEST(StoreConformance, KeepsNoConfigurationOfAnAttemptThatIsRunAgain) {
  this->Plan("j");
  core::CloseAttempt tainted = Accepting("j", 0, 1);
  tainted.outcome = core::Outcome::kTainted;
  tainted.next = core::ChunkState::kPending;
  CommitAll(this->store_.get(), {LeaseOf("j", 0, 1), tainted});
  EXPECT_TRUE(this->store_->ReadMeasurements("j")->variants[0].configurations.empty());
}

TYPED_TEST(StoreConformance, GivesEvidenceWithTheFirstRecordOfAnAttempt) {
  const core::PlanJob plan = this->Plan("j");
  for (const core::Chunk& chunk : plan.chunks) Complete(this->store_.get(), "j", chunk);
  RecordCursor cursor;
  std::map<std::int32_t, int> records, with_evidence;  // by chunk
  for (bool at_end = false; !at_end;) {
    const auto page = this->store_->ReadRecords("j", cursor, {}, 3);  // ends within attempts
    ASSERT_TRUE(page.ok()) << page.status();
    for (const StoredRecord& record : page->records) {
      EXPECT_EQ(record.evidence, records[record.chunk]++ == 0 ? "evidence" : "");
      with_evidence[record.chunk] += !record.evidence.empty();
    }
    cursor = page->next;
    at_end = page->at_end;
  }
  EXPECT_EQ(with_evidence.size(), plan.chunks.size());
}

// Situation: three variants in two groups.
TYPED_TEST(StoreConformance, KeepsTheGroupOfAChunk) {
  core::CreateJob create = NewJob("g");
  create.spec.variants = {"fp16", "rtn-w8", "rtn-w4"};
  core::PlanJob plan = PlanOf(create);
  plan.chunks = core::MakePlan(create.spec, create.prompt_count, plan.survey, {{0, 1}, {0, 2}});
  EXPECT_EQ(CommitAll(this->store_.get(), {create, plan}), std::vector<Applied>(2, Applied::kYes));
  const core::Chunk& last = plan.chunks.back();
  ASSERT_EQ(last.group, 1);
  const core::Snapshot snapshot = *this->store_->LoadSnapshot();
  EXPECT_EQ(snapshot.jobs.back().chunks.back().group, 1);
  Complete(this->store_.get(), "g", last);
  EXPECT_EQ(this->store_->ReadMeasurements("g")->timings.group, std::vector<std::int32_t>(2, 1));
  EXPECT_EQ(this->store_->ReadRecords("g", {}, {}, 1)->records[0].group, 1);
  EXPECT_EQ(this->store_->ReadMeasurements("g")->attempts.at(0).group, 1);
}

TYPED_TEST(StoreConformance, KeepsALikelihoodThatIsNotANumber) {
  const core::PlanJob plan = this->Plan("j");
  core::Chunk window;
  for (const core::Chunk& chunk : plan.chunks) {
    if (chunk.kind == core::ChunkKind::kPerplexity) window = chunk;
  }
  std::vector<core::RecordRow> rows = RowsOf(window);
  rows[0].nll_sum = std::numeric_limits<double>::quiet_NaN();
  rows[1].nll_sum = std::numeric_limits<double>::infinity();
  CommitAll(this->store_.get(), {LeaseOf("j", window.index, 1), core::AppendRecords{{"j", window.index, 1}, 0, rows},
                                 Accepting("j", window.index, 1)});
  const auto measured = this->store_->ReadMeasurements("j");
  ASSERT_TRUE(measured.ok()) << measured.status();
  EXPECT_TRUE(std::isnan(measured->windows.nll_sum[0]));
  EXPECT_TRUE(std::isinf(measured->windows.nll_sum[1]));
}

TYPED_TEST(StoreConformance, CountsFlaggedChunksOfEachVariant) {
  const core::PlanJob plan = this->Plan("j");
  core::CloseAttempt close = Accepting("j", 1, 1);
  close.flagged = true;
  CommitAll(this->store_.get(),
            {LeaseOf("j", 1, 1), core::AppendRecords{{"j", 1, 1}, 0, RowsOf(plan.chunks[1])}, close});
  const auto measured = this->store_->ReadMeasurements("j");
  EXPECT_EQ(measured->variants[0].tainted_chunks, 0);
  EXPECT_EQ(measured->variants[1].tainted_chunks, 1);
  EXPECT_TRUE(this->store_->ReadRecords("j", {}, {}, 10)->records[0].tainted);
}

// --- The order of the items, and device time

// A job of four prompts and seven windows in a random order.
core::CreateJob ShuffledJob(const core::JobId& id) {
  core::CreateJob create = NewJob(id);
  create.spec.shuffled = true;
  return create;
}

TYPED_TEST(StoreConformance, TellsTheOrderOfAJobsItems) {
  const core::CreateJob create = ShuffledJob("j");
  const core::PlanJob plan = PlanOf(create);
  ASSERT_TRUE(CommitOne(this->store_.get(), create));
  ASSERT_TRUE(CommitOne(this->store_.get(), plan));
  this->Plan("k");
  const core::ItemOrder order(create.spec, {.prompts = 4, .windows = 7});
  EXPECT_TRUE(this->store_->LoadSnapshot()->jobs.at(0).spec.shuffled);
  EXPECT_EQ(this->store_->ReadMeasurements("j")->prompt_places, order.prompt_places());
  EXPECT_EQ(this->store_->ReadMeasurements("j")->window_places, order.window_places());
  EXPECT_TRUE(this->store_->ReadMeasurements("k")->prompt_places.empty());
}

// Situation: prompt 3 of fp16 was given up; it stands first in the order.
TYPED_TEST(StoreConformance, KeepsTheItemOfAQuarantinedRecordWhateverItsPlace) {
  this->Plan("j");
  core::CloseAttempt close = Accepting("j", 0, 1);
  close.outcome = core::Outcome::kQuarantined;
  close.next = core::ChunkState::kQuarantined;
  close.item = 3;
  CommitAll(this->store_.get(), {LeaseOf("j", 0, 1), close});
  EXPECT_EQ(this->store_->ReadRecords("j", {}, {}, 10)->records.at(0).item, 3);
  EXPECT_EQ(this->store_->LoadSnapshot()->jobs.at(0).baseline_lengths,
            (std::vector<std::pair<std::int32_t, std::int32_t>>{{3, -1}}));
}

TYPED_TEST(StoreConformance, TellsTheTokensOfAnAttemptsFirstRecordWhateverItsItem) {
  const core::PlanJob plan = this->Plan("j");
  for (const core::Chunk& chunk : plan.chunks) {
    if (chunk.kind != core::ChunkKind::kTiming) continue;
    std::vector<core::RecordRow> rows = RowsOf(chunk);
    std::reverse(rows.begin(), rows.end());
    rows.front().output_tokens = 77;
    CommitAll(this->store_.get(), {LeaseOf("j", chunk.index, 1), core::AppendRecords{{"j", chunk.index, 1}, 0, rows},
                                   Accepting("j", chunk.index, 1)});
    break;
  }
  EXPECT_EQ(this->store_->ReadMeasurements("j")->attempts.at(0).first_output_tokens, 77);
}

// Situation: fp16's chunks took 2 s each, of the other variant one took 1 s; then that one was stopped.
TYPED_TEST(StoreConformance, TellsTheDeviceTimeOfAJobInRounds) {
  core::CreateJob create = ShuffledJob("j");
  create.spec.allocation = {0.95, "balanced", 0};
  create.spec.quality.text_set = "";
  const core::PlanJob plan = PlanOf(create);
  ASSERT_TRUE(CommitOne(this->store_.get(), create));
  ASSERT_TRUE(CommitOne(this->store_.get(), plan));
  EXPECT_FALSE(this->store_->GetJob("j")->device_time.has_value());
  std::set<core::ChunkKind> done;
  for (const core::Chunk& chunk : plan.chunks) {
    if (chunk.variant == 1 && !done.insert(chunk.kind).second) continue;
    core::CloseAttempt close = Accepting("j", chunk.index, 1);
    close.evidence.wall_ns = chunk.variant == 0 ? 2'000'000'000 : 1'000'000'000;
    CommitAll(this->store_.get(),
              {LeaseOf("j", chunk.index, 1), core::AppendRecords{{"j", chunk.index, 1}, 0, RowsOf(chunk)}, close});
  }
  // Two blocks: two chunks of generations and four of timings for each.
  const auto before = this->store_->GetJob("j")->device_time;
  ASSERT_TRUE(before.has_value());
  EXPECT_DOUBLE_EQ(before->measured_s, 6 * 2 + 2);
  EXPECT_DOUBLE_EQ(before->remaining_s, 4);
  EXPECT_EQ(this->store_->LoadSnapshot()->jobs.at(0).device_time_ns, 14'000'000'000);
  ASSERT_TRUE(CommitOne(this->store_.get(),
                        core::EndVariant{"j", 1, core::VariantState::kStopped, "another is surely better"}));
  const auto after = this->store_->GetJob("j")->device_time;
  EXPECT_DOUBLE_EQ(after->remaining_s, 0);
  EXPECT_DOUBLE_EQ(after->SavedShare(), 4.0 / 18);
}

TYPED_TEST(StoreConformance, TakesSummariesOfTheWindowsAtTheChunksPlaces) {
  core::CreateJob create = ShuffledJob("j");
  create.spec.quality.divergence = true;
  core::PlanJob plan = PlanOf(create);
  plan.chunks = core::MakePlan(create.spec, create.prompt_count, plan.survey, {{0, 1}}, {false, true});
  ASSERT_TRUE(CommitOne(this->store_.get(), create));
  ASSERT_TRUE(CommitOne(this->store_.get(), plan));
  const auto chunk = std::find_if(plan.chunks.begin(), plan.chunks.end(),
                                  [](const core::Chunk& c) { return c.kind == core::ChunkKind::kSummary; });
  ASSERT_NE(chunk, plan.chunks.end());
  ASSERT_TRUE(CommitOne(this->store_.get(), LeaseOf("j", chunk->index, 1)));
  const std::vector<std::int32_t> windows = core::ItemOrder(create.spec, {.windows = 7}).ItemsOf(*chunk);
  for (std::int32_t window = 0; window < 7; ++window) {
    const absl::Status put =
        this->store_->PutSummary({{"j", chunk->index, 1}, "w1", window, chunk->summary_k, "digest"}, "x", 1 << 20);
    EXPECT_EQ(put.ok(), std::count(windows.begin(), windows.end(), window) > 0) << window;
  }
}

// --- Agreement

// Its records are given back whole, those of accepted attempts alone.
TYPED_TEST(StoreConformance, GivesBackRecordsOfAgreement) {
  Store* const store = this->store_.get();
  core::CreateJob create = NewJob("j");
  create.spec.agreement = {3, 16, {8, 32}};
  const core::PlanJob plan = PlanOf(create);
  ASSERT_TRUE(CommitOne(store, create));
  ASSERT_TRUE(CommitOne(store, plan));
  EXPECT_EQ(store->GetJob("j")->spec.agreement, create.spec.agreement);
  bool first = true;
  for (const core::Chunk& chunk : plan.chunks) {
    if (chunk.kind != core::ChunkKind::kAgreement) continue;
    std::vector<core::RecordRow> rows = RowsOf(chunk);
    for (core::RecordRow& row : rows) row.body = core::RecordBody::kAgreement;
    if (!first) {
      ASSERT_TRUE(CommitOne(store, LeaseOf("j", chunk.index, 1)));
      ASSERT_TRUE(CommitOne(store, core::AppendRecords{{"j", chunk.index, 1}, 0, rows}));
      continue;
    }
    first = false;
    CommitAll(store, {LeaseOf("j", chunk.index, 1), core::AppendRecords{{"j", chunk.index, 1}, 0, rows},
                      Accepting("j", chunk.index, 1)});
  }
  const auto measured = store->ReadMeasurements("j");
  ASSERT_TRUE(measured.ok()) << measured.status();
  ASSERT_EQ(measured->agreements.size(), 3u);
  EXPECT_EQ(measured->agreements[2].variant, 0);
  EXPECT_EQ(measured->agreements[2].item, 2);
  EXPECT_EQ(measured->agreements[2].blob, TimingRow(2, 0).blob);
  EXPECT_TRUE(measured->timings.variant.empty());
}

// --- Summaries

// The first summary chunk of a job whose comparisons are streamed.
core::Chunk StreamedJob(Store* store, const core::JobId& id) {
  core::CreateJob create = NewJob(id);
  create.spec.quality.divergence = true;
  create.spec.quality.divergence_mode = core::DivergenceMode::kStreamed;
  core::PlanJob plan = PlanOf(create);
  plan.chunks = core::MakePlan(create.spec, create.prompt_count, plan.survey, {{0, 1}}, {false, true});
  EXPECT_TRUE(CommitOne(store, create));
  EXPECT_TRUE(CommitOne(store, plan));
  for (const core::Chunk& chunk : plan.chunks) {
    if (chunk.kind == core::ChunkKind::kSummary) return chunk;
  }
  ADD_FAILURE() << "no summary is planned";
  return {};
}

SummaryUpload UploadOf(const core::JobId& job, const core::Chunk& chunk, std::int64_t epoch = 1) {
  return {{job, chunk.index, epoch}, "w1", chunk.first, chunk.summary_k, "digest"};
}

constexpr std::int64_t kPlenty = 1 << 30;

std::string ReadAll(Store* store, const SummaryKey& key) {
  const auto info = store->FindSummary(key);
  std::string bytes;
  for (std::int32_t piece = 0; info.ok() && piece < info->pieces; ++piece) {
    const auto read = store->ReadSummaryPiece(key, piece);
    EXPECT_TRUE(read.ok()) << read.status();
    EXPECT_LT(read->size(), 1u << 20);
    bytes += *read;
  }
  return bytes;
}

TYPED_TEST(StoreConformance, GivesBackASummaryPieceByPiece) {
  const core::Chunk chunk = StreamedJob(this->store_.get(), "j");
  ASSERT_TRUE(CommitOne(this->store_.get(), LeaseOf("j", chunk.index, 1)));
  std::string bytes(1'500'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 >> 3);
  const SummaryKey key = {"j", chunk.first, chunk.summary_k};
  // Once more, and other bytes, as a worker does that lost the answer.
  ASSERT_TRUE(this->store_->PutSummary(UploadOf("j", chunk), "before", kPlenty).ok());
  ASSERT_TRUE(this->store_->PutSummary(UploadOf("j", chunk), bytes, kPlenty).ok());
  EXPECT_EQ(this->store_->FindSummary(key)->bytes, 1'500'000);
  EXPECT_EQ(this->store_->FindSummary(key)->digest, "digest");
  EXPECT_TRUE(ReadAll(this->store_.get(), key) == bytes);
  EXPECT_TRUE(absl::IsNotFound(this->store_->FindSummary({"j", chunk.first + 1, chunk.summary_k}).status()));
  EXPECT_TRUE(absl::IsNotFound(this->store_->FindSummary({"j", chunk.first, 10}).status()));
  EXPECT_TRUE(absl::IsNotFound(this->store_->FindSummary({"k", chunk.first, chunk.summary_k}).status()));
}

// Situation: the chunk was leased twice, and the first worker goes on.
TYPED_TEST(StoreConformance, TakesASummaryOnlyUnderTheChunksLatestEpoch) {
  const core::Chunk chunk = StreamedJob(this->store_.get(), "j");
  Store* const store = this->store_.get();
  EXPECT_TRUE(absl::IsAborted(store->PutSummary(UploadOf("j", chunk), "x", kPlenty))) << "nobody holds it";
  core::CloseAttempt expired = Accepting("j", chunk.index, 1);
  expired.outcome = core::Outcome::kExpired;
  expired.next = core::ChunkState::kPending;
  CommitAll(store, {LeaseOf("j", chunk.index, 1), expired, LeaseOf("j", chunk.index, 2)});
  EXPECT_TRUE(absl::IsAborted(store->PutSummary(UploadOf("j", chunk, 1), "x", kPlenty)));
  SummaryUpload other = UploadOf("j", chunk, 2);
  other.worker = "w2";
  EXPECT_TRUE(absl::IsAborted(store->PutSummary(other, "x", kPlenty)));
  other = UploadOf("j", chunk, 2);
  other.window = chunk.first + chunk.count;
  EXPECT_TRUE(absl::IsAborted(store->PutSummary(other, "x", kPlenty)));
  other = UploadOf("j", chunk, 2);
  ++other.summary_k;
  EXPECT_TRUE(absl::IsAborted(store->PutSummary(other, "x", kPlenty)));
  EXPECT_TRUE(store->PutSummary(UploadOf("j", chunk, 2), "x", kPlenty).ok());
}

TYPED_TEST(StoreConformance, LimitsTheSummariesOfAJob) {
  const core::Chunk chunk = StreamedJob(this->store_.get(), "j");
  ASSERT_TRUE(CommitOne(this->store_.get(), LeaseOf("j", chunk.index, 1)));
  SummaryUpload next = UploadOf("j", chunk);
  ++next.window;
  ASSERT_TRUE(this->store_->PutSummary(UploadOf("j", chunk), std::string(60, 'a'), 100).ok());
  const absl::Status full = this->store_->PutSummary(next, std::string(41, 'b'), 100);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_THAT(std::string(full.message()), HasSubstr("would take 101 bytes, expected at most 100"));
  EXPECT_TRUE(this->store_->PutSummary(UploadOf("j", chunk), std::string(100, 'c'), 100).ok()) << "in its own place";
  EXPECT_EQ(ReadAll(this->store_.get(), {"j", chunk.first, chunk.summary_k}), std::string(100, 'c'));
}

TYPED_TEST(StoreConformance, ForgetsSummariesWithTheirJob) {
  for (const core::JobState end : {core::JobState::kSucceeded, core::JobState::kCancelled, core::JobState::kFailed}) {
    const core::JobId id = absl::StrCat("j", static_cast<int>(end));
    const core::Chunk chunk = StreamedJob(this->store_.get(), id);
    ASSERT_TRUE(CommitOne(this->store_.get(), LeaseOf(id, chunk.index, 1)));
    ASSERT_TRUE(this->store_->PutSummary(UploadOf(id, chunk), "x", kPlenty).ok());
    ASSERT_TRUE(CommitOne(this->store_.get(), core::SetJobState{id, end, 1, "", ""}));
    EXPECT_TRUE(absl::IsNotFound(this->store_->FindSummary({id, chunk.first, chunk.summary_k}).status()));
    EXPECT_TRUE(absl::IsNotFound(this->store_->ReadSummaryPiece({id, chunk.first, chunk.summary_k}, 0).status()));
    EXPECT_TRUE(absl::IsAborted(this->store_->PutSummary(UploadOf(id, chunk), "x", kPlenty)));
  }
}

// --- Prompt sets and profiles

TYPED_TEST(StoreConformance, StoresAPromptSetOnceUnderItsDigest) {
  PromptSetInfo info;
  info.digest = "abc";
  info.display_name = "demo";
  info.create_wall_ns = 5;
  info.sources = std::string("s\0t", 3);
  const std::vector<PromptItem> items = {{"1", "math", "x"}, {"2", "chat", std::string("y\0z", 3)}, {"3", "math", ""}};
  const auto stored = this->store_->PutPromptSet(info, items);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->prompt_count, 3);
  EXPECT_EQ(stored->size_bytes, 4);
  EXPECT_THAT(stored->categories, ElementsAre(CategoryCount{"chat", 1}, CategoryCount{"math", 2}));
  EXPECT_EQ(this->store_->GetPromptSet("abc")->sources, info.sources);
  info.display_name = "again";
  EXPECT_EQ(this->store_->PutPromptSet(info, items)->display_name, "demo");
  const auto read = this->store_->ReadPrompts("abc", 1, 10);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ(read->at(0).blob, std::string("y\0z", 3));
  EXPECT_TRUE(absl::IsNotFound(this->store_->ReadPrompts("nope", 0, 1).status()));
  EXPECT_TRUE(absl::IsNotFound(this->store_->GetPromptSet("nope").status()));
  EXPECT_EQ(this->store_->ListPromptSets(0, 10)->sets.size(), 1u);
}

TYPED_TEST(StoreConformance, ListsPromptSetsNewestFirstInPages) {
  for (const char* digest : {"a", "b", "c"}) {
    PromptSetInfo info;
    info.digest = digest;
    ASSERT_TRUE(this->store_->PutPromptSet(info, {{"1", "", "x"}}).ok());
  }
  const auto first = this->store_->ListPromptSets(0, 2);
  ASSERT_EQ(first->sets.size(), 2u);
  EXPECT_EQ(first->sets[0].digest, "c");
  const auto second = this->store_->ListPromptSets(first->next, 2);
  ASSERT_EQ(second->sets.size(), 1u);
  EXPECT_EQ(second->sets[0].digest, "a");
  EXPECT_EQ(second->next, 0);
}

TYPED_TEST(StoreConformance, CreatesListsAndDeletesProfiles) {
  Store* store = this->store_.get();
  ASSERT_TRUE(store->CreateProfile({"b", "two"}).ok());
  ASSERT_TRUE(store->CreateProfile({"a", std::string("\0one", 4)}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store->CreateProfile({"a", "other"})));
  EXPECT_EQ(store->GetProfile("a")->blob, std::string("\0one", 4));
  EXPECT_EQ(store->ListProfiles("", 10)->size(), 2u);
  EXPECT_EQ(store->ListProfiles("a", 10)->at(0).name, "b");
  ASSERT_TRUE(store->DeleteProfile("a").ok());
  EXPECT_TRUE(absl::IsNotFound(store->DeleteProfile("a")));
  EXPECT_TRUE(absl::IsNotFound(store->GetProfile("a").status()));
}

}  // namespace
}  // namespace uaqf::store
