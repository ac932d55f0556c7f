#include "tests/fault/null_worker/null_evaluator.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "proto/wire/digest.h"
#include "worker/measure/digest.h"

namespace uaqf::test {
namespace {

// FNV-1a: the same on every machine.
uint64_t Hash(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3ull;
  return hash ^ (hash >> 29);
}

// In [0, 1).
double Fraction(const std::string& text) { return static_cast<double>(Hash(text) % 10007) / 10007; }

// Fewer bits are faster, smaller and worse.
int Bits(const std::string& variant) {
  return absl::StrContains(variant, "w4") ? 4 : absl::StrContains(variant, "w8") ? 8 : 16;
}

int32_t InputTokens(const measure::Prompt& prompt) {
  size_t bytes = prompt.text.size();
  for (const measure::Message& message : prompt.messages) bytes += message.content.size();
  return static_cast<int32_t>(bytes / 4) + 1;
}

int64_t TextTokens(const measure::PromptSet& text) {
  int64_t bytes = 0;
  for (const measure::Prompt& piece : text.prompts) bytes += static_cast<int64_t>(piece.text.size());
  return bytes / 4;
}

int32_t NaturalTokens(const std::string& variant, const measure::Prompt& prompt, int32_t most) {
  return std::clamp(8 + static_cast<int32_t>(Hash(variant + prompt.id) % 24), 1, std::max(1, most));
}

absl::Status NothingHosted() { return absl::FailedPreconditionError("no variant is hosted: load one first"); }

}  // namespace

absl::Status NullEvaluator::Load(const measure::HostRequest& request) {
  hosted_ = request;
  hosted_.calibrated = nullptr;
  return absl::OkStatus();
}

absl::StatusOr<measure::SurveyReport> NullEvaluator::Survey(const measure::SurveyRequest& request) {
  measure::SurveyReport report;
  for (const measure::Prompt& prompt : request.prompts->prompts) {
    report.longest_input_tokens = std::max(report.longest_input_tokens, InputTokens(prompt));
  }
  if (request.input.input_tokens > 0) report.longest_input_tokens = request.input.input_tokens;
  if (request.text != nullptr) {
    report.text_tokens = TextTokens(*request.text);
    report.text_windows = static_cast<int32_t>(report.text_tokens / std::max(1, request.context_tokens));
  }
  if (request.articles != nullptr) report.articles = static_cast<int32_t>(request.articles->prompts.size());
  if (request.tasks != nullptr) {
    report.task_items = static_cast<int32_t>(request.tasks->prompts.size());
    for (const measure::Prompt& prompt : request.tasks->prompts) {
      report.longest_task_tokens = std::max(report.longest_task_tokens, InputTokens(prompt));
    }
  }
  return report;
}

void NullEvaluator::Work(const std::string& id) const {
  if (!options_.crash_on.empty() && id == options_.crash_on) std::abort();
  if (options_.delay > absl::ZeroDuration()) absl::SleepFor(options_.delay);
}

absl::StatusOr<measure::Timing> NullEvaluator::TimePrompt(const measure::Prompt& prompt,
                                                          const measure::GenerationRequest& request) {
  if (hosted_.variant.empty()) return NothingHosted();
  Work(prompt.id);
  measure::Timing timing;
  timing.input_tokens = request.input_tokens > 0 ? request.input_tokens : InputTokens(prompt);
  timing.output_tokens = request.output_tokens > 0 ? request.output_tokens
                                                   : NaturalTokens(hosted_.variant, prompt, request.max_output_tokens);
  const double noise = 0.02 * Fraction(absl::StrCat(hosted_.variant, "/", prompt.id, "/", request.repeat));
  const double speed = (0.25 + 0.75 * Bits(hosted_.variant) / 16.0) * (1 + noise);
  timing.tokenize_ns = 20'000;
  timing.prefill_ns = static_cast<int64_t>(speed * 100'000 * timing.input_tokens);
  timing.inter_token_ns.assign(static_cast<size_t>(timing.output_tokens - 1), static_cast<int64_t>(speed * 2'000'000));
  for (const int64_t gap : timing.inter_token_ns) timing.decode_ns += gap;
  timing.detokenize_ns = 10'000;
  timing.latency_ns = timing.tokenize_ns + timing.prefill_ns + timing.decode_ns + timing.detokenize_ns;
  timing.output_digest = measure::TokenDigest({timing.output_tokens, Bits(hosted_.variant)});
  return timing;
}

absl::StatusOr<measure::TrafficTiming> NullEvaluator::TimeBatch(const measure::BatchRequest& request) {
  if (hosted_.variant.empty()) return NothingHosted();
  const auto batch = static_cast<int32_t>(request.prompts.size());
  if (batch > hosted_.max_batch) {
    return absl::InvalidArgumentError(absl::StrCat("batch of ", batch, ": expected at most ", hosted_.max_batch));
  }
  Work(request.prompts.front()->id);
  measure::TrafficTiming timing;
  timing.batch = batch;
  timing.input_tokens = request.input_tokens;
  timing.output_tokens = request.output_tokens;
  const double noise = 0.02 * Fraction(absl::StrCat(hosted_.variant, "/", request.prompts.front()->id, "/", batch));
  // Weights are read once for all sequences, and unpacked for each: fewer bits lose their lead in large batches.
  const double bits = Bits(hosted_.variant);
  const double step_ns = (2e6 * bits / 16 + 1e5 * batch * 16 / bits) * (1 + noise);
  timing.prefill_ns = static_cast<int64_t>(1e5 * batch * request.input_tokens);
  timing.decode_ns = static_cast<int64_t>(step_ns * (request.output_tokens - 1));
  timing.tokenize_ns = 20'000;
  timing.detokenize_ns = 10'000;
  timing.latency_ns = timing.tokenize_ns + timing.prefill_ns + timing.decode_ns + timing.detokenize_ns;
  timing.output_digest = measure::TokenDigest({batch, Bits(hosted_.variant)});
  timing.prefill = {1e9 * bits / 16, 2e8 * batch * request.input_tokens};
  timing.decode = {1e9 * bits / 16 * (request.output_tokens - 1), 2e8 * batch * (request.output_tokens - 1)};
  timing.limits = {1e12, 1e13};
  return timing;
}

absl::StatusOr<measure::Generation> NullEvaluator::Generate(const measure::Prompt& prompt,
                                                            const measure::GenerationRequest& request) {
  if (hosted_.variant.empty()) return NothingHosted();
  Work(prompt.id);
  measure::Generation generation;
  generation.input_tokens = InputTokens(prompt);
  generation.output_tokens = NaturalTokens(hosted_.variant, prompt, request.max_output_tokens);
  generation.stopped = generation.output_tokens < request.max_output_tokens;
  generation.output_digest = measure::TokenDigest({generation.output_tokens, Bits(hosted_.variant)});
  return generation;
}

absl::StatusOr<measure::WindowScore> NullEvaluator::ScoreWindow(const measure::PromptSet&, int32_t context_tokens,
                                                                int32_t index) {
  if (hosted_.variant.empty()) return NothingHosted();
  Work(absl::StrCat("window ", index));
  const double loss = Bits(hosted_.variant) == 4 ? 0.2 : Bits(hosted_.variant) == 8 ? 0.01 : 0;
  const double nll = 2.5 + loss + 0.1 * Fraction(absl::StrCat("window ", index));
  return measure::WindowScore{context_tokens - 1, nll * (context_tokens - 1)};
}

absl::StatusOr<measure::TaskResult> NullEvaluator::AnswerTask(const measure::Prompt& prompt,
                                                              const measure::GenerationRequest&) {
  if (hosted_.variant.empty()) return NothingHosted();
  Work(prompt.id);
  measure::TaskResult result;
  result.input_tokens = InputTokens(prompt);
  result.stopped = true;
  // Half of the items are right; fewer bits turn more of them over.
  const bool right = Fraction(prompt.id) < 0.5;
  const bool turned = Fraction(absl::StrCat(hosted_.variant, "/", prompt.id)) < 0.4 / Bits(hosted_.variant);
  result.answer = std::string(1, right != turned ? 'A' : 'B');
  result.checks = {{measure::TaskMetric::kChoice, right != turned ? 1 : 0, 1}};
  return result;
}

absl::StatusOr<measure::WindowDivergence> NullEvaluator::CompareWindow(const measure::PromptSet&,
                                                                       int32_t context_tokens, int32_t index) {
  if (hosted_.variant.empty()) return NothingHosted();
  Work(absl::StrCat("window ", index));
  const int32_t positions = context_tokens - 1;
  const double kl = (1 + Fraction(absl::StrCat("window ", index))) / Bits(hosted_.variant);
  return measure::WindowDivergence{positions, kl * positions, positions * 9 / 10, 10, int64_t{9} * positions, 0, 0};
}

absl::StatusOr<measure::WindowSummary> NullEvaluator::SummarizeWindow(const measure::PromptSet&, int32_t context_tokens,
                                                                      int32_t index, int32_t summary_k) {
  if (hosted_.variant.empty()) return NothingHosted();
  Work(absl::StrCat("window ", index));
  return measure::WindowSummary{context_tokens - 1, summary_k, absl::StrCat(index, " ", summary_k)};
}

// Too loose with the first k, exact with the second.
absl::StatusOr<measure::WindowDivergence> NullEvaluator::CompareWithSummary(const measure::PromptSet& text,
                                                                            int32_t context_tokens, int32_t index,
                                                                            std::string_view summary) {
  const std::vector<std::string> parts = absl::StrSplit(absl::string_view(summary.data(), summary.size()), ' ');
  int32_t window = -1, k = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &window) || !absl::SimpleAtoi(parts[1], &k) || window != index) {
    return absl::DataLossError(absl::StrCat("not the summary of window ", index));
  }
  auto exact = CompareWindow(text, context_tokens, index);
  if (!exact.ok()) return exact;
  exact->summary_k = k;
  exact->kl_upper_sum = exact->kl_sum + (k > 1024 ? 0 : exact->positions);
  return exact;
}

