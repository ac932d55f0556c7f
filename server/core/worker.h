// What a worker reports and what the coordinator wants of it: the plain halves of WorkerService.Session.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/core/chunk.h"
#include "server/core/progress.h"
#include "server/core/types.h"

namespace uaqf::core {

// As Device of record.proto. Equal `id` means the same contended hardware.
struct Device {
  std::string id;
  std::string name;
  std::string backend;
  std::int32_t threads = 0;
  std::string isa;
  std::string driver;
  std::string cuda;
  std::int64_t memory_bytes = 0;  // that hosted variants share; 0: not known
};

struct VariantInfo {
  std::string variant;
  std::string description;
  bool fits = false;
  std::string reason;               // why it does not fit
  std::int64_t resident_bytes = 0;  // that hosting it takes beside the KV cache, estimated; 0: not known
  bool calibrated = false;
  std::int64_t kv_bytes_per_token = 0;  // 0: not known
};

// Whether a job's `variant` is that variant, by its very name, with options ("gptq-w4" is "gptq-w4:act-order=1" too) or
// hosted once more ("fp16" is "fp16#2" too). Only the worker knows which options there are; it refuses a wrong one when
// it is to host the variant.
inline bool IsVariant(const VariantInfo& known, const std::string& variant) {
  if (variant.compare(0, known.variant.size(), known.variant) != 0) return false;
  const char next = variant.size() == known.variant.size() ? ':' : variant[known.variant.size()];
  return next == ':' || next == '#';
}

struct ModelInfo {
  std::string model;
  std::string digest;
  std::string architecture;
  std::int64_t parameters = 0;
  std::int32_t context_tokens = 0;
  std::string release_format;
  std::vector<VariantInfo> variants;
};

// What a worker hosts; an empty model is nothing.
struct HostedVariant {
  std::string model;
  std::string variant;
  VariantState state = VariantState::kPending;  // kLoading, kReady or kFailed
  std::string error;
  std::int32_t max_sequence_tokens = 0;
  CalibrationProgress calibration = {};
  std::int32_t max_batch = 1;
};

struct AttemptProgress {
  AttemptId attempt;
  std::int32_t records_made = 0;
  std::string error;  // set: the attempt failed as a whole
};

struct SurveyResult {
  JobId job;
  Survey survey;
};

// One WorkerState message. `models` may be left empty after the first message of a session: then the last known
// list holds.
struct WorkerReport {
  WorkerId worker;
  std::string session;  // random per process start
  std::int64_t sequence = 0;
  Device device;
  std::string build;
  std::vector<ModelInfo> models;
  HostedVariant hosted;
  std::vector<AttemptProgress> attempts;
  std::vector<SurveyResult> surveys;
  bool draining = false;
  bool lists_items = true;  // knows leases of items that do not follow each other
};

// The right to run one chunk attempt.
struct Lease {
  AttemptId attempt;
  std::int64_t remaining_ns = 0;
  ChunkKind kind = ChunkKind::kTiming;
  std::string variant;
  std::int32_t repeat = 0;
  std::vector<std::int32_t> items;  // in the order to measure them
  // Digest of the prompts, of the tasks for kTask, of the articles for kArticle, of the text where OverWindows(kind).
  std::string prompt_set;
  TimingSpec timing;
  std::vector<std::int32_t> output_tokens;  // one per item for MATCHED and FIXED timing; empty: stop naturally
  std::int32_t context_tokens = 0;          // unless OverPrompts(kind)
  std::uint64_t seed = 0;
  std::int32_t summary_k = 0;                  // of the chunk
  std::vector<TrafficCell> cells = {};         // for kTraffic, one per item
  std::vector<std::int32_t> batch_sizes = {};  // for kAgreement: of the batches beside a prompt alone
};

struct SurveyRequest {
  JobId job;
  std::string model;
  std::string prompt_set;
  std::string text_set;
  std::int32_t context_tokens = 0;
  TimingSpec timing;
  std::string task_set = {};
  std::int32_t max_task_items = 0;
  std::vector<std::string> variants = {};
  std::string article_set = {};
  std::int32_t shortest_batch_input = 0;  // of the traffic grid, tokens; 0: none
};

// Everything the coordinator wants of one worker; replaces what it wanted before.
struct DesiredState {
  std::int64_t acknowledged_sequence = 0;
  std::string model;  // variant to host; both empty: drop what is hosted
  std::string variant;
  std::int32_t max_sequence_tokens = 0;
  std::int32_t max_batch = 1;  // sequences decoded together at most
  std::vector<Lease> leases;   // in the order to run them
  std::vector<SurveyRequest> surveys;
  bool drain = false;
  std::int64_t next_report_ns = 0;
};

// A connected worker, for people.
struct WorkerView {
  WorkerId worker;
  Device device;
  std::string build;
  HostedVariant hosted;
  JobId job;  // whose chunk it runs; empty when idle
  std::vector<ModelInfo> models;
  std::int64_t chunks_done = 0;
  std::int64_t chunks_failed = 0;
  bool draining = false;
  bool benched = false;
};

}  // namespace uaqf::core
