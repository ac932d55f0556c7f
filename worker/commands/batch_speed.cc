#include "worker/commands/batch_speed.h"

#include <algorithm>
#include <span>

namespace uaqf::commands {
namespace {

struct Generation {
  int64_t prefill_ns = 0;
  int64_t decode_ns = 0;
  std::vector<int32_t> tokens;
};

std::vector<std::vector<int32_t>> PromptsOf(int64_t vocab, int64_t batch, int input_tokens) {
  std::vector<std::vector<int32_t>> prompts(static_cast<size_t>(batch));
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (int t = 0; t < input_tokens; ++t) {
      const int64_t id = 1 + static_cast<int64_t>(i) * 7919 + int64_t{t} * 104729;
      prompts[i].push_back(static_cast<int32_t>(id % vocab));
    }
  }
  return prompts;
}

absl::StatusOr<Generation> GenerateOnce(engine::Engine& engine, std::span<const std::vector<int32_t>> prompts,
                                        int output_tokens, measure::Clock& clock) {
  const std::vector<std::span<const int32_t>> spans(prompts.begin(), prompts.end());
  const auto awake = engine.KeepAwake();
  Generation generation;
  const int64_t start = clock.NowNs();
  auto next = engine.PrefillBatch(spans);
  if (!next.ok()) return next.status();
  const int64_t prefilled = clock.NowNs();
  generation.tokens = *next;
  for (int i = 1; i < output_tokens; ++i) {
    next = engine.DecodeBatch(*next);
    if (!next.ok()) return next.status();
    generation.tokens.insert(generation.tokens.end(), next->begin(), next->end());
  }
  generation.prefill_ns = prefilled - start;
  generation.decode_ns = clock.NowNs() - prefilled;
  return generation;
}

int64_t Median(std::vector<int64_t> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

absl::StatusOr<BatchSpeed> MeasureBatch(engine::Engine& engine, int64_t vocab, int64_t batch, int input_tokens,
                                        int output_tokens, int repeats, measure::Clock& clock) {
  const std::vector<std::vector<int32_t>> prompts = PromptsOf(vocab, batch, input_tokens);
  const auto warm = GenerateOnce(engine, prompts, output_tokens, clock);
  if (!warm.ok()) return warm.status();
  BatchSpeed speed;
  speed.batch = batch;
  std::vector<int64_t> prefill;
  std::vector<int64_t> decode;
  for (int i = 0; i < repeats; ++i) {
    const auto generation = GenerateOnce(engine, prompts, output_tokens, clock);
    if (!generation.ok()) return generation.status();
    prefill.push_back(generation->prefill_ns);
    decode.push_back(generation->decode_ns);
    speed.repeats = speed.repeats && generation->tokens == warm->tokens;
  }
  speed.prefill_ns = Median(prefill);
  speed.decode_ns = Median(decode);
  speed.tokens_per_s = static_cast<double>(batch * (output_tokens - 1)) / (static_cast<double>(speed.decode_ns) * 1e-9);
  return speed;
}

}  // namespace uaqf::commands
