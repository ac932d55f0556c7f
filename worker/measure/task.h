// A task of a prompt and what its answer scored, as plain values: Task of prompt_set.proto and TaskRecord of
// record.proto, which say what each figure means.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace uaqf::measure {

enum class TaskKind { kNumeric, kChoice, kShortAnswer, kInstructions, kOpen };

// The numbers of TaskMetric on the wire.
enum class TaskMetric : int32_t {
  kNumericStrict = 1,
  kNumericFlexible = 2,
  kChoice = 3,
  kShortOfficial = 4,
  kShortLmEval = 5,
  kPromptStrict = 6,
  kPromptLoose = 7,
  kInstructionStrict = 8,
  kInstructionLoose = 9,
  kOpenNotEmpty = 10,
  kOpenStops = 11,
  kOpenNoEcho = 12,
  kOpenSaneLength = 13,
  kOpenFormat = 14,
};

// One of IFEval's instructions, its arguments by their published names.
struct TaskInstruction {
  std::string id;
  std::map<std::string, std::variant<int64_t, std::string, std::vector<std::string>>> arguments;
};

struct Task {
  TaskKind kind = TaskKind::kOpen;
  // The number, the right choice's label, or all answers that are right.
  std::vector<std::string> answers;
  // Of choices, in order.
  std::vector<std::string> labels;
  std::vector<TaskInstruction> instructions;
  // What was asked, without a template around it; for kOpen.
  std::string asked;
  // What ends an answer, beside an end token.
  std::vector<std::string> stops;
  int32_t max_output_tokens = 0;
};

struct TaskCheck {
  TaskMetric metric = TaskMetric::kChoice;
  int32_t passed = 0;
  int32_t made = 1;

  friend bool operator==(const TaskCheck&, const TaskCheck&) = default;
};

struct TaskResult {
  int32_t input_tokens = 0;
  int32_t output_tokens = 0;
  bool stopped = false;
  std::string output_digest;
  std::string answer;
  std::vector<TaskCheck> checks;
  std::vector<double> choice_log_likelihoods;
};

// DivergenceRecord of the wire.
struct WindowDivergence {
  int32_t positions = 0;
  double kl_sum = 0;
  int32_t same_top = 0;
  int32_t top_k = 0;
  int64_t shared_top = 0;
  // Where it was bounded from a summary of so many tokens, whose lower side then is `kl_sum`; 0: exact.
  int32_t summary_k = 0;
  double kl_upper_sum = 0;
};

// FP16's distributions over one window, for others to compare with.
struct WindowSummary {
  int32_t positions = 0;
  int32_t summary_k = 0;
  std::string bytes;  // worker/evaluate/summary.h
};

// SummaryRecord of the wire: that such a summary was handed over.
struct SummaryNote {
  int32_t positions = 0;
  int32_t summary_k = 0;
  int64_t bytes = 0;
  std::string digest;  // SHA-256, hex
};

}  // namespace uaqf::measure
