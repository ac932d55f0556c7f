// The worker port: sessions, leases, record batches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "proto/wire/channel.h"
#include "proto/wire/digest.h"
#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

// A job that waits for a worker; the worker that makes its model known goes away again.
std::string QueueJob(TestServer& server) {
  FakeWorker scout(server.worker_channel(), "scout");
  EXPECT_TRUE(scout.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  EXPECT_TRUE(job.ok()) << job.status();
  return job->name();
}

TEST(Session, IsEndedByANewerOneOfTheSameWorker) {
  TestServer server;
  FakeWorker old(server.worker_channel(), "w", "first");
  ASSERT_TRUE(old.Report().has_value());
  FakeWorker fresh(server.worker_channel(), "w", "second");
  ASSERT_TRUE(fresh.Report().has_value());
  const absl::Status ended = wire::FromGrpc(old.FinishSession());
  EXPECT_EQ(ended.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(wire::Reason(ended), "SESSION_REPLACED");

  // A process that slept through its replacement must not throw the new one out.
  FakeWorker late(server.worker_channel(), "w", "first");
  EXPECT_FALSE(late.Report().has_value());
  EXPECT_EQ(wire::Reason(wire::FromGrpc(late.FinishSession())), "SESSION_REPLACED");
  EXPECT_TRUE(fresh.Report().has_value());
}

TEST(Session, WithoutADeviceIsRefused) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  worker.state.clear_device();
  EXPECT_FALSE(worker.Report().has_value());
  const absl::Status ended = wire::FromGrpc(worker.FinishSession());
  EXPECT_EQ(ended.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(wire::Reason(ended), "NO_DEVICE");
}

TEST(Session, ShowsTheWorkerUntilItEnds) {
  TestServer server;
  const auto workers = [&] {
    v1::ListWorkersResponse response;
    EXPECT_TRUE(server.evaluation().ListWorkers(Within30s().get(), v1::ListWorkersRequest(), &response).ok());
    return response.workers_size();
  };
  EXPECT_EQ(workers(), 0);
  {
    FakeWorker worker(server.worker_channel(), "w");
    ASSERT_TRUE(worker.Report().has_value());
    EXPECT_EQ(workers(), 1);
    v1::ListVariantsRequest request;
    request.set_model("m");
    v1::ListVariantsResponse variants;
    ASSERT_TRUE(server.evaluation().ListVariants(Within30s().get(), request, &variants).ok());
    EXPECT_EQ(variants.variants_size(), 3);
  }
  EXPECT_TRUE(Eventually([&] { return workers() == 0; }));
}

// A job whose first lease is a summary, and the worker that has it.
struct Summarizing {
  explicit Summarizing(rpc::ServerOptions options = TestServer::Options())
      : server(std::move(options)), worker(server.worker_channel(), "w") {
    EXPECT_TRUE(worker.Report().has_value());
    v1::CreateJobRequest request = server.Request("r");
    v1::QualitySpec& quality = *request.mutable_spec()->mutable_quality();
    quality.set_text_set(server.Upload(2, v1::PROMPT_SET_KIND_TEXT));
    quality.set_context_tokens(16);
    quality.set_divergence(true);
    quality.set_divergence_mode(v1::DIVERGENCE_MODE_STREAMED);
    EXPECT_TRUE(server.Create(request).ok());
    while (lease.kind() != v1::CHUNK_KIND_SUMMARY) {
      lease = worker.AwaitLease();
      if (lease.kind() != v1::CHUNK_KIND_SUMMARY && !worker.Complete(lease)) break;
    }
    header.set_worker("workers/w");
    *header.mutable_attempt() = lease.attempt();
    header.set_window(ItemOf(lease, 0));
    header.set_summary_k(lease.summary_k());
  }

  // In pieces of 300,000 bytes, under a header that fits unless it was told something else.
  absl::Status Put(const std::string& bytes, bool with_header = true) {
    const auto stub = v1::WorkerService::NewStub(server.worker_channel());
    const auto context = Within30s();
    v1::PutSummaryResponse response;
    const auto writer = stub->PutSummary(context.get(), &response);
    v1::SummaryPiece piece;
    *piece.mutable_header() = header;
    if (header.bytes() == 0) piece.mutable_header()->set_bytes(static_cast<std::int64_t>(bytes.size()));
    if (header.digest().empty()) piece.mutable_header()->set_digest(wire::Sha256Hex(bytes));
    bool open = !with_header || writer->Write(piece);
    for (std::size_t at = 0; open && at < bytes.size(); at += 300'000) {
      piece.set_data(bytes.substr(at, 300'000));
      open = writer->Write(piece);
    }
    writer->WritesDone();
    return wire::FromGrpc(writer->Finish());
  }

  absl::StatusOr<std::string> Fetch() {
    const auto stub = v1::WorkerService::NewStub(server.worker_channel());
    const auto context = Within30s();
    v1::FetchSummaryRequest request;
    request.set_job(lease.attempt().job());
    request.set_window(header.window());
    request.set_summary_k(header.summary_k());
    const auto reader = stub->FetchSummary(context.get(), request);
    v1::SummaryPiece piece;
    std::string bytes;
    v1::SummaryHeader got;
    while (reader->Read(&piece)) {
      if (piece.has_header()) got = piece.header();
      bytes += piece.data();
    }
    const absl::Status status = wire::FromGrpc(reader->Finish());
    if (!status.ok()) return status;
    EXPECT_EQ(got.bytes(), static_cast<std::int64_t>(bytes.size()));
    EXPECT_EQ(got.digest(), wire::Sha256Hex(bytes));
    return bytes;
  }

  TestServer server;
  FakeWorker worker;
  v1::Lease lease;
  v1::SummaryHeader header;
};

TEST(Summaries, ComeBackAsTheyWereSent) {
  Summarizing job;
  std::string bytes(1'200'000, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 5);
  EXPECT_EQ(wire::Reason(job.Fetch().status()), "SUMMARY_NOT_FOUND");
  for (int again = 0; again < 2; ++again) ASSERT_TRUE(job.Put(bytes).ok());
  const auto fetched = job.Fetch();
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_TRUE(*fetched == bytes);
}

// Situation: the worker process came again, so that its chunk has a new epoch.
TEST(Summaries, OfALeaseThatWasLostAreRefused) {
  Summarizing job;
  FakeWorker second(job.server.worker_channel(), "w", "second");
  ASSERT_TRUE(second.Report().has_value());
  const absl::Status refused = job.Put("stale");
  EXPECT_EQ(refused.code(), absl::StatusCode::kAborted) << refused;
  EXPECT_EQ(wire::Reason(refused), "LEASE_LOST");
  EXPECT_EQ(wire::Reason(job.Fetch().status()), "SUMMARY_NOT_FOUND");
}

TEST(Summaries, AreRefusedUnlessTheyAreWhatTheirHeaderSays) {
  Summarizing job;
  EXPECT_EQ(wire::Reason(job.Put("abc", /*with_header=*/false)), "NO_HEADER");
  job.header.set_bytes(4);
  EXPECT_EQ(wire::Reason(job.Put("abc")), "WRONG_BYTES");
  job.header.set_bytes(2);
  EXPECT_EQ(wire::Reason(job.Put("abc")), "WRONG_SIZE");
  job.header.set_bytes(0);
  job.header.set_digest(wire::Sha256Hex("abd"));
  EXPECT_EQ(wire::Reason(job.Put("abc")), "WRONG_BYTES");
  job.header.set_bytes(std::int64_t{1} << 40);
  EXPECT_EQ(wire::Reason(job.Put("abc")), "SUMMARY_TOO_LARGE");
  EXPECT_FALSE(job.Fetch().ok());
}

TEST(Summaries, AreLimitedForAJobAndUnderWay) {
  rpc::ServerOptions options = TestServer::Options();
  options.limits.summary_job_bytes = 5;
  options.limits.summary_upload_bytes = 8;
  Summarizing job(options);
  const absl::Status full = job.Put("123456");
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  EXPECT_EQ(wire::Reason(full), "SUMMARIES_TOO_LARGE");
  EXPECT_THAT(std::string(full.message()), testing::HasSubstr("quality.max_windows"));
  const absl::Status busy = job.Put("123456789");
  EXPECT_EQ(busy.code(), absl::StatusCode::kUnavailable) << busy;
  EXPECT_TRUE(job.Put("12345").ok());
}

TEST(Summaries, GoWithTheirJob) {
  Summarizing job;
  ASSERT_TRUE(job.Put("abc").ok());
  ASSERT_TRUE(job.server.Cancel(job.lease.attempt().job()).ok());
  EXPECT_EQ(wire::Reason(job.Fetch().status()), "SUMMARY_NOT_FOUND");
  EXPECT_EQ(wire::Reason(job.Put("abc")), "LEASE_LOST");
}

TEST(Records, OfALeaseThatWasLostAreRefused) {
  TestServer server;
  const std::string job = QueueJob(server);
  FakeWorker first(server.worker_channel(), "w", "first");
  const v1::Lease lease = first.AwaitLease();
  // The process died and came again: its leases are lost at once, and the chunk gets a new epoch.
  FakeWorker second(server.worker_channel(), "w", "second");
  const v1::Lease again = second.AwaitLease();
  EXPECT_EQ(again.attempt().chunk(), lease.attempt().chunk());
  EXPECT_GT(again.attempt().epoch(), lease.attempt().epoch());

  const auto stale = first.Send(first.Batch(lease, 0, 0, lease.item_count()));
  ASSERT_TRUE(stale.has_value());
  EXPECT_EQ(stale->verdict(), v1::RECORD_VERDICT_LEASE_LOST);
  EXPECT_EQ(server.Records(job).size(), 0u);
  EXPECT_TRUE(second.Complete(again));
}

TEST(Records, SentAgainAfterAReconnectAreStoredOnce) {
  TestServer server;
  const std::string job = QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  ASSERT_EQ(lease.item_count(), 2);
  const v1::RecordBatch first = worker.Batch(lease, 0, 0, 1);
  const v1::RecordBatch last = worker.Batch(lease, 1, 1, 2);
  ASSERT_TRUE(worker.Send(first).has_value());
  EXPECT_TRUE(worker.FinishRecords().ok()) << "a half-closed stream ends well";
  for (int i = 0; i < 3; ++i) {
    for (const v1::RecordBatch& batch : {first, last}) {
      const auto ack = worker.Send(batch);
      ASSERT_TRUE(ack.has_value());
      EXPECT_EQ(ack->verdict(), v1::RECORD_VERDICT_STORED);
      EXPECT_EQ(ack->sequence(), batch.sequence());
    }
    EXPECT_TRUE(worker.FinishRecords().ok());
  }
  EXPECT_EQ(server.Records(job).size(), 2u);
}

TEST(Records, CarryWhatTheGpuDidWithTheFirstOfAnAttempt) {
  TestServer server;
  const std::string job = QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  v1::RecordBatch batch = worker.Batch(lease, 0, 0, lease.item_count());
  v1::GpuEvidence& gpu = *batch.mutable_end()->mutable_evidence()->mutable_gpu();
  gpu.set_sm_mhz(1980);
  gpu.set_energy_j(12.5);
  gpu.add_slowdowns("power cap");
  gpu.set_ecc_corrected(1);
  ASSERT_TRUE(worker.Send(batch).has_value());
  const std::vector<v1::StoredRecord> records = server.Records(job);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].evidence().SerializeAsString(), batch.end().evidence().SerializeAsString());
  EXPECT_FALSE(records[1].has_evidence());
}

TEST(Records, ThatLeaveAGapEndTheStreamToBeSentAgain) {
  TestServer server;
  QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  EXPECT_FALSE(worker.Send(worker.Batch(lease, 1, 1, 2)).has_value());
  const absl::Status ended = wire::FromGrpc(worker.FinishRecords());
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(wire::Reason(ended), "BATCH_MISSING");
  EXPECT_TRUE(worker.Complete(lease));
}

TEST(Records, OutsideTheLeaseAreRejected) {
  TestServer server;
  QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  v1::RecordBatch batch = worker.Batch(lease, 0, 0, 1);
  // None of its set has this number.
  batch.mutable_records(0)->set_item(1000);
  const auto ack = worker.Send(batch);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->verdict(), v1::RECORD_VERDICT_REJECTED);
  EXPECT_FALSE(ack->reason().empty());
}

// Situation: a worker ends an attempt without saying what its device did. Stored, it would be read for ever.
TEST(Records, ThatNoDeviceCanHaveMeasuredAreRejected) {
  TestServer server;
  const std::string job = QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  v1::RecordBatch batch = worker.Batch(lease, 0, 0, lease.item_count());
  batch.mutable_end()->clear_evidence();
  const auto ack = worker.Send(batch);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->verdict(), v1::RECORD_VERDICT_REJECTED);
  EXPECT_THAT(ack->reason(), testing::HasSubstr("no evidence"));
  EXPECT_EQ(server.Records(job).size(), 0u);
  EXPECT_TRUE(worker.Complete(worker.AwaitLease()));
}