absl::StatusOr<measure::ArticleScore> NullEvaluator::ScoreArticle(const measure::PromptSet&, int32_t, int32_t index) {
  if (hosted_.variant.empty()) return NothingHosted();
  Work(absl::StrCat("article ", index));
  const int32_t words = 100 + index;
  return measure::ArticleScore{words * 3 / 2, words * (3.0 + 1.0 / Bits(hosted_.variant)), words, words * 5};
}

absl::StatusOr<measure::Identity> NullEvaluator::Identify() {
  if (hosted_.variant.empty()) return NothingHosted();
  const std::string config = absl::StrCat("{\"variant\":\"", hosted_.variant, "\"}");
  return measure::Identity{std::string(64, '0'), wire::Sha256Hex(config), config, std::string(64, '1')};
}

absl::StatusOr<measure::Memory> NullEvaluator::MemoryUsed() {
  if (hosted_.variant.empty()) return NothingHosted();
  measure::Memory memory;
  memory.block_weights_bytes = int64_t{12'500'000} * Bits(hosted_.variant);
  memory.weights_bytes = memory.block_weights_bytes + 50'000'000;
  memory.kv_cache_bytes = 20'000 * static_cast<int64_t>(hosted_.max_sequence_tokens);
  memory.workspace_bytes = 1'000'000;
  memory.measured_peak_bytes = memory.weights_bytes + memory.kv_cache_bytes + memory.workspace_bytes;
  return memory;
}

}  // namespace uaqf::test
