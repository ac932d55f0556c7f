// What a worker does to a model, as the code that talks to the coordinator sees it. Two implementations: the engine's
// (worker/evaluate) and the null worker's of the fault tests, which answers at once with made-up figures.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/measure/types.h"

namespace uaqf::measure {

// Which variant to host, the longest sequence (input and output tokens) it will be asked for.
struct HostRequest {
  std::string model;
  std::string variant;
  int32_t max_sequence_tokens = 0;
  // The text that the variant names to be calibrated on (CalibrationTextOf); borrowed for the call, null without.
  const PromptSet* calibration_text = nullptr;
  // Told before each layer that is calibrated, and once at the end: layers done and in all. False ends the call with
  // CANCELLED; what is done is kept for another one.
  std::function<bool(int32_t done, int32_t all)> calibrated = {};
  // Sequences to decode together at most.
  int32_t max_batch = 1;
};

// "promptSets/{digest}" of the text set that a variant's name asks to be calibrated on ("...:text=DIGEST"); empty where
// it asks for none.
std::string CalibrationTextOf(std::string_view variant);

// A variant of a job, with the text that its name asks to be calibrated on (null without); borrowed for the call.
struct SurveyedVariant {
  std::string name;
  const PromptSet* calibration_text = nullptr;
};

// What to look at ahead of a plan.
struct SurveyRequest {
  std::string model;
  // Borrowed for the call; `text` is null when the job scores none.
  const PromptSet* prompts = nullptr;
  const PromptSet* text = nullptr;
  // Null when the job has no tasks; of more than `max_task_items` (0: all) only the first are looked at.
  const PromptSet* tasks = nullptr;
  int32_t max_task_items = 0;
  // Null when the job scores no articles.
  const PromptSet* articles = nullptr;
  int32_t context_tokens = 0;
  // How inputs are built: only `input_tokens`, `prose_seed` and `chat` matter.
  GenerationRequest input;
  // Shortest input of the traffic grid, tokens: each prompt must be brought to it. 0: no grid.
  int32_t shortest_batch_input = 0;
  std::vector<SurveyedVariant> variants = {};
};

// What a survey found.
struct SurveyReport {
  int32_t longest_input_tokens = 0;
  int64_t text_tokens = 0;
  int32_t text_windows = 0;
  int32_t task_items = 0;
  // Input and output together.
  int32_t longest_task_tokens = 0;
  int32_t articles = 0;
};

// A prompt of a batch, borrowed, and the seed of its prose prefix.
struct BatchPrompt {
  const Prompt* prompt = nullptr;
  uint64_t prose_seed = 0;
};

// Used from one thread at a time. Errors say what was got, what was expected and what to do.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // Hosts a variant in place of what was hosted before, which is released first.
  // NOT_FOUND: no such model or variant. INVALID_ARGUMENT: the variant does not fit the model, or the sequence
  // exceeds its context. DATA_LOSS: a broken checkpoint. CANCELLED: by `calibrated`. After an error nothing is hosted.
  [[nodiscard]] virtual absl::Status Load(const HostRequest& request) = 0;
  // Releases what is hosted.
  virtual void Unload() = 0;
  // Counts tokens with the model's tokenizer; needs no weights and leaves what is hosted alone.
  // INVALID_ARGUMENT: an input that the model cannot take, or a variant that would be calibrated on what is scored.
  [[nodiscard]] virtual absl::StatusOr<SurveyReport> Survey(const SurveyRequest& request) = 0;

  // The rest needs a hosted variant; FAILED_PRECONDITION without one.

  // One end-to-end generation with its times. CANCELLED when `request.cancelled` became true.
  [[nodiscard]] virtual absl::StatusOr<Timing> TimePrompt(const Prompt& prompt, const GenerationRequest& request) = 0;
  // A batch with its times. INVALID_ARGUMENT: an input that the model refuses. UNIMPLEMENTED: this device does not
  // decode the variant in batches. CANCELLED as before.
  [[nodiscard]] virtual absl::StatusOr<TrafficTiming> TimeBatch(const BatchRequest& request) = 0;
  // One generation without times, to an end token or to the limit.
  [[nodiscard]] virtual absl::StatusOr<Generation> Generate(const Prompt& prompt, const GenerationRequest& request) = 0;
  // Generates 1 to max_batch() prompts together, step by step, without times: each to an end token or to the limit.
  [[nodiscard]] virtual absl::StatusOr<std::vector<GreedyOutput>> GenerateTogether(
      std::span<const BatchPrompt> prompts, const GenerationRequest& request) = 0;
  // Sequences that the hosted variant generates together at most, and why it is 1 where more were asked for.
  [[nodiscard]] virtual int32_t max_batch() const = 0;
  [[nodiscard]] virtual std::string why_no_batches() const = 0;
  // Scores window `index` (from 0) of the text that the set's pieces make.
  [[nodiscard]] virtual absl::StatusOr<WindowScore> ScoreWindow(const PromptSet& text, int32_t context_tokens,
                                                                int32_t index) = 0;
  // Answers the prompt's task, and scores the answer.
  [[nodiscard]] virtual absl::StatusOr<TaskResult> AnswerTask(const Prompt& prompt,
                                                              const GenerationRequest& request) = 0;
  // Compares the variant with FP16 on window `index` of the text. FP16 may then stay hosted beside it until the next
  // call of another kind. RESOURCE_EXHAUSTED: there is no room for both.
  [[nodiscard]] virtual absl::StatusOr<WindowDivergence> CompareWindow(const PromptSet& text, int32_t context_tokens,
                                                                       int32_t index) = 0;
  // Summarizes window `index` of the text, so many likeliest tokens of each position; FP16 is hosted.
  [[nodiscard]] virtual absl::StatusOr<WindowSummary> SummarizeWindow(const PromptSet& text, int32_t context_tokens,
                                                                      int32_t index, int32_t summary_k) = 0;
  // Compares the variant with the bytes of such a summary of window `index`. INVALID_ARGUMENT: they are of another text
  // or tokenizer. DATA_LOSS: they are damaged.
  [[nodiscard]] virtual absl::StatusOr<WindowDivergence> CompareWithSummary(const PromptSet& text,
                                                                            int32_t context_tokens, int32_t index,
                                                                            std::string_view summary) = 0;
  // Scores article `index` (from 0) of the raw WikiText that the set's pieces make, in windows of `context_tokens`.
  [[nodiscard]] virtual absl::StatusOr<ArticleScore> ScoreArticle(const PromptSet& articles, int32_t context_tokens,
                                                                  int32_t index) = 0;
  [[nodiscard]] virtual absl::StatusOr<Identity> Identify() = 0;
  [[nodiscard]] virtual absl::StatusOr<Memory> MemoryUsed() = 0;
};

}  // namespace uaqf::measure
