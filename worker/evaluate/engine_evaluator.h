// The Evaluator that computes: the models of a folder, the engine and the protocol.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/evaluate/calibrated.h"
#include "worker/evaluate/engine_text_model.h"
#include "worker/evaluate/open_model.h"
#include "worker/measure/clock.h"
#include "worker/measure/evaluator.h"

namespace uaqf::evaluate {

class EngineEvaluator final : public measure::Evaluator {
 public:
  struct Options {
    // Folder of the models that may be named.
    std::string models = {};
    // As engine::EngineOptions.
    std::string device = "cpu";
    int threads = 0;
    std::vector<int> cpu_set = {};
    // Whether synthetic models may be named as well.
    bool synthetic = false;
    // Peak of the memory in use, bytes; this process's resident memory where it is not given.
    std::function<int64_t()> peak_memory_bytes = {};
    // What the device does at most; reading so many bytes, where it has caches that could hold less. Not given: not
    // known.
    std::function<absl::StatusOr<measure::DeviceLimits>(int64_t bytes)> limits = {};
    // Where quantized weights of variants that need calibration are kept.
    ArtifactOptions artifacts = {};
  };

  // `clock` is borrowed.
  EngineEvaluator(Options options, measure::Clock* clock) : options_(std::move(options)), clock_(clock) {}

  absl::Status Load(const measure::HostRequest& request) override;
  void Unload() override;
  absl::StatusOr<measure::SurveyReport> Survey(const measure::SurveyRequest& request) override;
  absl::StatusOr<measure::Timing> TimePrompt(const measure::Prompt& prompt,
                                             const measure::GenerationRequest& request) override;
  absl::StatusOr<measure::TrafficTiming> TimeBatch(const measure::BatchRequest& request) override;
  absl::StatusOr<measure::Generation> Generate(const measure::Prompt& prompt,
                                               const measure::GenerationRequest& request) override;
  absl::StatusOr<measure::WindowScore> ScoreWindow(const measure::PromptSet& text, int32_t context_tokens,
                                                   int32_t index) override;
  absl::StatusOr<measure::TaskResult> AnswerTask(const measure::Prompt& prompt,
                                                 const measure::GenerationRequest& request) override;
  absl::StatusOr<measure::WindowDivergence> CompareWindow(const measure::PromptSet& text, int32_t context_tokens,
                                                          int32_t index) override;
  absl::StatusOr<measure::WindowSummary> SummarizeWindow(const measure::PromptSet& text, int32_t context_tokens,
                                                         int32_t index, int32_t summary_k) override;
  absl::StatusOr<measure::WindowDivergence> CompareWithSummary(const measure::PromptSet& text, int32_t context_tokens,
                                                               int32_t index, std::string_view summary) override;
  absl::StatusOr<measure::ArticleScore> ScoreArticle(const measure::PromptSet& articles, int32_t context_tokens,
                                                     int32_t index) override;
  absl::StatusOr<measure::Identity> Identify() override;
  absl::StatusOr<measure::Memory> MemoryUsed() override;

 private:
  // Opens the model of that id, unless it is the one that is open.
  absl::StatusOr<std::shared_ptr<const OpenModel>> Open(const std::string& id);
  absl::StatusOr<CalibratedVariant> Calibrated(const OpenModel& model, const quantize::Variant& variant,
                                               const measure::HostRequest& request) const;
  absl::Status CheckHosted() const;
  // A hosted variant of a model that has quality, and the tokens of `text` in text_ids_.
  absl::Status PrepareText(const measure::PromptSet& text);
  // FP16 of the hosted model in reference_, for windows of so many tokens.
  absl::Status HostReference(int32_t context_tokens);
  // Gives back its memory, so that no record of another kind pays for it.
  void DropReference();

  const Options options_;
  measure::Clock* const clock_;
  // The model opened last; shared with the hosted one, which stays while another is surveyed.
  std::string open_id_;
  std::shared_ptr<const OpenModel> open_;
  std::shared_ptr<const OpenModel> hosted_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<EngineTextModel> text_model_;
  measure::Identity identity_;
  // Why the hosted variant decodes one sequence at a time, where batches were asked for.
  absl::Status no_batches_;
  // Of the device, beside the hosted variant; measured before its first batch.
  std::optional<measure::DeviceLimits> limits_;
  // FP16 beside the variant, while windows are compared.
  std::unique_ptr<engine::Engine> reference_;
  // Articles of the set scored last.
  std::string articles_name_;
  std::vector<std::string> articles_;
  // Tokens of the text scored last, for the hosted model.
  std::string text_name_;
  std::vector<int32_t> text_ids_;
};

}  // namespace uaqf::evaluate
