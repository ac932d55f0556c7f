// The engine joined with a model's tokenizer: what the measurement protocol times.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/evaluate/open_model.h"
#include "worker/measure/text_model.h"

namespace uaqf::evaluate {

// Borrows both. Used from one thread.
class EngineTextModel final : public measure::TextModel {
 public:
  EngineTextModel(const OpenModel& model, engine::Engine& engine) : model_(model), engine_(engine) {}

  absl::StatusOr<std::vector<int32_t>> Encode(const measure::Prompt& prompt, bool chat) override {
    return model_.Encode(prompt, chat);
  }
  absl::StatusOr<int32_t> Prefill(const std::vector<int32_t>& ids) override { return engine_.Prefill(ids); }
  absl::StatusOr<int32_t> Decode(int32_t token) override { return engine_.Decode(token); }
  absl::StatusOr<std::string> Detokenize(const std::vector<int32_t>& ids) override {
    return model_.tokenizer().Decode(ids);
  }
  std::unique_ptr<Generating> BeginGeneration(int32_t most_tokens) override {
    return std::make_unique<Awake>(engine_.KeepAwake(most_tokens - 1));
  }
  bool IsEnd(int32_t token) const override { return model_.IsEnd(token); }
  int32_t max_sequence_tokens() const override { return static_cast<int32_t>(engine_.max_sequence_tokens()); }

 private:
  struct Awake final : Generating {
    explicit Awake(std::unique_ptr<engine::Engine::AwakeScope> engine_scope) : scope(std::move(engine_scope)) {}
    std::unique_ptr<engine::Engine::AwakeScope> scope;
  };

  const OpenModel& model_;
  engine::Engine& engine_;
};

}  // namespace uaqf::evaluate
