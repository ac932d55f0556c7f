#include "worker/engine/token_checks.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace uaqf::engine {
namespace {

constexpr int64_t kDefaultSequence = 4096;

}  // namespace

absl::StatusOr<int64_t> CapacityOf(const model::ModelConfig& config, const EngineOptions& options) {
  if (options.max_sequence_tokens == 0) return std::min(config.context, kDefaultSequence);
  if (options.max_sequence_tokens < 1 || options.max_sequence_tokens > config.context) {
    return absl::InvalidArgumentError(absl::StrCat("got a sequence of ", options.max_sequence_tokens,
                                                   " tokens, expected 1 to ", config.context, ", the model's context"));
  }
  return options.max_sequence_tokens;
}

absl::Status CheckTokens(const model::ModelConfig& config, int64_t capacity, std::span<const int32_t> ids,
                         const char* what, size_t least) {
  if (ids.size() < least) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", what, " of ", ids.size(), " tokens, expected at least ", least));
  }
  if (static_cast<int64_t>(ids.size()) > capacity) {
    return absl::InvalidArgumentError(absl::StrCat("got ", what, " of ", ids.size(), " tokens, expected at most ",
                                                   capacity, " (the model's context is ", config.context,
                                                   "); shorten it or raise the sequence length"));
  }
  for (const int32_t id : ids) {
    if (id >= 0 && id < config.vocab) continue;
    return absl::InvalidArgumentError(absl::StrCat("got token id ", id, ", expected 0 to ", config.vocab - 1,
                                                   "; does the tokenizer belong to this model?"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> MaxBatchOf(const EngineOptions& options) {
  if (options.max_batch >= 1 && options.max_batch <= kMostBatch) return options.max_batch;
  return absl::InvalidArgumentError(
      absl::StrCat("got a batch of ", options.max_batch, " sequences, expected 1 to ", kMostBatch));
}

absl::Status CheckPrompts(const model::ModelConfig& config, int64_t capacity, int64_t max_batch,
                          std::span<const std::span<const int32_t>> prompts) {
  const auto count = static_cast<int64_t>(prompts.size());
  if (count < 1 || count > max_batch) {
    return absl::InvalidArgumentError(absl::StrCat("got a batch of ", count, " prompts, expected 1 to ", max_batch,
                                                   "; make the engine for a larger batch"));
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    const absl::Status status = CheckTokens(config, capacity, prompts[i], "a prompt", 1);
    if (!status.ok()) return absl::Status(status.code(), absl::StrCat("prompt ", i, ": ", status.message()));
  }
  return absl::OkStatus();
}

absl::Status CheckBatchStep(const model::ModelConfig& config, int64_t capacity, std::span<const int64_t> positions,
                            std::span<const int32_t> tokens) {
  if (positions.empty()) {
    return absl::FailedPreconditionError("got a step of a batch without prompts, expected PrefillBatch first");
  }
  if (tokens.size() != positions.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", tokens.size(), " tokens, expected ", positions.size(), ", one for each sequence"));
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    const absl::Status status = CheckStep(config, capacity, positions[i], tokens[i]);
    if (!status.ok()) return absl::Status(status.code(), absl::StrCat("sequence ", i, ": ", status.message()));
  }
  return absl::OkStatus();
}

absl::Status CheckStep(const model::ModelConfig& config, int64_t capacity, int64_t position, int32_t token) {
  if (position == 0) {
    return absl::FailedPreconditionError("got a decode step without a prompt, expected Prefill first");
  }
  if (absl::Status status = CheckTokens(config, capacity, {&token, 1}, "a step", 1); !status.ok()) return status;
  if (position < capacity) return absl::OkStatus();
  return absl::OutOfRangeError(
      absl::StrCat("the sequence has reached its ", capacity, " tokens; ask for fewer or raise the sequence length"));
}

}  // namespace uaqf::engine
