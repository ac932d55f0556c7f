// The two long streams of a worker: Session and Records.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/metrics/metrics.h"
#include "server/rpc/coordinator.h"
#include "server/rpc/stream.h"

namespace uaqf::rpc {

// What a worker stream needs of its server; borrowed.
struct WorkerContext {
  Coordinator* coordinator = nullptr;
  StreamRegistry* streams = nullptr;
  metrics::Metrics* metrics = nullptr;
};

// PERMISSION_DENIED (WRONG_WORKER) when the caller's certificate is not that worker's.
[[nodiscard]] absl::Status MayBe(const grpc::CallbackServerContext& call, const std::string& worker);

// A bidi stream of bytes whose writes are serialized and which is finished once.
// The subclass gives NextWrite (what to send now, if anything) and is told of reads; `mutex_` guards its state.
class WorkerStream : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // `method` is a literal.
  WorkerStream(grpc::CallbackServerContext* call, const WorkerContext& context, const char* method);

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override;

 protected:
  // What came. Not OK ends the stream with it.
  virtual absl::Status OnMessage(const grpc::ByteBuffer& bytes) = 0;
  // The peer will send no more; the stream ends when nothing is left to write.
  virtual bool MayEnd() ABSL_SHARED_LOCKS_REQUIRED(mutex_) = 0;
  virtual std::optional<grpc::ByteBuffer> NextWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) = 0;
  // False holds the next read back until Pump finds room.
  virtual bool MayRead() ABSL_SHARED_LOCKS_REQUIRED(mutex_) = 0;
  // After the last reaction; the object lives as long as `self_` is held.
  virtual void OnEnd() {}

  // Begins the first read. Call once, after the object is held by a shared_ptr.
  void Begin(std::shared_ptr<WorkerStream> self, std::shared_ptr<EndableStream> endable);
  // Starts whatever can be started now: a write, a read, the end.
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ended() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return end_.has_value(); }
  grpc::CallbackServerContext* call() const { return call_; }

  absl::Mutex mutex_;
  const WorkerContext context_;

 private:
  grpc::CallbackServerContext* const call_;
  const char* const method_;
  grpc::ByteBuffer in_;  // gRPC's between StartRead and OnReadDone
  grpc::ByteBuffer out_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<WorkerStream> self_;
  EndableStream* registered_ = nullptr;
};

class SessionStream final : public WorkerStream, public WorkerSession, public EndableStream {
 public:
  static SessionStream* Start(grpc::CallbackServerContext* call, const WorkerContext& context);
  using WorkerStream::WorkerStream;

  std::optional<core::WorkerReport> TakeReport() override ABSL_LOCKS_EXCLUDED(mutex_);
  void Send(const core::DesiredState& desired) override ABSL_LOCKS_EXCLUDED(mutex_);
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_);

 protected:
  absl::Status OnMessage(const grpc::ByteBuffer& bytes) override ABSL_LOCKS_EXCLUDED(mutex_);
  bool MayEnd() override { return true; }
  std::optional<grpc::ByteBuffer> NextWrite() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRead() override { return true; }
  void OnEnd() override;

 private:
  std::weak_ptr<SessionStream> weak_;
  // Of the first message; every other must have the same. Touched by OnMessage alone: reads come one by one.
  std::string worker_;
  std::string session_;
  std::optional<core::WorkerReport> report_ ABSL_GUARDED_BY(mutex_);  // the latest not taken
  std::optional<grpc::ByteBuffer> desired_ ABSL_GUARDED_BY(mutex_);   // the latest not sent
};

class RecordsStream final : public WorkerStream, public RecordStream, public EndableStream {
 public:
  static RecordsStream* Start(grpc::CallbackServerContext* call, const WorkerContext& context);
  using WorkerStream::WorkerStream;

  void Ack(const core::AttemptId& attempt, std::int64_t sequence, const core::BatchReply& reply) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mutex_);

 protected:
  absl::Status OnMessage(const grpc::ByteBuffer& bytes) override ABSL_LOCKS_EXCLUDED(mutex_);
  bool MayEnd() override ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return waiting_.empty(); }
  std::optional<grpc::ByteBuffer> NextWrite() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayRead() override ABSL_SHARED_LOCKS_REQUIRED(mutex_);

 private:
  std::weak_ptr<RecordsStream> weak_;
  // Sizes of the batches whose acknowledgement is not written yet, oldest first.
  std::deque<std::size_t> waiting_ ABSL_GUARDED_BY(mutex_);
  std::size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<grpc::ByteBuffer> acks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace uaqf::rpc
