// Ctrl-C as a request to stop watching, not to die in the middle of a line.
#pragma once

#include <functional>
#include <thread>

namespace uaqf::client {

// While it lives, the first SIGINT calls `on_interrupt` once, on a thread of its own (never inside a signal handler);
// a second SIGINT ends the process as usual. At most one object at a time.
class InterruptGuard {
 public:
  explicit InterruptGuard(std::function<void()> on_interrupt);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  int read_end_ = -1;
  int write_end_ = -1;
  std::thread thread_;
};

}  // namespace uaqf::client
