// The life of a job as clients see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

TEST(Jobs, RunFromSubmissionToTheLastRecord) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  request.mutable_spec()->mutable_quality()->set_context_tokens(16);
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job->spec().attempt_limit(), 5) << "defaults are filled in";

  EXPECT_GT(worker.RunUntilIdle(), 0);
  const auto ended = server.Get(job->name());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), v1::JOB_STATE_SUCCEEDED) << ended->error();
  // 2 variants: 4 generations, 4 windows and 4 prompts in 2 repeats each.
  EXPECT_EQ(ended->progress().records_done(), 32);
  EXPECT_EQ(ended->progress().records_total(), 32);

  const std::vector<v1::StoredRecord> records = server.Records(job->name());
  EXPECT_EQ(records.size(), 32u);
  std::set<std::tuple<std::string, int, int, int>> keys;
  for (const v1::StoredRecord& record : records) {
    keys.emplace(record.variant(), record.kind(), record.record().item(), record.record().repeat());
    EXPECT_EQ(record.worker(), "workers/w");
    const bool window = record.kind() == v1::CHUNK_KIND_PERPLEXITY;
    EXPECT_EQ(record.prompt_id(), window ? "" : absl::StrCat("p", record.record().item()));
    EXPECT_EQ(record.category(), window ? "" : record.record().item() % 2 == 0 ? "even" : "odd");
  }
  EXPECT_EQ(keys.size(), 32u) << "no record twice";
}

TEST(Jobs, AreWatchedToTheirEnd) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  v1::WatchJobRequest request;
  request.set_name(job->name());
  auto context = Within30s();
  auto reader = server.evaluation().WatchJob(context.get(), request);
  v1::Job state;
  ASSERT_TRUE(reader->Read(&state)) << "the state that holds comes at once";
  EXPECT_EQ(state.state(), v1::JOB_STATE_QUEUED);
  worker.RunUntilIdle();
  std::int64_t done = 0;
  while (reader->Read(&state)) {
    EXPECT_GE(state.progress().records_done(), done) << "no older state after a newer one";
    done = state.progress().records_done();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(state.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(done, 24);

  // One who comes late gets the end alone.
  auto late_context = Within30s();
  auto late = server.evaluation().WatchJob(late_context.get(), request);
  ASSERT_TRUE(late->Read(&state));
  EXPECT_EQ(state.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(late->Read(&state));
  EXPECT_TRUE(late->Finish().ok());
}

TEST(Jobs, StreamTheirRecordsWhileTheyRun) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  v1::StreamRecordsRequest request;
  request.set_job(job->name());
  request.set_follow(true);
  auto context = Within30s();
  auto reader = server.evaluation().StreamRecords(context.get(), request);
  ASSERT_TRUE(worker.Complete(worker.AwaitLease()));
  v1::StreamRecordsResponse part;
  ASSERT_TRUE(reader->Read(&part)) << "records come before the job ends";
  EXPECT_EQ(part.records_size(), 2);
  const std::string cursor = part.cursor();
  worker.RunUntilIdle();
  int count = part.records_size();
  while (reader->Read(&part)) count += part.records_size();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(count, 24);

  // From the cursor on, and not again.
  request.set_cursor(cursor);
  request.set_follow(false);
  auto rest_context = Within30s();
  auto rest = server.evaluation().StreamRecords(rest_context.get(), request);
  count = 0;
  while (rest->Read(&part)) count += part.records_size();
  EXPECT_TRUE(rest->Finish().ok());
  EXPECT_EQ(count, 22);
}

TEST(Jobs, TakeNoRecordAfterTheyWereCancelled) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(worker.Complete(worker.AwaitLease()));
  const v1::Lease lease = worker.AwaitLease();
  const auto cancelled = server.Cancel(job->name());
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->state(), v1::JOB_STATE_CANCELLED);

  const auto ack = worker.Send(worker.Batch(lease, 0, 0, lease.item_count()));
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->verdict(), v1::RECORD_VERDICT_LEASE_LOST);
  const auto desired = worker.Report();
  ASSERT_TRUE(desired.has_value());
  EXPECT_TRUE(desired->leases().empty());
  EXPECT_EQ(server.Records(job->name()).size(), 2u) << "what was accepted before stays";
  EXPECT_EQ(server.Cancel(job->name())->state(), v1::JOB_STATE_CANCELLED) << "cancelling again changes nothing";
}

TEST(Jobs, GoOnAfterARestart) {
  TestServer server;
  std::string name;
  v1::CreateJobRequest request;
  {
    FakeWorker worker(server.worker_channel(), "w");
    ASSERT_TRUE(worker.Report().has_value());
    request = server.Request("r");
    const auto job = server.Create(request);
    ASSERT_TRUE(job.ok()) << job.status();
    name = job->name();
    ASSERT_TRUE(worker.Complete(worker.AwaitLease()));
    const v1::Lease half = worker.AwaitLease();
    ASSERT_TRUE(worker.Send(worker.Batch(half, 0, 0, 1)).has_value()) << "an attempt that never ends";
    server.Restart();
  }
  const auto same = server.Create(request);
  ASSERT_TRUE(same.ok()) << "no worker is connected yet, and the request was accepted before: " << same.status();
  EXPECT_EQ(same->name(), name);
  FakeWorker worker(server.worker_channel(), "w", "session-2");
  EXPECT_GT(worker.RunUntilIdle(), 0);
  EXPECT_EQ(server.Get(name)->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(server.Records(name).size(), 24u);
}

TEST(Jobs, AreListedByPages) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  std::vector<std::string> newest_first;
  for (int i = 0; i < 5; ++i) {
    newest_first.insert(newest_first.begin(), server.Create(server.Request(absl::StrCat("r", i)))->name());
  }
  std::vector<std::string> listed;
  v1::ListJobsRequest request;
  request.set_page_size(2);
  do {
    v1::ListJobsResponse page;
    ASSERT_TRUE(server.evaluation().ListJobs(Within30s().get(), request, &page).ok());
    for (const v1::Job& job : page.jobs()) listed.push_back(job.name());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, newest_first);
  request.set_page_token("forged");
  v1::ListJobsResponse page;
  EXPECT_EQ(wire::Reason(wire::FromGrpc(server.evaluation().ListJobs(Within30s().get(), request, &page))),
            "INVALID_PAGE_TOKEN");
}

}  // namespace
}  // namespace uaqf::test
