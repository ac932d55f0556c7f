// Streams that outlive a coordinator's restart.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/client.h"

namespace uaqf::client {

struct WatchOptions {
  // How long a coordinator may be gone before the watch gives up.
  absl::Duration patience = absl::Minutes(2);
  // Pause before a stream is opened again; doubles up to `longest_pause` while there is no answer.
  absl::Duration pause = absl::Milliseconds(250);
  absl::Duration longest_pause = absl::Seconds(5);
  // Told once for each interruption, with the cause, and once when it is over ("").
  std::function<void(const std::string&)> on_gap = [](const std::string&) {};
};

// Watches `job` until it ends and returns its last state; opens the stream again while the coordinator is away.
// INTERRUPTED (reason) when `cancellation` is cancelled: the job goes on. Unavailable: away for longer than the
// patience. NotFound: no such job.
[[nodiscard]] absl::StatusOr<v1::Job> FollowJob(Client& client, const std::string& job,
                                                const std::function<void(const v1::Job&)>& on_state,
                                                Cancellation& cancellation, const WatchOptions& options = {});

// Streams the records of `request.job` in order, each once, going on from the last cursor after an interruption.
// Same errors.
[[nodiscard]] absl::Status FollowRecords(Client& client, v1::StreamRecordsRequest request,
                                         const std::function<void(const v1::StreamRecordsResponse&)>& on_batch,
                                         Cancellation& cancellation, const WatchOptions& options = {});

}  // namespace uaqf::client
