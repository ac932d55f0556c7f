#include "client/watch.h"

#include <algorithm>
#include <optional>
#include <random>

#include "client/failure.h"
#include "proto/wire/status.h"

namespace uaqf::client {
namespace {

absl::Status Interrupted() { return wire::Error(absl::StatusCode::kCancelled, kReasonInterrupted, "interrupted"); }

bool MayReconnect(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// One attempt of a stream: its status, and whether anything arrived.
struct Attempt {
  absl::Status status;
  bool progressed = false;
  // There is nothing more to come.
  bool complete = false;
};

absl::Status Repeat(const std::function<Attempt()>& stream, Cancellation& cancellation, const WatchOptions& options) {
  absl::Duration pause = options.pause;
  std::optional<absl::Time> away_since;
  std::mt19937 jitter(std::random_device{}());
  while (true) {
    const Attempt attempt = stream();
    if (attempt.complete) return absl::OkStatus();
    if (cancellation.cancelled()) return Interrupted();
    // A stream that ends well before the job does was ended by a coordinator that stops.
    if (!attempt.status.ok() && !MayReconnect(attempt.status)) return attempt.status;
    const absl::Time now = absl::Now();
    if (attempt.progressed) {
      away_since.reset();
      pause = options.pause;
    }
    if (!away_since) {
      away_since = now;
      options.on_gap(attempt.status.ok() ? "the coordinator ended the stream" : std::string(attempt.status.message()));
    }
    if (now - *away_since > options.patience) {
      return attempt.status.ok() ? absl::UnavailableError("the coordinator keeps ending the stream") : attempt.status;
    }
    // Many watchers come back after a restart: not all at once.
    const double part = std::uniform_real_distribution<double>(0.5, 1.0)(jitter);
    if (cancellation.WaitFor(pause * part)) return Interrupted();
    pause = std::min(pause * 2, options.longest_pause);
  }
}

}  // namespace

absl::StatusOr<v1::Job> FollowJob(Client& client, const std::string& job,
                                  const std::function<void(const v1::Job&)>& on_state, Cancellation& cancellation,
                                  const WatchOptions& options) {
  v1::Job last;
  bool away = false;
  WatchOptions told = options;
  told.on_gap = [&](const std::string& cause) {
    away = true;
    options.on_gap(cause);
  };
  const absl::Status status = Repeat(
      [&] {
        Attempt attempt;
        attempt.status = client.WatchJob(
            job,
            [&](const v1::Job& state) {
              if (away) options.on_gap("");
              away = false;
              attempt.progressed = true;
              last = state;
              on_state(state);
            },
            cancellation);
        attempt.complete = HasEnded(last.state());
        return attempt;
      },
      cancellation, told);
  if (!status.ok()) return status;
  return last;
}

absl::Status FollowRecords(Client& client, v1::StreamRecordsRequest request,
                           const std::function<void(const v1::StreamRecordsResponse&)>& on_batch,
                           Cancellation& cancellation, const WatchOptions& options) {
  return Repeat(
      [&] {
        Attempt attempt;
        attempt.status = client.StreamRecords(
            request,
            [&](const v1::StreamRecordsResponse& batch) {
              attempt.progressed = true;
              request.set_cursor(batch.cursor());
              on_batch(batch);
            },
            cancellation);
        attempt.complete = attempt.status.ok();
        return attempt;
      },
      cancellation, options);
}

}  // namespace uaqf::client
