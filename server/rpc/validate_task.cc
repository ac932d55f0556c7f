// Tasks of prompts: an item that cannot be scored is refused when it is uploaded, not hours later by a worker.
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/wire/status.h"
#include "server/rpc/validate.h"

namespace uaqf::rpc {
namespace {

constexpr int kMostOutputTokens = 1 << 16;

// Empty when there is nothing wrong.
std::string Wrong(const v1::ChoiceAnswer& answer) {
  std::set<std::string> labels;
  for (const v1::Choice& choice : answer.choices()) {
    if (choice.label().empty() || choice.text().empty()) return "a choice without a label or a text, expected both";
    if (!labels.insert(choice.label()).second) return "a label twice, expected each choice's own";
  }
  if (labels.size() < 2) return absl::StrCat(labels.size(), " choices, expected two or more");
  return labels.count(answer.label()) > 0 ? "" : "a right label that no choice has, expected one of theirs";
}

std::string Wrong(const v1::ShortAnswer& answer) {
  for (const std::string& text : answer.answers()) {
    if (text.empty()) return "an empty answer, expected text";
  }
  return answer.answers().empty() ? "no answer, expected one or more" : "";
}

std::string Wrong(const v1::InstructionAnswer& answer) {
  for (const v1::Instruction& instruction : answer.instructions()) {
    if (instruction.id().empty()) return "an instruction without an id, expected one of IFEval's 25 kinds";
  }
  return answer.instructions().empty() ? "no instructions, expected one or more" : "";
}

std::string Wrong(const v1::Task& task) {
  switch (task.answer_case()) {
    case v1::Task::kNumeric:
      return task.numeric().value().empty() ? "no number, expected the answer" : "";
    case v1::Task::kChoice:
      return Wrong(task.choice());
    case v1::Task::kShortAnswer:
      return Wrong(task.short_answer());
    case v1::Task::kInstructions:
      return Wrong(task.instructions());
    case v1::Task::kOpen:
      return task.open().instruction().empty() ? "no instruction, expected what was asked" : "";
    default:
      return "no answer, expected one of numeric, choice, short_answer, instructions, open";
  }
}

}  // namespace

absl::Status ValidateTask(const v1::Prompt& prompt) {
  std::string wrong = Wrong(prompt.task());
  const int tokens = prompt.task().max_output_tokens();
  const bool generates = prompt.task().answer_case() != v1::Task::kChoice;
  if (wrong.empty() && (tokens < (generates ? 1 : 0) || tokens > kMostOutputTokens)) {
    wrong = absl::StrCat("max_output_tokens = ", tokens, ", expected ", generates ? 1 : 0, " to ", kMostOutputTokens);
  }
  for (const std::string& stop : prompt.task().stop()) {
    if (stop.empty()) wrong = "an empty stop, expected text that ends an output";
  }
  if (wrong.empty()) return absl::OkStatus();
  return wire::Error(absl::StatusCode::kInvalidArgument, "INVALID_TASK",
                     absl::StrCat("in the task of prompt ", prompt.id(), ": got ", wrong));
}

}  // namespace uaqf::rpc
