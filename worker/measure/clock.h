// Monotonic time, cut as an interface so that tests decide what every region took.
#pragma once

#include <cstdint>

namespace uaqf::measure {

class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since an arbitrary start; never goes back. Thread-safe.
  virtual int64_t NowNs() = 0;
};

// CLOCK_MONOTONIC.
class SteadyClock final : public Clock {
 public:
  int64_t NowNs() override;
};

}  // namespace uaqf::measure
