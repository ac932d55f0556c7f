#include "worker/evaluate/time_batch.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/measure/digest.h"
#include "worker/measure/input_length.h"

namespace uaqf::evaluate {
namespace {

using Sequences = std::vector<std::vector<int32_t>>;

absl::StatusOr<std::vector<measure::PreparedInput>> Prepare(measure::TextModel& text_model,
                                                            const measure::BatchRequest& request) {
  std::vector<measure::PreparedInput> inputs;
  for (size_t k = 0; k < request.prompts.size(); ++k) {
    measure::GenerationRequest one;
    one.input_tokens = request.input_tokens;
    one.prose_seed = request.prose_seeds[k];
    one.chat = request.chat;
    auto input = measure::PrepareInput(text_model, *request.prompts[k], one);
    if (!input.ok()) return input.status();
    inputs.push_back(*std::move(input));
  }
  return inputs;
}

absl::StatusOr<Sequences> Encode(measure::TextModel& text_model, const std::vector<measure::PreparedInput>& inputs) {
  Sequences ids;
  ids.reserve(inputs.size());
  for (const measure::PreparedInput& input : inputs) {
    auto encoded = measure::EncodeInput(text_model, input);
    if (!encoded.ok()) return encoded.status();
    ids.push_back(*std::move(encoded));
  }
  return ids;
}

// When the first tokens and the last ones were known.
struct Marks {
  int64_t first = 0;
  int64_t last = 0;
};

absl::StatusOr<Marks> Emit(engine::Engine& engine, measure::Clock& clock, const Sequences& inputs,
                           const measure::BatchRequest& request, Sequences* outputs) {
  auto next = engine.PrefillBatch(std::vector<std::span<const int32_t>>(inputs.begin(), inputs.end()));
  Marks marks;
  for (int32_t step = 0;; ++step) {
    if (!next.ok()) return next.status();
    marks.last = clock.NowNs();
    if (step == 0) marks.first = marks.last;
    for (size_t k = 0; k < next->size(); ++k) (*outputs)[k].push_back((*next)[k]);
    if (step + 1 == request.output_tokens) return marks;
    if (request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed)) {
      return absl::CancelledError("batch cancelled");
    }
    next = engine.DecodeBatch(*next);
  }
}

absl::Status Check(const engine::Engine& engine, const measure::BatchRequest& request) {
  const auto batch = static_cast<int64_t>(request.prompts.size());
  if (batch < 1 || batch > engine.max_batch() || request.output_tokens < 1) {
    return absl::InvalidArgumentError(absl::StrCat("batch of ", batch, " with ", request.output_tokens,
                                                   " tokens out: expected 1 to ", engine.max_batch(),
                                                   " sequences and at least 1 token"));
  }
  const int64_t tokens = int64_t{request.input_tokens} + request.output_tokens;
  if (tokens <= engine.max_sequence_tokens()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("sequence of ", tokens, " tokens: expected at most ",
                                                 engine.max_sequence_tokens(), "; ask for fewer tokens"));
}

}  // namespace

absl::StatusOr<measure::TrafficTiming> TimeBatch(measure::TextModel& text_model, engine::Engine& engine,
                                                 measure::Clock& clock, const measure::BatchRequest& request) {
  if (absl::Status valid = Check(engine, request); !valid.ok()) return valid;
  const auto inputs = Prepare(text_model, request);
  if (!inputs.ok()) return inputs.status();
  Sequences outputs(request.prompts.size());
  for (auto& output : outputs) output.reserve(static_cast<size_t>(request.output_tokens));

  const auto awake = engine.KeepAwake();
  const int64_t start = clock.NowNs();
  const auto ids = Encode(text_model, *inputs);
  const int64_t encoded = clock.NowNs();
  if (!ids.ok()) return ids.status();
  const auto marks = Emit(engine, clock, *ids, request, &outputs);
  if (!marks.ok()) return marks.status();
  for (const auto& output : outputs) {
    if (const auto text = text_model.Detokenize(output); !text.ok()) return text.status();
  }
  const int64_t end = clock.NowNs();

  measure::TrafficTiming timing;
  timing.batch = static_cast<int32_t>(outputs.size());
  timing.input_tokens = request.input_tokens;
  timing.output_tokens = request.output_tokens;
  timing.latency_ns = end - start;
  timing.tokenize_ns = encoded - start;
  timing.prefill_ns = marks->first - encoded;
  timing.decode_ns = marks->last - marks->first;
  timing.detokenize_ns = end - marks->last;
  std::vector<int32_t> all;
  for (const auto& output : outputs) all.insert(all.end(), output.begin(), output.end());
  timing.output_digest = measure::TokenDigest(all);
  return timing;
}

double PrefillOperations(const model::ModelConfig& c, int64_t tokens) {
  const auto n = static_cast<double>(tokens);
  const auto query = static_cast<double>(c.heads * c.head_dim);
  const auto key = static_cast<double>(c.kv_heads * c.head_dim);
  const auto hidden = static_cast<double>(c.hidden);
  const double linear = hidden * (2 * query + 2 * key) + 3 * hidden * static_cast<double>(c.ff);
  const double attention = query * n;  // scores and sums, each over (n + 1) / 2 positions on average
  return 2 * (static_cast<double>(c.layers) * n * (linear + attention) + hidden * static_cast<double>(c.vocab));
}

BatchWork WorkOf(const model::ModelConfig& config, const engine::Engine& engine, int64_t batch, int64_t input_tokens,
                 int64_t output_tokens) {
  const auto sequences = static_cast<double>(batch), steps = static_cast<double>(output_tokens - 1);
  const auto weights = static_cast<double>(engine.bytes_per_token(0));
  // Of the middle step, which stands for all: the cache grows by one position a step.
  const int64_t context = input_tokens + output_tokens / 2;
  const double cache = static_cast<double>(engine.bytes_per_token(context)) - weights;
  const double prefill = PrefillOperations(config, input_tokens);
  // A token more, with what it sees.
  const double step = PrefillOperations(config, 1) + 4.0 * static_cast<double>(config.layers) *
                                                         static_cast<double>(config.heads * config.head_dim) *
                                                         static_cast<double>(context - 1);
  return {{sequences * weights, sequences * prefill},
          {steps * (weights + sequences * cache), steps * sequences * step}};
}

}  // namespace uaqf::evaluate
