#include "worker/measure/chunk.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/measure/prose.h"

namespace uaqf::measure {
namespace {

// Whether its items are parts of the text that the set's pieces make, and not these pieces.
bool OverText(ChunkKind kind) {
  return kind == ChunkKind::kPerplexity || kind == ChunkKind::kDivergence || kind == ChunkKind::kArticle ||
         kind == ChunkKind::kSummary;
}

// Whether times are what it is run for: alone on its device, and warm.
bool IsTimed(ChunkKind kind) { return kind == ChunkKind::kTiming || kind == ChunkKind::kTraffic; }

absl::Status CheckCells(const Chunk& chunk) {
  if (static_cast<int32_t>(chunk.cells.size()) != chunk.item_count) {
    return absl::InvalidArgumentError(absl::StrCat("chunk has ", chunk.cells.size(), " batches to time: expected ",
                                                   chunk.item_count, ", one for each of its items"));
  }
  for (const TrafficCell& cell : chunk.cells) {
    if (cell.batch >= 1 && cell.input_tokens >= 1 && cell.output_tokens >= 1 && cell.first_prompt >= 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("batch of ", cell.batch, " with ", cell.input_tokens, " tokens in and ", cell.output_tokens,
                     " out, from prompt ", cell.first_prompt, ": expected at least 1 each, and a prompt from 0 on"));
  }
  if (chunk.items->prompts.empty()) return absl::InvalidArgumentError("a batch needs prompts, and the set has none");
  return absl::OkStatus();
}

absl::Status Check(const Chunk& chunk) {
  if (chunk.items == nullptr || chunk.item_count < 1 || chunk.first_item < 0) {
    return absl::InvalidArgumentError(absl::StrCat("chunk of ", chunk.item_count, " items from ", chunk.first_item,
                                                   ": expected at least 1 item from 0 on"));
  }
  if (chunk.kind == ChunkKind::kTraffic) return CheckCells(chunk);
  const int64_t end = int64_t{chunk.first_item} + chunk.item_count;
  if (!OverText(chunk.kind) && end > static_cast<int64_t>(chunk.items->prompts.size())) {
    return absl::InvalidArgumentError(absl::StrCat("chunk ends at item ", end, ": expected at most ",
                                                   chunk.items->prompts.size(), ", the prompts of ",
                                                   chunk.items->name));
  }
  if (!chunk.output_tokens.empty() && static_cast<int32_t>(chunk.output_tokens.size()) != chunk.item_count) {
    return absl::InvalidArgumentError(absl::StrCat("chunk has ", chunk.output_tokens.size(),
                                                   " output lengths: expected one for each of its ", chunk.item_count,
                                                   " items, or none"));
  }
  const bool exchanges = chunk.kind == ChunkKind::kSummary || chunk.summary_k > 0;
  if (exchanges && (chunk.summary_k < 1 || chunk.summaries == nullptr)) {
    return absl::InvalidArgumentError(absl::StrCat("chunk with summaries of k ", chunk.summary_k,
                                                   ": expected 1 or more, and somewhere to exchange them"));
  }
  return absl::OkStatus();
}

class Run {
 public:
  Run(const Chunk& chunk, const ChunkDevice& device, ChunkSink& sink) : chunk_(chunk), device_(device), sink_(sink) {}

  absl::StatusOr<DeviceUse> Everything() {
    if (auto status = sink_.Ready(); !status.ok()) return status;
    start_ns_ = device_.clock->NowNs();
    device_.monitor->Begin();
    if (IsTimed(chunk_.kind)) {
      if (chunk_.clear_cache) device_.monitor->ClearCaches();
      if (auto status = WarmUp(); !status.ok()) return status;
    }
    for (int32_t i = 0; i < chunk_.item_count; ++i) {
      if (auto status = sink_.Ready(); !status.ok()) return status;
      auto result = Item(i);
      if (!result.ok()) return Named(result.status(), i);
      if (i + 1 < chunk_.item_count) device_.monitor->BetweenItems();
      sink_.Add(*std::move(result));
    }
    DeviceUse use = device_.monitor->End();
    if (unlocked_items_ > 0) {
      use.taints.push_back(absl::StrCat(unlocked_items_, " of ", chunk_.item_count, " items measured while another ",
                                        "process held ", device_.lock->path()));
    }
    return use;
  }

 private:
  GenerationRequest RequestFor(int32_t i) const {
    GenerationRequest request = chunk_.generation;
    request.repeat = chunk_.repeat;
    request.prose_seed = ItemSeed(chunk_.seed, chunk_.first_item + i);
    // Prefill always chooses one token, also where the baseline had nothing to say.
    request.output_tokens =
        chunk_.output_tokens.empty() ? 0 : std::max(1, chunk_.output_tokens[static_cast<size_t>(i)]);
    return request;
  }

  // Prompts from the cell's first on, over and over where there are fewer.
  BatchRequest BatchFor(int32_t i) const {
    const TrafficCell& cell = chunk_.cells[static_cast<size_t>(i)];
    BatchRequest request;
    request.input_tokens = cell.input_tokens;
    request.output_tokens = cell.output_tokens;
    request.chat = chunk_.generation.chat;
    request.cancelled = chunk_.generation.cancelled;
    for (int32_t k = 0; k < cell.batch; ++k) {
      const int32_t place = cell.first_prompt + k;
      request.prompts.push_back(&chunk_.items->prompts[static_cast<size_t>(place) % chunk_.items->prompts.size()]);
      request.prose_seeds.push_back(ItemSeed(chunk_.seed, place));
    }
    return request;
  }