TEST(Records, ThatCannotBeAnsweredEndTheStream) {
  TestServer server;
  QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  v1::RecordBatch batch = worker.Batch(lease, 0, 0, 1);
  batch.mutable_attempt()->set_epoch(0);
  EXPECT_FALSE(worker.Send(batch).has_value());
  const absl::Status ended = wire::FromGrpc(worker.FinishRecords());
  EXPECT_EQ(ended.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(wire::Reason(ended), "OUT_OF_RANGE");
}

// Situation: figures out of range. A stream that only ended would get the same batch again, for ever.
TEST(Records, OutOfRangeAreRejectedAndTheStreamGoesOn) {
  TestServer server;
  QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  v1::RecordBatch batch = worker.Batch(lease, 0, 0, 1);
  batch.mutable_records(0)->mutable_timing()->set_latency_ns(0);
  const auto ack = worker.Send(batch);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->verdict(), v1::RECORD_VERDICT_REJECTED);
  EXPECT_THAT(ack->reason(), testing::HasSubstr("latency_ns"));
  EXPECT_TRUE(worker.Complete(worker.AwaitLease()));
}

TEST(Records, ManyInFlightAreAllAcknowledgedInOrder) {
  TestServer server;
  const std::string job = QueueJob(server);
  FakeWorker worker(server.worker_channel(), "w");
  const v1::Lease lease = worker.AwaitLease();
  // The same batch over and over: more than the coordinator reads ahead.
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(worker.Write(worker.Batch(lease, 0, 0, 1)));
  const auto ack = worker.Send(worker.Batch(lease, 1, 1, 2));
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->sequence(), 0);
  EXPECT_TRUE(worker.FinishRecords().ok());
  EXPECT_EQ(server.Records(job).size(), 2u);
}

