// A scheduler with a store in memory and a fake clock, for tests that go step by step.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/scheduler.h"
#include "tests/server/core/memory_store.h"

namespace uaqf::core {

inline constexpr std::int64_t kMs = 1'000'000;
inline constexpr std::int64_t kSecond = 1'000 * kMs;

class Rig {
 public:
  explicit Rig(SchedulerOptions options = {}) : options_(options), scheduler_(std::make_unique<Scheduler>(options)) {}

  // Two prompts a chunk, FIXED length, no text: one GENERATION and one TIMING chunk per variant for two prompts.
  static JobSpec Spec(std::vector<std::string> variants) {
    JobSpec spec;
    spec.model = "m";
    spec.variants = std::move(variants);
    spec.prompt_set = "p";
    spec.timing.repeats = 1;
    spec.timing.block_prompts = 2;
    spec.timing.max_output_tokens = 4;
    spec.timing.output_length = OutputLength::kFixed;
    spec.lease_ns = 6 * kSecond;
    spec.attempt_limit = 3;
    return spec;
  }

  void Submit(const JobId& id, const JobSpec& spec, std::int32_t prompts) {
    CreateJob create;
    create.id = id;
    create.spec = spec;
    create.prompt_count = prompts;
    const std::vector<Mutation> mutations = {create};
    ASSERT_TRUE(store_.Commit(mutations).front());
    scheduler_->AddJob(id, spec, prompts, now());
    Flush();
  }

  // A report of everything the worker is, ready with whatever it was told to host.
  WorkerReport ReportOf(const WorkerId& id, const std::string& device = "d0") {
    WorkerReport report;
    report.worker = id;
    report.session = absl::StrCat(id, "/", sessions_[id]);
    report.sequence = ++sequences_[id];
    report.device = {device, "sim", "cpu", 1, "", "", "", memory_bytes_};
    ModelInfo model;
    model.model = "m";
    model.context_tokens = 4096;
    for (const char* name : {"fp16", "rtn-w8", "rtn-w4"}) {
      model.variants.push_back({name, "", true, "", resident_bytes_});
      model.variants.back().kv_bytes_per_token = kv_bytes_per_token_;
    }
    report.models = {model};
    const DesiredState desired = scheduler_->Desired(id, now());
    if (!desired.variant.empty()) {
      report.hosted = {desired.model,    desired.variant, VariantState::kReady, "", desired.max_sequence_tokens, {},
                       desired.max_batch};
    }
    for (const Lease& lease : desired.leases) report.attempts.push_back({lease.attempt, 0, ""});
    return report;
  }

  void Report(const WorkerReport& report) {
    ASSERT_TRUE(scheduler_->OnReport(report, now()).ok());
    Flush();
  }

  // Connects a worker, answers its surveys, and goes on until it is ready with what it shall host.
  void Connect(const WorkerId& id, const std::string& device = "d0") {
    WorkerReport report = ReportOf(id, device);
    report.attempts.clear();
    Report(report);
    for (int round = 0; round < 3; ++round) {
      report = ReportOf(id, device);
      for (const SurveyRequest& survey : scheduler_->Desired(id, now()).surveys) {
        SurveyResult result;
        result.job = survey.job;
        result.survey.longest_input_tokens = 10;
        result.survey.text_windows = survey.text_set.empty() ? 0 : 7;
        result.survey.task_items = survey.task_set.empty() ? 0 : 9;
        result.survey.articles = survey.article_set.empty() ? 0 : 3;
        report.surveys.push_back(result);
      }
      Report(report);
    }
  }

  // A worker connects and answers the survey of job "j": its longest input has so many tokens.
  void AnswerSurvey(const WorkerId& id, std::int32_t longest_input_tokens = 10) {
    Report(ReportOf(id));
    WorkerReport report = ReportOf(id);
    report.surveys = {{"j", Survey{longest_input_tokens, 0, 0, ""}}};
    Report(report);
  }

  // The process ended, and another one of the same name begins.
  void Restart(const WorkerId& id, const std::string& device = "d0") {
    ++sessions_[id];
    Connect(id, device);
  }

  std::vector<Lease> Leases(const WorkerId& id) { return scheduler_->Desired(id, now()).leases; }

