// A worker that does only what a test tells it, over real sockets. Single-threaded: the coordinator answers every
// report, so waiting is reporting until the answer is the expected one. All calls end after 30 s at the latest.
#pragma once

#include <uaqf/v1/worker_service.grpc.pb.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace uaqf::test {

// Number of the lease's item at `place`.
std::int32_t ItemOf(const v1::Lease& lease, int place);

class FakeWorker {
 public:
  // Connects on the first use. `session` is random for a real process.
  FakeWorker(std::shared_ptr<grpc::Channel> channel, const std::string& name, const std::string& session = "session-1");
  ~FakeWorker();

  // What the next report says; set up with model "m" and the variants fp16, rtn-w8, rtn-w4.
  v1::WorkerState state;
  // Windows that it finds in any text.
  int text_windows = 4;
  // What becomes of each batch before it is sent; nothing when empty.
  std::function<void(const v1::Lease&, v1::RecordBatch&)> adjust;

  // Sends a report; the answer, or nothing when the stream has ended.
  std::optional<v1::DesiredState> Report();
  // Reports, does what is asked (hosts the variant at once, answers surveys with 10 tokens and text_windows), until
  // `done` or the stream's end.
  std::optional<v1::DesiredState> Await(const std::function<bool(const v1::DesiredState&)>& done);
  // The first lease it gets. Fails the test without one.
  v1::Lease AwaitLease();
  // Status of the session, after it ended. Ends it when it is open.
  grpc::Status FinishSession();

  // Records as a well-behaved worker makes them, one for each item of the lease.
  static std::vector<v1::Record> Measure(const v1::Lease& lease);
  // Records [first, last) of the lease as batch `sequence`; `last` of all sets the end.
  v1::RecordBatch Batch(const v1::Lease& lease, int sequence, int first, int last) const;
  // Sends on the records stream, opened when needed. Nothing: the stream ended without an answer.
  std::optional<v1::RecordAck> Send(const v1::RecordBatch& batch);
  // Writes without waiting for the answer.
  bool Write(const v1::RecordBatch& batch);
  // Ends the records stream; its status.
  grpc::Status FinishRecords();
  // The whole lease in one batch; true when it was stored.
  bool Complete(const v1::Lease& lease);
  // Runs whatever comes until `job` needs nothing more of it. Number of leases done.
  int RunUntilIdle();

 private:
  std::unique_ptr<grpc::ClientContext> Context();

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> session_context_, records_context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerState, v1::DesiredState>> session_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::RecordBatch, v1::RecordAck>> records_;
};

}  // namespace uaqf::test