  const Prompt& PromptOf(int32_t i) const {
    return chunk_.items->prompts[static_cast<size_t>(chunk_.first_item) + static_cast<size_t>(i)];
  }

  absl::Status WarmUp() {
    for (int32_t i = 0; i < chunk_.warmup_generations; ++i) {
      if (auto status = sink_.Ready(); !status.ok()) return status;
      const Held held(*this);
      const absl::Status warm = chunk_.kind == ChunkKind::kTraffic
                                    ? device_.evaluator->TimeBatch(BatchFor(0)).status()
                                    : device_.evaluator->TimePrompt(PromptOf(0), RequestFor(0)).status();
      if (!warm.ok()) return Named(warm, 0);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<ItemResult> Item(int32_t i) {
    const Held held(*this);
    if (!held.locked) ++unlocked_items_;
    ItemResult result{chunk_.first_item + i, chunk_.repeat, {}};
    switch (chunk_.kind) {
      case ChunkKind::kTiming: {
        const int64_t offset = device_.clock->NowNs() - start_ns_;
        auto timing = device_.evaluator->TimePrompt(PromptOf(i), RequestFor(i));
        if (!timing.ok()) return timing.status();
        timing->start_offset_ns = offset;
        result.body = *std::move(timing);
        return result;
      }
      case ChunkKind::kTraffic: {
        auto timing = device_.evaluator->TimeBatch(BatchFor(i));
        if (!timing.ok()) return timing.status();
        result.body = *std::move(timing);
        return result;
      }
      case ChunkKind::kGeneration: {
        auto generation = device_.evaluator->Generate(PromptOf(i), RequestFor(i));
        if (!generation.ok()) return generation.status();
        result.body = *std::move(generation);
        return result;
      }
      case ChunkKind::kPerplexity: {
        auto score = device_.evaluator->ScoreWindow(*chunk_.items, chunk_.context_tokens, result.item);
        if (!score.ok()) return score.status();
        result.body = *score;
        return result;
      }
      case ChunkKind::kTask: {
        auto answer = device_.evaluator->AnswerTask(PromptOf(i), RequestFor(i));
        if (!answer.ok()) return answer.status();
        result.body = *std::move(answer);
        return result;
      }
      case ChunkKind::kDivergence: {
        auto divergence = Compare(result.item);
        if (!divergence.ok()) return divergence.status();
        result.body = *divergence;
        return result;
      }
      case ChunkKind::kSummary: {
        auto note = Summarize(result.item);
        if (!note.ok()) return note.status();
        result.body = *std::move(note);
        return result;
      }
      case ChunkKind::kArticle: {
        auto score = device_.evaluator->ScoreArticle(*chunk_.items, chunk_.context_tokens, result.item);
        if (!score.ok()) return score.status();
        result.body = *score;
        return result;
      }
    }
    return absl::InternalError("unknown kind of chunk");
  }

  absl::StatusOr<WindowDivergence> Compare(int32_t window) {
    Evaluator& evaluator = *device_.evaluator;
    if (chunk_.summary_k == 0) return evaluator.CompareWindow(*chunk_.items, chunk_.context_tokens, window);
    auto summary = chunk_.summaries->Get(window);
    if (!summary.ok()) return summary.status();
    return evaluator.CompareWithSummary(*chunk_.items, chunk_.context_tokens, window, *summary);
  }

  absl::StatusOr<SummaryNote> Summarize(int32_t window) {
    auto summary = device_.evaluator->SummarizeWindow(*chunk_.items, chunk_.context_tokens, window, chunk_.summary_k);
    if (!summary.ok()) return summary.status();
    auto digest = chunk_.summaries->Put(window, summary->bytes);
    if (!digest.ok()) return digest.status();
    return SummaryNote{summary->positions, summary->summary_k, static_cast<int64_t>(summary->bytes.size()),
                       *std::move(digest)};
  }

  absl::Status Named(const absl::Status& status, int32_t i) const {
    if (status.code() == absl::StatusCode::kCancelled) return status;
    return absl::Status(status.code(), absl::StrCat("item ", chunk_.first_item + i, ": ", status.message()));
  }

  // The device's lock, around one item.
  struct Held {
    explicit Held(Run& run)
        : lock(*run.device_.lock),
          locked(lock.Acquire(IsTimed(run.chunk_.kind) ? DeviceLock::Mode::kExclusive : DeviceLock::Mode::kShared,
                              run.device_.lock_patience)) {}
    ~Held() {
      if (locked) lock.Release();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    DeviceLock& lock;
    const bool locked;
  };

  const Chunk& chunk_;
  const ChunkDevice& device_;
  ChunkSink& sink_;
  int64_t start_ns_ = 0;
  int32_t unlocked_items_ = 0;
};

}  // namespace

absl::StatusOr<DeviceUse> RunChunk(const Chunk& chunk, const ChunkDevice& device, ChunkSink& sink) {
  if (auto status = Check(chunk); !status.ok()) return status;
  return Run(chunk, device, sink).Everything();
}

}  // namespace uaqf::measure
