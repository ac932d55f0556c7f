#include "worker/evaluate/answer_task.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/tasks/choice.h"
#include "worker/evaluate/tasks/score_answer.h"
#include "worker/evaluate/tasks/text.h"
#include "worker/measure/digest.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::evaluate {
namespace {

using measure::Prompt;
using measure::Task;
using measure::TaskResult;
using measure::TextModel;

absl::Status CheckItem(const Prompt& prompt) {
  if (!prompt.task.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("prompt ", prompt.id, " has no task, expected what its answer is ",
                                                   "scored by: import the set with `uaqf prompts import`"));
  }
  const absl::Status task = CheckTask(*prompt.task);
  return task.ok() ? task : absl::Status(task.code(), absl::StrCat("prompt ", prompt.id, ": ", task.message()));
}

absl::Status CheckRoom(const TextModel& model, const Prompt& prompt, size_t input, int32_t output) {
  if (static_cast<int64_t>(input) + output <= model.max_sequence_tokens()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("prompt ", prompt.id, ": ", input, " tokens with its shots and ",
                                                 output, " out, expected at most ", model.max_sequence_tokens(),
                                                 " together: import the tasks with fewer --shots"));
}

// The prompt with one choice behind it: as a plain prompt of its own, so that tokens may join at the seam.
Prompt Continued(const Prompt& prompt, const std::string& label) {
  Prompt continued;
  continued.id = prompt.id;
  continued.text = absl::StrCat(prompt.text, " ", label);
  return continued;
}

// The tokens of an answer so far, and its text.
struct Output {
  std::vector<int32_t> ids;
  std::string text;
  bool stopped = false;
};

absl::StatusOr<Output> Generate(TextModel& model, const std::vector<int32_t>& input, const Task& task,
                                const measure::GenerationRequest& request) {
  Output out;
  auto next = model.Prefill(input);
  while (true) {
    if (!next.ok()) return next.status();
    if (model.IsEnd(*next)) {
      out.stopped = true;
      return out;
    }
    out.ids.push_back(*next);
    auto text = model.Detokenize(out.ids);
    if (!text.ok()) return text.status();
    out.text = *std::move(text);
    const std::string_view before = CutAtStop(out.text, task.stops);
    if (before.size() < out.text.size()) {
      out.text.resize(before.size());
      out.stopped = true;
      return out;
    }
    if (static_cast<int32_t>(out.ids.size()) >= task.max_output_tokens) return out;
    if (request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed)) {
      return absl::CancelledError("generation cancelled");
    }
    next = model.Decode(*next);
  }
}

// At most kMostAnswerBytes of whole characters.
std::string Kept(std::string text) {
  if (text.size() <= kMostAnswerBytes) return text;
  text.resize(kMostAnswerBytes);
  return text.substr(0, tokenizer::FindInvalidUtf8(text));
}

}  // namespace

absl::StatusOr<int32_t> TaskTokens(TextModel& model, const Prompt& prompt, bool chat) {
  if (absl::Status item = CheckItem(prompt); !item.ok()) return item;
  if (prompt.task->kind != measure::TaskKind::kChoice) {
    auto ids = model.Encode(prompt, chat);
    if (!ids.ok()) return ids.status();
    if (auto room = CheckRoom(model, prompt, ids->size(), prompt.task->max_output_tokens); !room.ok()) return room;
    return static_cast<int32_t>(ids->size()) + prompt.task->max_output_tokens;
  }
  int32_t longest = 0;
  for (const std::string& label : prompt.task->labels) {
    auto ids = model.Encode(Continued(prompt, label), /*chat=*/false);
    if (!ids.ok()) return ids.status();
    longest = std::max(longest, static_cast<int32_t>(ids->size()));
  }
  return longest;
}

absl::StatusOr<TaskResult> AnswerByGeneration(TextModel& model, const Prompt& prompt,
                                              const measure::GenerationRequest& request) {
  if (absl::Status item = CheckItem(prompt); !item.ok()) return item;
  const Task& task = *prompt.task;
  auto input = model.Encode(prompt, request.chat);
  if (!input.ok()) return input.status();
  if (auto room = CheckRoom(model, prompt, input->size(), task.max_output_tokens); !room.ok()) return room;
  const auto generating = model.BeginGeneration(task.max_output_tokens);
  auto output = Generate(model, *input, task, request);
  if (!output.ok()) return output.status();
  TaskResult result;
  result.input_tokens = static_cast<int32_t>(input->size());
  result.output_tokens = static_cast<int32_t>(output->ids.size());
  result.stopped = output->stopped;
  result.output_digest = measure::TokenDigest(output->ids);
  result.checks = ScoreAnswer(task, output->text, output->stopped);
  result.answer = Kept(std::move(output->text));
  return result;
}

absl::StatusOr<TaskResult> AnswerByLikelihood(TextModel& model, const Prompt& prompt, const ScoreWindowOf& score) {
  if (absl::Status item = CheckItem(prompt); !item.ok()) return item;
  auto context = model.Encode(prompt, /*chat=*/false);
  if (!context.ok()) return context.status();
  TaskResult result;
  for (const std::string& label : prompt.task->labels) {
    auto window = model.Encode(Continued(prompt, label), /*chat=*/false);
    if (!window.ok()) return window.status();
    if (window->size() <= context->size()) {
      return absl::InvalidArgumentError(absl::StrCat("prompt ", prompt.id, ": the choice \" ", label,
                                                     "\" adds no token ", "to the prompt, so it has no likelihood"));
    }
    if (auto room = CheckRoom(model, prompt, window->size(), 0); !room.ok()) return room;
    auto nll = score(*window);
    if (!nll.ok()) return nll.status();
    const auto added = static_cast<std::ptrdiff_t>(window->size() - context->size());
    result.choice_log_likelihoods.push_back(-std::accumulate(nll->end() - added, nll->end(), 0.0));
    result.input_tokens = std::max(result.input_tokens, static_cast<int32_t>(window->size()));
  }
  const int32_t best = BestChoice(result.choice_log_likelihoods);
  if (best >= 0) result.answer = prompt.task->labels[static_cast<size_t>(best)];
  result.stopped = true;
  result.checks = ScoreAnswer(*prompt.task, result.answer, result.stopped);
  return result;
}

}  // namespace uaqf::evaluate
