#include "worker/link/host.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "proto/wire/channel.h"
#include "proto/wire/names.h"
#include "spdlog/spdlog.h"
#include "worker/link/convert.h"

namespace uaqf::link {
namespace {

std::string RandomSession() {
  std::random_device random;
  return absl::StrFormat("%08x%08x", random(), random());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Host>> Host::Create(HostOptions options, std::function<void()> on_refused) {
  if (auto name = wire::ParseWorkerName(wire::WorkerName(options.worker)); !name.ok()) return name.status();
  auto channel = wire::Dial(options.server, options.security);
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<Host>(new Host(std::move(options), *std::move(channel), std::move(on_refused)));
}

Host::Host(HostOptions options, std::shared_ptr<grpc::Channel> channel, std::function<void()> on_refused)
    : options_(std::move(options)),
      on_refused_(std::move(on_refused)),
      channel_(std::move(channel)),
      stub_(v1::WorkerService::NewStub(channel_)),
      board_({wire::WorkerName(options_.worker), RandomSession(), ToProto(options_.device.monitor->device()),
              options_.build},
             [this] { session_.Want(); }),
      session_(stub_.get(), &board_, options_.device.clock, [this] { Wake(); }),
      records_({.worker = wire::WorkerName(options_.worker)}, stub_.get(),
               {.stored = [this](const Attempt& attempt) { board_.Settled(attempt); },
                .lost =
                    [this](const Attempt& attempt, const std::string& reason) {
                      spdlog::info("{} refused: {}", ToString(attempt), reason);
                      board_.Settled(attempt);
                    },
                .wake = [this] { Wake(); },
                .invalid =
                    [this](const Attempt& attempt, const std::string& reason) {
                      spdlog::error("{} failed: the coordinator cannot read its records: {}", ToString(attempt),
                                    reason);
                      board_.Failed(attempt, absl::StrCat("its records cannot be read: ", reason));
                    }}),
      prompts_(stub_.get()),
      runner_({&board_, &session_, &records_, &prompts_, options_.device, options_.build, stub_.get(),
               wire::WorkerName(options_.worker)}) {}

Host::~Host() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  board_.Stop();
  if (runner_thread_.joinable()) runner_thread_.join();
  if (link_thread_.joinable()) link_thread_.join();
}

void Host::Start() {
  link_thread_ = std::thread([this] { TendStreams(); });
  runner_thread_ = std::thread([this] { runner_.Run(); });
}

void Host::Wake() {
  const absl::MutexLock lock(&mutex_);
  woken_ = true;
}

void Host::TendStreams() {
  while (true) {
    const absl::Time now = absl::Now();
    const absl::StatusOr<absl::Time> next_report = session_.Tend(now);
    const absl::Time next_records = records_.Tend(now);
    if (!next_report.ok()) {
      {
        const absl::MutexLock lock(&mutex_);
        failure_ = next_report.status();
      }
      board_.Stop();
      on_refused_();
    }
    const absl::MutexLock lock(&mutex_);
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return woken_ || stopping_; };
    if (!next_report.ok()) {
      mutex_.Await(absl::Condition(&stopping_));
    } else {
      mutex_.AwaitWithDeadline(absl::Condition(&ready), std::min(*next_report, next_records));
    }
    if (stopping_) return;
    woken_ = false;
  }
}

bool Host::Drain(absl::Duration grace) {
  const absl::Time deadline = absl::Now() + grace;
  board_.Drain();
  if (!board_.WaitUntilQuiescent(grace)) return false;
  // One more report tells the coordinator that nothing is left here. A courtesy: where none is there to hear it,
  // nothing is lost.
  const int64_t sent = session_.sent_sequence();
  session_.Want();
  (void)session_.WaitUntilAnswered(sent + 1, deadline - absl::Now());
  return true;
}

absl::Status Host::failure() const {
  const absl::MutexLock lock(&mutex_);
  return failure_;
}

}  // namespace uaqf::link
