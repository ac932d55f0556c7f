#include "worker/link/stop_signal.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace uaqf::link {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StopSignal>> StopSignal::Create() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const int signals = signalfd(-1, &set, SFD_CLOEXEC);
  const int raised = eventfd(0, EFD_CLOEXEC);
  if (signals < 0 || raised < 0) {
    return absl::UnavailableError(absl::StrCat("cannot wait for signals: ", strerror(errno)));
  }
  return std::unique_ptr<StopSignal>(new StopSignal(signals, raised));
}

StopSignal::~StopSignal() {
  close(signals_);
  close(raised_);
}

void StopSignal::Wait() {
  pollfd files[] = {{signals_, POLLIN, 0}, {raised_, POLLIN, 0}};
  while (poll(files, 2, -1) < 0 && errno == EINTR) {
  }
  // Taken from the queue, so that unblocking does not deliver it; the next one kills.
  if ((files[0].revents & POLLIN) != 0) {
    signalfd_siginfo info;
    if (read(signals_, &info, sizeof(info)) < 0) return;
  }
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignal::Raise() { eventfd_write(raised_, 1); }

}  // namespace uaqf::link
