// The client's end of a bidirectional stream over gRPC's callback API: messages are queued and written one at a time,
// what arrives is handed to a function.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace uaqf::link {

// One call. Thread-safe. The handlers run on gRPC's threads, one at a time, with no lock held; they must not block and
// must not destroy the stream. The channel must outlive it.
template <class Out, class In>
class Stream final : public grpc::ClientBidiReactor<Out, In> {
 public:
  struct Handlers {
    std::function<void(const In&)> on_message;
    // Once, last: the call is over, nothing can be sent any more.
    std::function<void(const grpc::Status&)> on_end;
  };

  explicit Stream(Handlers handlers) : handlers_(std::move(handlers)) {}

  // Cancels the call and waits for its end; no handler runs afterwards.
  ~Stream() override {
    if (!started_) return;
    context_.TryCancel();
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
  }

  // `open` starts the call on a stub: [stub](context, reactor) { stub->async()->Session(context, reactor); }.
  // With `patient` the call waits for the channel to connect; without, it ends with the reason when that fails.
  void Start(const std::function<void(grpc::ClientContext*, grpc::ClientBidiReactor<Out, In>*)>& open,
             bool patient = true) {
    started_ = true;
    context_.set_wait_for_ready(patient);
    open(&context_, this);
    // Writes come from outside of reactions until reading ends.
    this->AddHold();
    this->StartRead(&incoming_);
    this->StartCall();
  }

  // Queues a message; it is shared with the caller, who may keep it for sending it again. Dropped when the call is
  // over: on_end tells.
  void Send(std::shared_ptr<const Out> message) {
    const absl::MutexLock lock(&mutex_);
    if (ended_) return;
    queue_.push_back(std::move(message));
    PumpLocked();
  }

  // Like Send, in place of what is queued and not being written yet: for states, of which only the latest counts.
  void SendLatest(std::shared_ptr<const Out> message) {
    const absl::MutexLock lock(&mutex_);
    if (ended_) return;
    queue_.resize(writing_ ? 1 : 0);
    queue_.push_back(std::move(message));
    PumpLocked();
  }

 private:
  void OnReadDone(bool ok) override {
    if (ok) {
      handlers_.on_message(incoming_);
      this->StartRead(&incoming_);
      return;
    }
    {
      const absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    this->RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
    queue_.pop_front();
    if (ok) PumpLocked();
  }

  void OnDone(const grpc::Status& status) override {
    handlers_.on_end(status);
    const absl::MutexLock lock(&mutex_);
    done_ = true;
  }

  void PumpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || ended_ || queue_.empty()) return;
    writing_ = true;
    this->StartWrite(queue_.front().get());
  }

  const Handlers handlers_;
  grpc::ClientContext context_;
  In incoming_;
  bool started_ = false;  // set before the call, read after it

  absl::Mutex mutex_;
  // The front is being written while `writing_`; gRPC needs it unchanged until then.
  std::deque<std::shared_ptr<const Out>> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace uaqf::link
