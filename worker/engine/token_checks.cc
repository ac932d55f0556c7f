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
