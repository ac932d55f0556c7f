// The words every part of the coordinator shares: time, names, enums and the job's specification.
//
// This box knows no protobuf: the structs mirror uaqf.v1, enums carry the same numbers, and server/rpc converts.
// Names are bare: a job is "k7f2m9", not "jobs/k7f2m9"; a worker "w1"; a prompt set its hexadecimal digest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace uaqf::core {

// A moment as the coordinator's loop saw it. Decisions use `mono_ns` alone; `wall_ns` (since 1970, UTC) only labels
// what people read, so a stepped wall clock changes no decision.
struct Instant {
  std::int64_t mono_ns = 0;
  std::int64_t wall_ns = 0;
};

using JobId = std::string;
using WorkerId = std::string;

// The variant that others are compared with, and whose natural output lengths MATCHED timing uses.
inline constexpr char kBaselineVariant[] = "fp16";
// The baseline once more, hosted by itself: what it differs from the baseline is the noise floor (A/A). It is timed,
// but its quality is the baseline's. Stands behind all others in JobSpec::variants, and only beside the baseline. No
// user can ask for it: '#' is in no name of a variant (wire::IsVariantName). NAME#N is one more hosting of NAME
// everywhere.
inline constexpr char kBaselineTwin[] = "fp16#2";

enum class OutputLength : std::int32_t { kMatched = 1, kFixed = 2, kNatural = 3 };

enum class ChunkKind : std::int32_t {
  kTiming = 1,
  kGeneration = 2,
  kPerplexity = 3,
  kTask = 4,
  kDivergence = 5,
  kArticle = 6,
  kSummary = 7,
  kTraffic = 8,
  kAgreement = 9
};

// Whether the items of such a chunk are windows of the text.
inline bool OverWindows(ChunkKind kind) {
  return kind == ChunkKind::kPerplexity || kind == ChunkKind::kDivergence || kind == ChunkKind::kSummary;
}
// Whether they are prompts or tasks of a set, which have ids.
inline bool OverPrompts(ChunkKind kind) {
  return !OverWindows(kind) && kind != ChunkKind::kArticle && kind != ChunkKind::kTraffic;
}
// Whether such a chunk is there to be timed: alone on its device, and run again where something disturbed it.
inline bool IsTimed(ChunkKind kind) { return kind == ChunkKind::kTiming || kind == ChunkKind::kTraffic; }

// QUEUED -> RUNNING -> one of the three ends.
enum class JobState : std::int32_t { kQueued = 1, kRunning = 2, kSucceeded = 3, kCancelled = 4, kFailed = 5 };

inline bool Ended(JobState state) { return state >= JobState::kSucceeded; }

// kStopped: it need not be measured further; VariantStatus says why.
enum class VariantState : std::int32_t { kPending = 1, kLoading = 2, kReady = 3, kDone = 4, kFailed = 5, kStopped = 6 };

// As JobSpec of job.proto, every default filled in.
struct TimingSpec {
  std::int32_t repeats = 3;
  std::int32_t input_tokens = 0;
  std::int32_t max_output_tokens = 512;
  OutputLength output_length = OutputLength::kMatched;
  std::int32_t block_prompts = 8;
  std::int32_t warmup_generations = 1;
  bool chat = false;
  bool clear_cache = true;

  friend bool operator==(const TimingSpec&, const TimingSpec&) = default;
};

// How FP16 and a variant are compared; see divergence.h.
enum class DivergenceMode : std::int32_t { kAuto = 1, kExact = 2, kStreamed = 3 };

struct QualitySpec {
  std::string text_set;  // digest; empty: no quality
  std::int32_t context_tokens = 2048;
  std::int32_t max_windows = 0;     // 0: all
  std::string task_set = {};        // digest; empty: no tasks
  std::int32_t max_task_items = 0;  // 0: all
  bool divergence = false;          // from FP16, on the windows of the text
  std::string article_set = {};     // digest; empty: no articles
  std::int32_t max_articles = 0;    // 0: all
  DivergenceMode divergence_mode = DivergenceMode::kAuto;

  friend bool operator==(const QualitySpec&, const QualitySpec&) = default;
};

// When a job ends before everything is measured. It then goes in rounds (plan.h), so that all have measured the same,
// in a random order (item_order.h), so that the first stand for all.
struct AllocationSpec {
  // Ends when what is best is known with this probability; variants that are surely worse are stopped before. 0: all
  // are measured to the end.
  double until_decided = 0;
  std::string profile = {};         // by which, "balanced"
  std::int64_t device_time_ns = 0;  // ends when its chunks took so long; 0: no limit

  bool InRounds() const { return until_decided > 0 || device_time_ns > 0; }
  friend bool operator==(const AllocationSpec&, const AllocationSpec&) = default;
};

inline constexpr std::int32_t kMostBatch = 32;
inline constexpr std::int32_t kMostTrafficCells = 64;

// Batches to time at every combination of a size, an input and an output length. Each list ascends without repeats; all
// are empty, or none.
struct TrafficGrid {
  std::vector<std::int32_t> batches = {};
  std::vector<std::int32_t> input_tokens = {};
  std::vector<std::int32_t> output_tokens = {};
  std::int32_t draws = 0;  // batches timed at each combination, of other prompts each

  bool Empty() const { return batches.empty(); }
  // Combinations.
  std::int32_t Count() const {
    return static_cast<std::int32_t>(batches.size() * input_tokens.size() * output_tokens.size());
  }
  friend bool operator==(const TrafficGrid&, const TrafficGrid&) = default;
};

// One batch of a grid.
struct TrafficCell {
  std::int32_t batch = 0;
  std::int32_t input_tokens = 0;
  std::int32_t output_tokens = 0;
  std::int32_t first_prompt = 0;  // its prompts: so many from here on, from the first again behind the last
};
// Whether outputs are the same again: of prompts alone, twice, and within batches.
struct AgreementSpec {
  std::int32_t prompts = 0;        // from the start of the set; 0: not measured
  std::int32_t output_tokens = 0;  // of an output at most
  std::vector<std::int32_t> batch_sizes = {};

  friend bool operator==(const AgreementSpec&, const AgreementSpec&) = default;
};

// Most tokens of an output that agreement is told of: all of them are kept.
inline constexpr std::int32_t kMostAgreementTokens = 256;

struct JobSpec {
  std::string model;
  std::vector<std::string> variants;
  std::string prompt_set;  // digest
  TimingSpec timing;
  QualitySpec quality;
  std::uint64_t seed = 0;
  std::int64_t lease_ns = 30'000'000'000;
  std::int32_t attempt_limit = 5;
  AllocationSpec allocation = {};
  TrafficGrid grid = {};
  AgreementSpec agreement = {};
  bool shuffled = false;  // items in a random order by `seed`: item_order.h

  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

// What a worker found by running the job's inputs through the model's tokenizer.
struct Survey {
  std::int32_t longest_input_tokens = 0;
  std::int64_t text_tokens = 0;
  std::int32_t text_windows = 0;
  std::string error = {};                // why the job cannot run with this model; else empty
  std::string release_format = {};       // ModelInfo::release_format of the model, at that time
  std::int32_t task_items = 0;           // in the task set
  std::int32_t longest_task_tokens = 0;  // of input and output together
  std::int32_t articles = 0;             // in the article set
  std::int64_t parameters = 0;           // ModelInfo::parameters of the model, at that time; 0: not known

  friend bool operator==(const Survey&, const Survey&) = default;
};

const char* Name(ChunkKind kind);      // "timing"
const char* Name(JobState state);      // "running"
const char* Name(VariantState state);  // "loading"

}  // namespace uaqf::core