  // What a worker makes of one item.
  static RecordRow Row(const Lease& lease, std::int32_t item) {
    RecordRow row;
    row.item = item;
    row.repeat = lease.repeat;
    switch (lease.kind) {
      case ChunkKind::kTiming:
        row.body = RecordBody::kTiming;
        row.latency_ns = kSecond;
        row.output_tokens = lease.output_tokens.empty() ? 3 : lease.output_tokens[item - lease.first_item];
        break;
      case ChunkKind::kGeneration:
        row.body = RecordBody::kGeneration;
        row.output_tokens = 1 + item;
        break;
      case ChunkKind::kPerplexity:
        row.body = RecordBody::kWindow;
        row.scored_tokens = lease.context_tokens - 1;
        row.nll_sum = 20;
        break;
      case ChunkKind::kTask:
        row.body = RecordBody::kTask;
        row.checks = {{1, 1, 1}};
        break;
      case ChunkKind::kDivergence:
        row.body = RecordBody::kDivergence;
        row.scored_tokens = lease.context_tokens - 1;
        row.kl_sum = row.kl_upper_sum = 3;
        row.summary_k = lease.summary_k;
        break;
      case ChunkKind::kTraffic: {
        const TrafficCell& cell = lease.cells[item - lease.first_item];
        row.body = RecordBody::kTraffic;
        row.batch = cell.batch;
        row.input_tokens = cell.input_tokens;
        row.output_tokens = cell.output_tokens;
        row.latency_ns = kSecond;
        break;
      }
      case ChunkKind::kSummary:
        row.body = RecordBody::kSummary;
        row.scored_tokens = lease.context_tokens - 1;
        row.summary_k = lease.summary_k;
        break;
      case ChunkKind::kArticle:
        row.body = RecordBody::kArticle;
        row.scored_tokens = row.words = row.bytes = 5 + item;
        row.nll_sum = 20;
        break;
    }
    return row;
  }

  static RecordBatch Whole(const WorkerId& id, const Lease& lease) {
    RecordBatch batch;
    batch.worker = id;
    batch.attempt = lease.attempt;
    for (std::int32_t i = 0; i < lease.item_count; ++i) batch.records.push_back(Row(lease, lease.first_item + i));
    batch.has_end = true;
    batch.end.record_count = lease.item_count;
    return batch;
  }

  BatchReply Send(const RecordBatch& batch) {
    const BatchReply reply = scheduler_->OnBatch(batch, now());
    Flush();
    return reply;
  }

  // Completes the first lease of the worker. False when it has none.
  bool CompleteOne(const WorkerId& id) {
    const std::vector<Lease> leases = Leases(id);
    if (leases.empty()) return false;
    EXPECT_EQ(Send(Whole(id, leases.front())).verdict, Verdict::kStored);
    return true;
  }

  void Advance(std::int64_t ns) {
    now_ns_ += ns;
    scheduler_->OnTick(now());
    Flush();
  }

  // Commits what the scheduler wants, and checks the invariants.
  void Flush() {
    effects_ = scheduler_->TakeEffects(now());
    for (bool applied : store_.Commit(effects_.mutations)) EXPECT_TRUE(applied);
    for (const auto& [id, job] : store_.jobs()) {
      for (const std::string& problem : CheckInvariants(store_.Dump(id))) ADD_FAILURE() << problem;
    }
  }

  void RestartCoordinator() {
    scheduler_ = std::make_unique<Scheduler>(options_);
    scheduler_->Restore(store_.Load(), now());
    Flush();
  }

  JobState State(const JobId& id) { return store_.Dump(id).state; }
  Chunk ChunkOf(const JobId& id, std::int32_t chunk) { return store_.Dump(id).chunks.at(chunk); }
  Instant now() const { return {now_ns_, wall_ns_}; }
  Scheduler& scheduler() { return *scheduler_; }
  MemoryStore& store() { return store_; }
  const Effects& effects() const { return effects_; }
  void SetWall(std::int64_t wall_ns) { wall_ns_ = wall_ns; }
  // What devices hold, and what each hosted variant takes of it.
  void SetMemory(std::int64_t device_bytes, std::int64_t variant_bytes, std::int64_t kv_bytes_per_token = 0) {
    memory_bytes_ = device_bytes;
    resident_bytes_ = variant_bytes;
    kv_bytes_per_token_ = kv_bytes_per_token;
  }
  // Without a tick.
  void SetNow(std::int64_t now_ns) { now_ns_ = now_ns; }

 private:
  const SchedulerOptions options_;
  std::unique_ptr<Scheduler> scheduler_;
  MemoryStore store_;
  Effects effects_;
  std::map<WorkerId, int> sessions_;
  std::map<WorkerId, std::int64_t> sequences_;
  std::int64_t memory_bytes_ = 0;
  std::int64_t resident_bytes_ = 0;
  std::int64_t kv_bytes_per_token_ = 0;
  std::int64_t now_ns_ = kSecond;
  std::int64_t wall_ns_ = 1'700'000'000 * kSecond;
};

}  // namespace uaqf::core
