// Tasks of the wire as the worker sees them.
#pragma once

#include <uaqf/v1/prompt_set.pb.h>

#include "worker/measure/task.h"

namespace uaqf::link {

// A task of a kind that is not known here comes back without an answer, which scoring refuses.
measure::Task ToTask(const v1::Task& task);

}  // namespace uaqf::link
