// Opens a store on scratch files, and short ways to fill one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/plan.h"
#include "server/store/sqlite_store.h"
#include "tests/support/test_data.h"

namespace uaqf::store {

inline std::unique_ptr<Store> OpenOrDie(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  auto store = OpenSqliteStore(options);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

inline core::JobSpec SmallSpec() {
  core::JobSpec spec;
  spec.model = "m";
  spec.variants = {"fp16", "rtn-w4"};
  spec.prompt_set = "p";
  spec.timing.repeats = 2;
  spec.timing.block_prompts = 2;
  spec.seed = 18446744073709551615u;
  spec.quality.text_set = "t";
  return spec;
}

inline core::CreateJob NewJob(const core::JobId& id, const std::string& request = "") {
  core::CreateJob create;
  create.id = id;
  create.spec = SmallSpec();
  create.prompt_count = 4;
  create.request = {"me", request.empty() ? "request-" + id : request, "digest"};
  create.wall_ns = 1'700'000'000'000'000'000;
  return create;
}

inline core::PlanJob PlanOf(const core::CreateJob& create) {
  core::Survey survey{12, 100, 7, "", "Q4_1"};
  survey.parameters = 7'000'000'000;
  return {create.id, survey, core::MakePlan(create.spec, create.prompt_count, survey)};
}

inline core::RecordRow TimingRow(std::int32_t item, std::int32_t repeat) {
  core::RecordRow row;
  row.item = item;
  row.repeat = repeat;
  row.input_tokens = 10 + item;
  row.output_tokens = 5;
  row.latency_ns = 1'000'000 + item;
  row.tokenize_ns = 1;
  row.prefill_ns = 2000 + item;
  row.decode_ns = 3000 + item;
  row.detokenize_ns = 4;
  row.blob = absl::StrCat("record ", item, " ", repeat, std::string("\0\xff", 2));
  return row;
}

inline std::vector<core::RecordRow> RowsOf(const core::Chunk& chunk) {
  std::vector<core::RecordRow> rows;
  for (std::int32_t item = chunk.first; item < chunk.first + chunk.count; ++item) {
    core::RecordRow row = TimingRow(item, chunk.repeat);
    if (chunk.kind != core::ChunkKind::kTiming) row.latency_ns = row.prefill_ns = row.decode_ns = 0;
    if (chunk.kind == core::ChunkKind::kGeneration) row.body = core::RecordBody::kGeneration;
    if (chunk.kind == core::ChunkKind::kPerplexity) {
      row.body = core::RecordBody::kWindow;
      row.scored_tokens = 2047;
      row.nll_sum = 5000.5 + item;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

inline core::LeaseChunk LeaseOf(const core::JobId& job, std::int32_t chunk, std::int64_t epoch) {
  return {{job, chunk, epoch}, "w1", "w1/0", "d0"};
}

inline core::CloseAttempt Accepting(const core::JobId& job, std::int32_t chunk, std::int64_t epoch) {
  core::CloseAttempt close;
  close.attempt = {job, chunk, epoch};
  close.evidence.memory = {100, 80, 10, 5, 200};
  close.evidence.blob = "evidence";
  close.evidence.variant_digest = "digest";
  close.evidence.variant_configuration = "{}";
  return close;
}

inline std::vector<Applied> CommitAll(Store* store, const std::vector<core::Mutation>& mutations) {
  const auto results = store->Commit(mutations);
  EXPECT_TRUE(results.ok()) << results.status();
  std::vector<Applied> applied;
  if (results.ok()) {
    for (const MutationResult& result : *results) applied.push_back(result.applied);
  }
  return applied;
}

inline bool CommitOne(Store* store, const core::Mutation& mutation) {
  return CommitAll(store, {mutation}) == std::vector<Applied>{Applied::kYes};
}

// Leases, fills and accepts one chunk.
inline void Complete(Store* store, const core::JobId& job, const core::Chunk& chunk) {
  const std::vector<Applied> applied =
      CommitAll(store, {LeaseOf(job, chunk.index, 1), core::AppendRecords{{job, chunk.index, 1}, 0, RowsOf(chunk)},
                        Accepting(job, chunk.index, 1)});
  EXPECT_EQ(applied, std::vector<Applied>(3, Applied::kYes));
}

}  // namespace uaqf::store
