// An answer to a task, scored by the rules of the task's kind.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/measure/task.h"

namespace uaqf::evaluate {

// INVALID_ARGUMENT: a task that no answer could be scored by, e.g. without an answer, or with an unknown instruction.
[[nodiscard]] absl::Status CheckTask(const measure::Task& task);

// `answer` is the text before the stop; `stopped` tells whether anything but the limit of tokens ended it. Of choices
// `answer` is the label that was chosen. `task` has passed CheckTask.
std::vector<measure::TaskCheck> ScoreAnswer(const measure::Task& task, std::string_view answer, bool stopped);

}  // namespace uaqf::evaluate
