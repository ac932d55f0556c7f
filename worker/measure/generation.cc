#include "worker/measure/generation.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/measure/digest.h"
#include "worker/measure/input_length.h"

namespace uaqf::measure {
namespace {

// Most tokens this generation may emit; INVALID_ARGUMENT when the sequence has no room for what is asked.
absl::StatusOr<int32_t> OutputLimit(const TextModel& model, const PreparedInput& input, const Prompt& prompt,
                                    const GenerationRequest& request) {
  const int32_t room = model.max_sequence_tokens() - input.tokens;
  const int32_t wanted = request.output_tokens > 0 ? request.output_tokens : request.max_output_tokens;
  if (wanted < 1) {
    return absl::InvalidArgumentError(absl::StrCat("output of ", wanted, " tokens: expected at least 1"));
  }
  if (room < wanted) {
    return absl::InvalidArgumentError(absl::StrCat("prompt ", prompt.id, ": ", input.tokens, " tokens in and ", wanted,
                                                   " out: expected at most ", model.max_sequence_tokens(),
                                                   " together; shorten the prompt or ask for fewer tokens"));
  }
  return wanted;
}

// The tokens of one generation and when each was known.
struct Emission {
  std::vector<int32_t> ids;
  std::vector<int64_t> marks;
  bool stopped = false;
};

// Emits until the limit or, unless ends are ignored, an end token, which stays in `ids`.
absl::StatusOr<Emission> Emit(TextModel& model, Clock& clock, const std::vector<int32_t>& input, int32_t limit,
                              const GenerationRequest& request) {
  Emission out;
  out.ids.reserve(static_cast<size_t>(limit));
  out.marks.reserve(static_cast<size_t>(limit));
  const bool ignore_end = request.output_tokens > 0;
  auto next = model.Prefill(input);
  while (true) {
    if (!next.ok()) return next.status();
    out.marks.push_back(clock.NowNs());
    out.ids.push_back(*next);
    if (!ignore_end && model.IsEnd(*next)) {
      out.stopped = true;
      return out;
    }
    if (static_cast<int32_t>(out.ids.size()) == limit) return out;
    if (request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed)) {
      return absl::CancelledError("generation cancelled");
    }
    next = model.Decode(*next);
  }
}

Timing Account(int64_t start, int64_t encoded, const std::vector<int64_t>& marks, int64_t end) {
  Timing timing;
  timing.output_tokens = static_cast<int32_t>(marks.size());
  timing.tokenize_ns = encoded - start;
  timing.prefill_ns = marks.front() - encoded;
  timing.decode_ns = marks.back() - marks.front();
  timing.detokenize_ns = end - marks.back();
  timing.latency_ns = end - start;
  timing.inter_token_ns.reserve(marks.size() - 1);
  for (size_t i = 1; i < marks.size(); ++i) timing.inter_token_ns.push_back(marks[i] - marks[i - 1]);
  return timing;
}

}  // namespace

absl::StatusOr<GeneratedText> TimeGeneration(TextModel& model, Clock& clock, const Prompt& prompt,
                                             const GenerationRequest& request) {
  auto input = PrepareInput(model, prompt, request);
  if (!input.ok()) return input.status();
  auto limit = OutputLimit(model, *input, prompt, request);
  if (!limit.ok()) return limit.status();

  // Its end waits for a step that a natural end made superfluous: outside of the timed region.
  const auto generating = model.BeginGeneration(*limit);
  const int64_t start = clock.NowNs();
  auto ids = EncodeInput(model, *input);
  const int64_t encoded = clock.NowNs();
  if (!ids.ok()) return ids.status();
  auto emitted = Emit(model, clock, *ids, *limit, request);
  if (!emitted.ok()) return emitted.status();
  std::vector<int32_t> output = emitted->ids;
  if (emitted->stopped) output.pop_back();
  auto text = model.Detokenize(output);
  const int64_t end = clock.NowNs();
  if (!text.ok()) return text.status();

  GeneratedText result;
  result.timing = Account(start, encoded, emitted->marks, end);
  result.timing.input_tokens = static_cast<int32_t>(ids->size());
  result.timing.output_digest = TokenDigest(output);
  result.input_ids = *std::move(ids);
  result.output_ids = std::move(output);
  result.text = *std::move(text);
  result.stopped = emitted->stopped;
  return result;
}

}  // namespace uaqf::measure
