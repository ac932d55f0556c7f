#include "worker/link/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/wire/status.h"
#include "spdlog/spdlog.h"

namespace uaqf::link {
namespace {

// Reports that are wanted follow each other no closer than this.
constexpr absl::Duration kShortestGap = absl::Milliseconds(5);
constexpr absl::Duration kLongestInterval = absl::Seconds(60);
// Silence that is worth a line in the log.
constexpr absl::Duration kSilence = absl::Seconds(5);

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// Refusals that no retry will change.
absl::Status Refusal(const grpc::Status& status) {
  const absl::Status error = wire::FromGrpc(status);
  switch (error.code()) {
    case absl::StatusCode::kAborted:
      return absl::AbortedError(absl::StrCat("the coordinator ended this session: ", error.message(),
                                             "; does another process use this worker name? Give each its own"));
    case absl::StatusCode::kInvalidArgument:
      return absl::InvalidArgumentError(absl::StrCat("the coordinator refuses this worker: ", error.message()));
    case absl::StatusCode::kUnimplemented:
      return absl::UnimplementedError(
          "no WorkerService at that address: expected the coordinator's worker port "
          "(uaqf-server --worker-listen, 7601 by default), not its client port");
    default:
      return absl::OkStatus();
  }
}

}  // namespace

Session::Session(v1::WorkerService::StubInterface* stub, Board* board, measure::Clock* clock,
                 std::function<void()> wake)
    : stub_(stub), board_(board), clock_(clock), wake_(std::move(wake)) {}

Session::~Session() {
  std::unique_ptr<StateStream> stream;
  {
    const absl::MutexLock lock(&mutex_);
    stream = std::move(stream_);
    lonely_ = true;  // on purpose: nothing to log
  }
  stream.reset();
}

void Session::Want() {
  bool measuring = false;
  {
    const absl::MutexLock lock(&mutex_);
    wanted_ = true;
    measuring = measuring_;
  }
  if (!measuring) wake_();
}

void Session::SetMeasuring(bool measuring) {
  {
    const absl::MutexLock lock(&mutex_);
    measuring_ = measuring;
  }
  if (!measuring) wake_();
}

bool Session::DueLocked(absl::Time now) const {
  if (stream_ == nullptr || ended_) return false;
  return now - last_report_ >= (wanted_ ? kShortestGap : interval_);
}

void Session::ReportIfDue(absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  if (DueLocked(now)) SendLocked(now);
}

void Session::SendLocked(absl::Time now) {
  wanted_ = false;
  last_report_ = now;
  auto report = std::make_shared<v1::WorkerState>(board_->Report());
  sent_ = report->sequence();
  stream_->SendLatest(std::move(report));
}

void Session::OnDesired(const v1::DesiredState& desired) {
  bool found = false;
  {
    const absl::MutexLock lock(&mutex_);
    backoff_.Reset();
    found = std::exchange(lonely_, false);
    last_heard_ = absl::Now();
    answered_ = desired.acknowledged_sequence();
    if (desired.has_next_report_in()) {
      interval_ = std::clamp(FromProto(desired.next_report_in()), kShortestGap, kLongestInterval);
    }
  }
  if (found) spdlog::info("connected to the coordinator again");
  board_->Apply(desired, clock_->NowNs());
}

void Session::OnEnd(const grpc::Status& status) {
  bool lost = false, unreached = false;
  {
    const absl::MutexLock lock(&mutex_);
    ended_ = true;
    refused_ = Refusal(status);
    retry_at_ = absl::Now() + backoff_.Next();
    unreached = std::exchange(asking_why_, false) && status.error_code() == grpc::StatusCode::UNAVAILABLE;
    lost = refused_.ok() && !std::exchange(lonely_, true);
  }
  if (unreached) {
    spdlog::warn(
        "cannot connect to the coordinator: {}; expected its worker port, and the security it was started with: "
        "--insecure-dev as there, or --tls-cert, --tls-key and --tls-ca of its authority; still trying",
        status.error_message());
  }
  if (lost) spdlog::warn("lost the coordinator: {}; trying again", status.error_message());
  wake_();
}

absl::StatusOr<absl::Time> Session::Tend(absl::Time now) {
  std::unique_ptr<StateStream> old;
  absl::Time next;
  bool silent = false, unheard = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (!refused_.ok()) return refused_;
    if (ended_ && now < retry_at_) return retry_at_;
    if (ended_) {
      old = std::move(stream_);
    } else {
      const absl::Duration limit = measuring_ ? 2 * interval_ : wanted_ ? kShortestGap : interval_;
      if (now - last_report_ >= limit) SendLocked(now);
      next = last_report_ + (measuring_ ? 2 * interval_ : wanted_ ? kShortestGap : interval_);
      silent = now - std::max(last_heard_, opened_) > kSilence && !std::exchange(lonely_, true);
      unheard = silent && last_heard_ < opened_;
      // A call that waits for the channel never says why that does not connect.
      if (unheard) old = std::move(stream_);
    }
  }
  if (silent) spdlog::warn("no answer from the coordinator for {} s; still trying", absl::ToInt64Seconds(kSilence));
  if (old == nullptr && next != absl::Time()) return next;
  old.reset();
  Open(now, /*patient=*/!unheard);
  return now + kSilence;
}

void Session::Open(absl::Time now, bool patient) {
  auto fresh = std::make_unique<StateStream>(
      StateStream::Handlers{[this](const v1::DesiredState& desired) { OnDesired(desired); },
                            [this](const grpc::Status& status) { OnEnd(status); }});
  StateStream* const started = fresh.get();
  const absl::MutexLock lock(&mutex_);
  ended_ = false;
  opened_ = now;
  asking_why_ = !patient;
  stream_ = std::move(fresh);
  started->Start([this](grpc::ClientContext* context, auto* reactor) { stub_->async()->Session(context, reactor); },
                 patient);
  SendLocked(now);
}

int64_t Session::sent_sequence() const {
  const absl::MutexLock lock(&mutex_);
  return sent_;
}

bool Session::WaitUntilAnswered(int64_t sequence, absl::Duration patience) const {
  const absl::MutexLock lock(&mutex_);
  const auto over = [this, sequence]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return answered_ >= sequence || lonely_; };
  mutex_.AwaitWithTimeout(absl::Condition(&over), patience);
  return answered_ >= sequence;
}

}  // namespace uaqf::link
