#include "client/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

namespace uaqf::client {
namespace {

// A handler may only write to a pipe: the thread at the other end does the work.
std::atomic<int> handler_pipe{-1};
static_assert(std::atomic<int>::is_always_lock_free);

constexpr char kInterrupted = 'i';
constexpr char kEnd = 'e';

void OnSignal(int) {
  const int saved = errno;
  const char byte = kInterrupted;
  if (write(handler_pipe.load(), &byte, 1) < 0) errno = 0;
  errno = saved;
}

}  // namespace

InterruptGuard::InterruptGuard(std::function<void()> on_interrupt) {
  std::array<int, 2> ends;
  // Without a pipe Ctrl-C keeps its usual effect.
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return;
  read_end_ = ends[0];
  write_end_ = ends[1];
  handler_pipe = write_end_;
  thread_ = std::thread([this, act = std::move(on_interrupt)] {
    char byte = kEnd;
    while (read(read_end_, &byte, 1) < 0 && errno == EINTR) {
    }
    if (byte == kInterrupted) act();
  });
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
  if (!thread_.joinable()) return;
  signal(SIGINT, SIG_DFL);
  const char byte = kEnd;
  while (write(write_end_, &byte, 1) < 0 && errno == EINTR) {
  }
  thread_.join();
  handler_pipe = -1;
  close(read_end_);
  close(write_end_);
}

}  // namespace uaqf::client