TEST(FetchPrompts, StreamsEveryItemInMessagesOfAtMostAMebibyte) {
  TestServer server;
  auto context = Within30s();
  v1::PromptSet set;
  auto writer = server.evaluation().CreatePromptSet(context.get(), &set);
  v1::CreatePromptSetRequest part;
  part.mutable_header()->set_kind(v1::PROMPT_SET_KIND_TEXT);
  writer->Write(part);
  // Sizes from a few bytes to almost the limit of an item.
  for (int i = 0; i < 40; ++i) {
    part.mutable_items()->clear_prompts();
    v1::Prompt& prompt = *part.mutable_items()->add_prompts();
    prompt.set_id(absl::StrCat("p", i));
    prompt.set_text(std::string(i % 7 == 0 ? 900'000 : 10 + 1000 * i, 'x'));
    writer->Write(part);
  }
  writer->WritesDone();
  const grpc::Status stored = writer->Finish();
  ASSERT_TRUE(stored.ok()) << stored.error_message();

  auto stub = v1::WorkerService::NewStub(server.worker_channel());
  v1::FetchPromptsRequest request;
  request.set_prompt_set(set.name());
  auto fetch_context = Within30s();
  auto reader = stub->FetchPrompts(fetch_context.get(), request);
  v1::PromptBatch batch;
  int count = 0;
  while (reader->Read(&batch)) {
    EXPECT_LE(batch.ByteSizeLong(), static_cast<std::size_t>(wire::kBatchBytes));
    for (const v1::Prompt& prompt : batch.prompts()) EXPECT_EQ(prompt.id(), absl::StrCat("p", count++));
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(count, 40);

  request.set_prompt_set("promptSets/" + std::string(64, '0'));
  auto missing_context = Within30s();
  const grpc::Status missing = stub->FetchPrompts(missing_context.get(), request)->Finish();
  EXPECT_EQ(wire::Reason(wire::FromGrpc(missing)), "PROMPT_SET_NOT_FOUND");
}

}  // namespace
}  // namespace uaqf::test
