// Runs one leased chunk by the protocol of METHODS 1: clear the caches, warm up, then item by item.
//
//   sink.Ready() | lock | measure | unlock | sink.Add(result) | sink.Ready() | ...
//
// Whatever is to be sent or written goes in Ready: nothing is between Ready and Add.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/measure/clock.h"
#include "worker/measure/device_lock.h"
#include "worker/measure/device_monitor.h"
#include "worker/measure/evaluator.h"
#include "worker/measure/types.h"

namespace uaqf::measure {

enum class ChunkKind { kTiming, kGeneration, kPerplexity, kTask, kDivergence, kArticle, kSummary, kTraffic };

// Where FP16's summaries of the chunk's windows go, and come from. Between items, never beside a timed one.
class SummaryExchange {
 public:
  virtual ~SummaryExchange() = default;
  // Hands one over, and returns its SHA-256, hex, once it is stored. ABORTED: the attempt is not wanted any more.
  // RESOURCE_EXHAUSTED: nobody keeps so much.
  [[nodiscard]] virtual absl::StatusOr<std::string> Put(int32_t window, const std::string& bytes) = 0;
  // NOT_FOUND: there is none.
  [[nodiscard]] virtual absl::StatusOr<std::string> Get(int32_t window) = 0;
};

// What to run.
struct Chunk {
  ChunkKind kind = ChunkKind::kTiming;
  int32_t repeat = 0;
  // Items [first_item, first_item + item_count) of `items`, or windows or articles of the text they make; of kTraffic
  // the numbers of `cells`, whose prompts are among `items`.
  int32_t first_item = 0;
  int32_t item_count = 0;
  // Borrowed for the run.
  const PromptSet* items = nullptr;
  // How to generate; `output_tokens`, `prose_seed` and `repeat` are set for each item.
  GenerationRequest generation;
  // Tokens to emit for each item; empty: natural length.
  std::vector<int32_t> output_tokens;
  // Seed of the job.
  uint64_t seed = 0;
  int32_t warmup_generations = 1;
  bool clear_cache = true;
  int32_t context_tokens = 0;
  // Of kSummary: tokens of each position; of kDivergence: those of the summaries, 0: exact. Above 0 `summaries`,
  // borrowed for the run, is set.
  int32_t summary_k = 0;
  SummaryExchange* summaries = nullptr;
  // Of kTraffic: one for each item.
  std::vector<TrafficCell> cells = {};
};

// Where results go, and who may stop the run. Called from the measuring thread only.
class ChunkSink {
 public:
  virtual ~ChunkSink() = default;
  // Before every item, outside of measured regions: may send, wait, or end the run by an error.
  [[nodiscard]] virtual absl::Status Ready() = 0;
  // Keeps the result; sends nothing.
  virtual void Add(ItemResult result) = 0;
};

// What the runs of a worker share; all borrowed.
struct ChunkDevice {
  Evaluator* evaluator = nullptr;
  DeviceMonitor* monitor = nullptr;
  DeviceLock* lock = nullptr;
  Clock* clock = nullptr;
  // How long an item waits for the device's lock file before it is measured without it, and the chunk tainted.
  absl::Duration lock_patience = absl::Seconds(2);
};

// Runs the chunk and returns how the device was used meanwhile. Errors are the sink's, or name the item:
// INVALID_ARGUMENT (an item outside of the set, an input that the model refuses), CANCELLED.
[[nodiscard]] absl::StatusOr<DeviceUse> RunChunk(const Chunk& chunk, const ChunkDevice& device, ChunkSink& sink);

}  // namespace uaqf::measure
