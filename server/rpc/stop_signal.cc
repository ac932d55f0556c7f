#include "server/rpc/stop_signal.h"

#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>

namespace uaqf::rpc {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int StopSignal::Wait() {
  const sigset_t set = StopSignals();
  int signal = 0;
  while (sigwait(&set, &signal) != 0) {
  }
  return signal;
}

void StopSignal::AbortOnSecond(absl::Duration longest) {
  watch_ = std::thread([this, longest] {
    const sigset_t set = StopSignals();
    const timespec timeout = absl::ToTimespec(longest);
    int got = 0;
    do {
      got = sigtimedwait(&set, nullptr, &timeout);
    } while (got < 0 && errno == EINTR);
    if (done_) return;
    spdlog::error("{}: ending at once", got < 0 ? "the stop takes too long" : "a second signal came");
    _exit(1);
  });
}

StopSignal::~StopSignal() {
  done_ = true;
  if (!watch_.joinable()) return;
  pthread_kill(watch_.native_handle(), SIGTERM);
  watch_.join();
}

}  // namespace uaqf::rpc
