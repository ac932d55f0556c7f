#include "worker/evaluate/together.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/tasks/loop.h"
#include "worker/measure/input_length.h"

namespace uaqf::evaluate {
namespace {

class Together {
 public:
  Together(engine::Engine& engine, measure::TextModel& model, const measure::GenerationRequest& request)
      : engine_(engine), model_(model), request_(request) {}

  absl::StatusOr<std::vector<measure::GreedyOutput>> Generate(std::span<const measure::BatchPrompt> prompts) {
    for (const measure::BatchPrompt& prompt : prompts) {
      if (auto status = AddInput(prompt); !status.ok()) return status;
    }
    const auto awake = engine_.KeepAwake();
    auto next = Prefill();
    while (true) {
      if (!next.ok()) return next.status();
      Take(*next);
      if (AllDone()) break;
      if (request_.cancelled != nullptr && request_.cancelled->load(std::memory_order_relaxed)) {
        return absl::CancelledError("generation cancelled");
      }
      next = Decode(*next);
    }
    for (measure::GreedyOutput& output : outputs_) {
      if (auto status = LookForLoop(&output); !status.ok()) return status;
    }
    return std::move(outputs_);
  }

 private:
  absl::Status AddInput(const measure::BatchPrompt& prompt) {
    measure::GenerationRequest request = request_;
    request.prose_seed = prompt.prose_seed;
    auto input = measure::PrepareInput(model_, *prompt.prompt, request);
    if (!input.ok()) return input.status();
    if (input->tokens + request_.max_output_tokens > model_.max_sequence_tokens()) {
      return absl::InvalidArgumentError(absl::StrCat("prompt ", prompt.prompt->id, ": ", input->tokens,
                                                     " tokens in and ", request_.max_output_tokens,
                                                     " out: expected at most ", model_.max_sequence_tokens(),
                                                     " together; shorten the prompt or ask for fewer tokens"));
    }
    auto ids = measure::EncodeInput(model_, *input);
    if (!ids.ok()) return ids.status();
    inputs_.push_back(*std::move(ids));
    outputs_.emplace_back().input_tokens = input->tokens;
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<int32_t>> Prefill() {
    if (inputs_.size() == 1) return Several(engine_.Prefill(inputs_[0]));
    const std::vector<std::span<const int32_t>> prompts(inputs_.begin(), inputs_.end());
    return engine_.PrefillBatch(prompts);
  }
  absl::StatusOr<std::vector<int32_t>> Decode(const std::vector<int32_t>& tokens) {
    if (inputs_.size() == 1) return Several(engine_.Decode(tokens[0]));
    return engine_.DecodeBatch(tokens);
  }
  static absl::StatusOr<std::vector<int32_t>> Several(const absl::StatusOr<int32_t>& token) {
    if (!token.ok()) return token.status();
    return std::vector<int32_t>{*token};
  }

  bool Done(const measure::GreedyOutput& output) const {
    return output.stopped || static_cast<int32_t>(output.ids.size()) == request_.max_output_tokens;
  }
  bool AllDone() const {
    return std::all_of(outputs_.begin(), outputs_.end(), [this](const auto& output) { return Done(output); });
  }

  // Of the sequences that have not ended; the others step on for the sake of the batch.
  void Take(const std::vector<int32_t>& tokens) {
    const std::span<const float> logits = engine_.logits();
    const size_t vocab = logits.size() / tokens.size();
    for (size_t i = 0; i < tokens.size(); ++i) {
      measure::GreedyOutput& output = outputs_[i];
      if (Done(output)) continue;
      output.ids.push_back(tokens[i]);
      output.stopped = model_.IsEnd(tokens[i]);
      const std::span<const float> own = logits.subspan(i * vocab, vocab);
      if (!std::all_of(own.begin(), own.end(), [](float logit) { return std::isfinite(logit); })) {
        ++output.not_finite_tokens;
      }
    }
  }

  absl::Status LookForLoop(measure::GreedyOutput* output) const {
    std::vector<int32_t> said = output->ids;
    if (output->stopped) said.pop_back();
    const auto text = model_.Detokenize(said);
    if (!text.ok()) return text.status();
    output->loop = EndsInLoop(said) || RepeatsLine(*text);
    return absl::OkStatus();
  }

  engine::Engine& engine_;
  measure::TextModel& model_;
  const measure::GenerationRequest& request_;
  std::vector<std::vector<int32_t>> inputs_;
  std::vector<measure::GreedyOutput> outputs_;
};

}  // namespace

absl::StatusOr<std::vector<measure::GreedyOutput>> GenerateTogether(engine::Engine& engine, measure::TextModel& model,
                                                                    std::span<const measure::BatchPrompt> prompts,
                                                                    const measure::GenerationRequest& request) {
  if (prompts.empty()) return absl::InvalidArgumentError("a batch without prompts: expected at least 1");
  return Together(engine, model, request).Generate(prompts);
}

}  // namespace uaqf::evaluate
