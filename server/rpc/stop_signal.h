// SIGTERM and SIGINT as something to wait for. The handler does nothing: the signals are blocked and fetched.
#pragma once

#include <atomic>
#include <thread>

#include "absl/time/time.h"

namespace uaqf::rpc {

class StopSignal {
 public:
  // Blocks both signals in this thread and those it starts from now on: construct it before any other thread.
  StopSignal();
  // Ends the watch, joins.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Returns the first signal's number.
  int Wait();
  // From now until destruction: a second signal, or `longest` gone by, ends the process at once with exit code 1.
  void AbortOnSecond(absl::Duration longest);

 private:
  std::atomic<bool> done_{false};
  std::thread watch_;
};

}  // namespace uaqf::rpc
