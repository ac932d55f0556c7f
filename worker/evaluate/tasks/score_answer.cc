#include "worker/evaluate/tasks/score_answer.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/tasks/alpaca_checks.h"
#include "worker/evaluate/tasks/gsm8k.h"
#include "worker/evaluate/tasks/ifeval.h"
#include "worker/evaluate/tasks/text.h"
#include "worker/evaluate/tasks/trivia_qa.h"

namespace uaqf::evaluate {
namespace {

using measure::Task;
using measure::TaskCheck;
using measure::TaskKind;
using measure::TaskMetric;

TaskCheck Single(TaskMetric metric, bool passed) { return {metric, passed ? 1 : 0, 1}; }

std::vector<TaskCheck> ScoreInstructions(const Task& task, std::string_view answer) {
  int32_t strict = 0;
  int32_t loose = 0;
  for (const measure::TaskInstruction& given : task.instructions) {
    const auto instruction = MakeInstruction(given.id, given.arguments);
    if (!instruction.ok()) continue;
    const InstructionVerdict verdict = CheckInstruction(*instruction, answer);
    strict += verdict.strict ? 1 : 0;
    loose += verdict.loose ? 1 : 0;
  }
  const auto made = static_cast<int32_t>(task.instructions.size());
  return {Single(TaskMetric::kPromptStrict, strict == made),
          Single(TaskMetric::kPromptLoose, loose == made),
          {TaskMetric::kInstructionStrict, strict, made},
          {TaskMetric::kInstructionLoose, loose, made}};
}

std::vector<TaskCheck> ScoreOpen(const Task& task, std::string_view answer, bool stopped) {
  const AlpacaVerdict verdict = CheckAlpaca(task.asked, answer, stopped);
  return {Single(TaskMetric::kOpenNotEmpty, verdict.not_empty), Single(TaskMetric::kOpenStops, verdict.stops),
          Single(TaskMetric::kOpenNoEcho, verdict.no_echo), Single(TaskMetric::kOpenSaneLength, verdict.sane_length),
          Single(TaskMetric::kOpenFormat, verdict.format)};
}

}  // namespace

absl::Status CheckTask(const Task& task) {
  switch (task.kind) {
    case TaskKind::kChoice:
      if (task.labels.size() < 2 || task.answers.size() != 1 ||
          std::find(task.labels.begin(), task.labels.end(), task.answers.front()) == task.labels.end()) {
        return absl::InvalidArgumentError("a choice without the right label among two or more: correct the task");
      }
      return absl::OkStatus();
    case TaskKind::kInstructions:
      if (task.instructions.empty()) return absl::InvalidArgumentError("no instruction, expected at least one");
      for (const measure::TaskInstruction& given : task.instructions) {
        if (auto made = MakeInstruction(given.id, given.arguments); !made.ok()) return made.status();
      }
      return absl::OkStatus();
    case TaskKind::kNumeric:
    case TaskKind::kShortAnswer:
      if (!task.answers.empty()) return absl::OkStatus();
      return absl::InvalidArgumentError("no answer to compare with, expected at least one: correct the task");
    case TaskKind::kOpen:
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError("a task of an unknown kind: is this worker older than the coordinator?");
}

std::vector<TaskCheck> ScoreAnswer(const Task& task, std::string_view answer, bool stopped) {
  switch (task.kind) {
    case TaskKind::kNumeric: {
      const GsmVerdict verdict = ScoreGsm8k(answer, task.answers.front());
      return {Single(TaskMetric::kNumericStrict, verdict.strict),
              Single(TaskMetric::kNumericFlexible, verdict.flexible)};
    }
    case TaskKind::kChoice:
      return {Single(TaskMetric::kChoice, answer == task.answers.front())};
    case TaskKind::kShortAnswer: {
      const TriviaVerdict verdict = ScoreTriviaQa(answer, task.answers);
      return {Single(TaskMetric::kShortOfficial, verdict.official), Single(TaskMetric::kShortLmEval, verdict.lm_eval)};
    }
    case TaskKind::kInstructions:
      return ScoreInstructions(task, answer);
    case TaskKind::kOpen:
      return ScoreOpen(task, answer, stopped);
  }
  return {};
}

}  // namespace uaqf::evaluate
