// An evaluator without a model: it answers at once, with made-up figures that depend on nothing but variant, prompt and
// repeat. It makes the coordinator's own speed and its promises testable.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "worker/measure/clock.h"
#include "worker/measure/device_monitor.h"
#include "worker/measure/evaluator.h"

namespace uaqf::test {

class NullEvaluator final : public measure::Evaluator {
 public:
  struct Options {
    // Every generation and window takes this long.
    absl::Duration delay;
    // Aborts the process at the prompt with this id; empty: never.
    std::string crash_on;
  };

  explicit NullEvaluator(Options options) : options_(std::move(options)) {}

  absl::Status Load(const measure::HostRequest& request) override;
  void Unload() override { hosted_ = {}; }
  absl::StatusOr<measure::SurveyReport> Survey(const measure::SurveyRequest& request) override;
  absl::StatusOr<measure::Timing> TimePrompt(const measure::Prompt& prompt,
                                             const measure::GenerationRequest& request) override;
  absl::StatusOr<measure::TrafficTiming> TimeBatch(const measure::BatchRequest& request) override;
  absl::StatusOr<measure::Generation> Generate(const measure::Prompt& prompt,
                                               const measure::GenerationRequest& request) override;
  absl::StatusOr<std::vector<measure::GreedyOutput>> GenerateTogether(
      std::span<const measure::BatchPrompt> prompts, const measure::GenerationRequest& request) override;
  int32_t max_batch() const override { return 32; }
  std::string why_no_batches() const override { return ""; }
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
  void Work(const std::string& id) const;

  const Options options_;
  measure::HostRequest hosted_;
};

// A device on which nothing ever disturbs.
class NullMonitor final : public measure::DeviceMonitor {
 public:
  explicit NullMonitor(const std::string& id) : device_{id, "null device", "null", 1, "none", "", ""} {}
  const measure::Device& device() const override { return device_; }
  void ClearCaches() override {}
  void Begin() override { begin_ns_ = clock_.NowNs(); }
  measure::DeviceUse End() override {
    measure::DeviceUse use;
    use.wall_ns = clock_.NowNs() - begin_ns_;
    return use;
  }

 private:
  measure::SteadyClock clock_;
  int64_t begin_ns_ = 0;
  const measure::Device device_;
};

}  // namespace uaqf::test
