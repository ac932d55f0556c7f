// Hands records over: batches them, sends them, keeps them until they are acknowledged, and sends everything
// unacknowledged again after the stream broke. Nothing is sent by itself while an item is measured: batches leave in
// Add, FlushIfDue and End, which the runner calls between items.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/link/attempt.h"
#include "worker/link/backoff.h"
#include "worker/link/stream.h"

namespace uaqf::link {

// Thread-safe.
class Records {
 public:
  struct Options {
    // "workers/{worker}".
    std::string worker;
    int64_t batch_records = 256;
    absl::Duration flush_interval = absl::Milliseconds(100);
    // Records and bytes that may wait for an acknowledgement; beyond, WaitForRoom waits.
    int64_t most_unacknowledged = 16384;
    int64_t most_unacknowledged_bytes = 16 << 20;
  };
  struct Listener {
    // The attempt's last batch is stored. On a gRPC thread, no lock held; must not block.
    std::function<void(const Attempt&)> stored;
    // A batch was refused (lease lost, rejected): everything of the attempt is dropped.
    std::function<void(const Attempt&, const std::string& reason)> lost;
    // Tend has something to do.
    std::function<void()> wake;
    // The coordinator twice ended the stream over what it cannot answer, with the attempt's batch first in line:
    // everything of the attempt is dropped, since sent again it would fail again.
    std::function<void(const Attempt&, const std::string& reason)> invalid = [](const auto&, const auto&) {};
  };

  // `stub` is borrowed.
  Records(Options options, v1::WorkerService::StubInterface* stub, Listener listener);
  // Ends the stream; what is unacknowledged is lost with it.
  ~Records();

  // Adds a record to the attempt's open batch. One attempt at a time: the one before was ended or dropped.
  void Add(const Attempt& attempt, v1::Record record);
  // Sends the open batch if the last one left long enough ago.
  void FlushIfDue(absl::Time now);
  // Sends the attempt's last batch. `end.record_count` is filled in here.
  void End(const Attempt& attempt, v1::AttemptEnd end);
  // Forgets everything of the attempt that is not acknowledged.
  void Drop(const Attempt& attempt);
  // False: still too much is unacknowledged after `patience`.
  bool WaitForRoom(absl::Duration patience);
  // Nothing is unacknowledged.
  bool Empty() const;

  // Opens the stream again when it broke and its backoff is over; from one thread, which may wait for the old call to
  // end. Returns when to call again at the latest.
  absl::Time Tend(absl::Time now);

 private:
  using RecordStream = Stream<v1::RecordBatch, v1::RecordAck>;
  struct Sent {
    Attempt attempt;
    std::shared_ptr<const v1::RecordBatch> batch;  // shared with the stream that writes it
    int64_t bytes = 0;
  };
  // The batch being filled, and what its attempt has handed over so far.
  struct Open {
    Attempt attempt;
    std::shared_ptr<v1::RecordBatch> batch;
    int64_t bytes = 0;
    int64_t next_sequence = 0;
    int32_t record_count = 0;
  };

  void Begin(const Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendOpen() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnAck(const v1::RecordAck& ack);
  void OnEnd(const grpc::Status& status);
  // The attempt that is given up after a stream that ended with INVALID_ARGUMENT, if any.
  std::optional<Attempt> GiveUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  v1::WorkerService::StubInterface* const stub_;
  const Listener listener_;

  mutable absl::Mutex mutex_;
  Open open_ ABSL_GUARDED_BY(mutex_);
  std::deque<Sent> unacknowledged_ ABSL_GUARDED_BY(mutex_);
  int64_t unacknowledged_records_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t unacknowledged_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_flush_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::unique_ptr<RecordStream> stream_ ABSL_GUARDED_BY(mutex_);
  bool stream_ended_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Time retry_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  Backoff backoff_ ABSL_GUARDED_BY(mutex_);
  // First in line when a stream ended with INVALID_ARGUMENT; nothing was acknowledged since.
  std::shared_ptr<const v1::RecordBatch> suspect_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace uaqf::link
