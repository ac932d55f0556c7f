// An evaluator with one variant more, which is FP16 and takes longer by a known share: what measurements must find.
#pragma once

#include <string>
#include <utility>

#include "worker/measure/clock.h"
#include "worker/measure/evaluator.h"

namespace uaqf::test {

inline constexpr char kSlowedVariant[] = "fp16-slowed";

// Passes everything on. Where it hosts kSlowedVariant, the other evaluator hosts fp16, and every timed generation is
// followed by a wait that keeps the processor busy for `share` of its prefill and decoding, which is added to each of
// their times. So the slowdown is planted in real measurements, with all their noise, and takes place on the device.
class SlowedEvaluator final : public measure::Evaluator {
 public:
  // Both are borrowed.
  SlowedEvaluator(measure::Evaluator* evaluator, measure::Clock* clock, double share)
      : evaluator_(*evaluator), clock_(*clock), share_(share) {}

  absl::Status Load(const measure::HostRequest& request) override;
  void Unload() override { evaluator_.Unload(); }
  absl::StatusOr<measure::SurveyReport> Survey(const measure::SurveyRequest& request) override {
    return evaluator_.Survey(request);
  }
  absl::StatusOr<measure::Timing> TimePrompt(const measure::Prompt& prompt,
                                             const measure::GenerationRequest& request) override;
  absl::StatusOr<measure::TrafficTiming> TimeBatch(const measure::BatchRequest& request) override {
    return evaluator_.TimeBatch(request);
  }
  absl::StatusOr<measure::Generation> Generate(const measure::Prompt& prompt,
                                               const measure::GenerationRequest& request) override {
    return evaluator_.Generate(prompt, request);
  }
  absl::StatusOr<measure::WindowScore> ScoreWindow(const measure::PromptSet& text, int32_t context_tokens,
                                                   int32_t index) override {
    return evaluator_.ScoreWindow(text, context_tokens, index);
  }
  absl::StatusOr<measure::TaskResult> AnswerTask(const measure::Prompt& prompt,
                                                 const measure::GenerationRequest& request) override {
    return evaluator_.AnswerTask(prompt, request);
  }
  absl::StatusOr<measure::WindowDivergence> CompareWindow(const measure::PromptSet& text, int32_t context_tokens,
                                                          int32_t index) override {
    return evaluator_.CompareWindow(text, context_tokens, index);
  }
  absl::StatusOr<measure::WindowSummary> SummarizeWindow(const measure::PromptSet& text, int32_t context_tokens,
                                                         int32_t index, int32_t summary_k) override {
    return evaluator_.SummarizeWindow(text, context_tokens, index, summary_k);
  }
  absl::StatusOr<measure::WindowDivergence> CompareWithSummary(const measure::PromptSet& text, int32_t context_tokens,
                                                               int32_t index, std::string_view summary) override {
    return evaluator_.CompareWithSummary(text, context_tokens, index, summary);
  }
  absl::StatusOr<measure::ArticleScore> ScoreArticle(const measure::PromptSet& articles, int32_t context_tokens,
                                                     int32_t index) override {
    return evaluator_.ScoreArticle(articles, context_tokens, index);
  }
  absl::StatusOr<measure::Identity> Identify() override { return evaluator_.Identify(); }
  absl::StatusOr<measure::Memory> MemoryUsed() override { return evaluator_.MemoryUsed(); }

 private:
  measure::Evaluator& evaluator_;
  measure::Clock& clock_;
  const double share_;
  bool slowed_ = false;
};

}  // namespace uaqf::test
