#include "worker/measure/clock.h"

#include <chrono>

namespace uaqf::measure {

int64_t SteadyClock::NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace uaqf::measure
