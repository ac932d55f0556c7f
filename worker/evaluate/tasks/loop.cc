#include "worker/evaluate/tasks/loop.h"

#include <algorithm>

#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {

bool EndsInLoop(std::span<const int32_t> ids) {
  const auto size = static_cast<int64_t>(ids.size());
  for (int64_t period = 1; period * kLoopRepeats <= size; ++period) {
    int64_t looped = period;
    while (looped < size &&
           ids[static_cast<size_t>(size - 1 - looped)] == ids[static_cast<size_t>(size - 1 - looped + period)]) {
      ++looped;
    }
    if (looped >= std::max(kShortestLoop, period * kLoopRepeats)) return true;
  }
  return false;
}

bool RepeatsLine(std::string_view text) {
  std::string_view last;
  int times = 0;
  static const Regex line = Regex::Known("[^\n]+");
  for (const Regex::Match& match : line.FindAll(text)) {
    const std::string_view stripped = Strip(match.whole);
    if (Words(stripped).size() < 3) continue;
    times = stripped == last ? times + 1 : 1;
    last = stripped;
    if (times >= kLoopRepeats) return true;
  }
  return false;
}

}  // namespace uaqf::evaluate
