// SIGTERM and SIGINT as something to wait for.
#pragma once

#include <memory>

#include "absl/status/statusor.h"

namespace uaqf::link {

// Made once, before any other thread: from then on the two signals are blocked in the whole process.
class StopSignal {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<StopSignal>> Create();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Waits, without using the processor, for a signal or for Raise. The next signal ends the process at once.
  void Wait();
  // Wakes Wait. Any thread.
  void Raise();

 private:
  StopSignal(int signals, int raised) : signals_(signals), raised_(raised) {}

  const int signals_;
  const int raised_;
};

}  // namespace uaqf::link
