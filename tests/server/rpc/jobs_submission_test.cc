// Which jobs are taken, and which are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

std::string Text(const absl::Status& status) { return std::string(status.message()); }

TEST(Jobs, SubmittedAHundredTimesFromSixteenThreadsAreOne) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const v1::CreateJobRequest request = server.Request("same");
  absl::Mutex mutex;
  std::set<std::string> names;
  std::atomic<int> left{100};
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      while (left-- > 0) {
        const auto job = server.Create(request);
        ASSERT_TRUE(job.ok()) << job.status();
        absl::MutexLock lock(&mutex);
        names.insert(job->name());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(names.size(), 1u);
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(server.evaluation().ListJobs(Within30s().get(), v1::ListJobsRequest(), &jobs).ok());
  EXPECT_EQ(jobs.jobs_size(), 1);
}

TEST(Jobs, WithAReusedRequestIdAreRefused) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("same");
  ASSERT_TRUE(server.Create(request).ok());
  request.mutable_spec()->set_seed(7);
  const absl::Status again = server.Create(request).status();
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(wire::Reason(again), "REQUEST_ID_REUSED");
}

TEST(Jobs, OfAModelThatNobodyReadsAreRefused) {
  TestServer server;
  v1::CreateJobRequest request = server.Request("r");
  const absl::Status alone = server.Create(request).status();
  EXPECT_EQ(alone.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(wire::Reason(alone), "MODEL_NOT_SERVED");
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  request.mutable_spec()->add_variants("rtn-w3");
  const absl::Status unknown = server.Create(request).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Text(unknown), HasSubstr("rtn-w3"));
}

// Situation: the coordinator was restarted, and no worker has found it again yet.
TEST(Jobs, OfAModelWhoseWorkersMayBeComingBackAreToBeTriedAgain) {
  rpc::ServerOptions options = TestServer::Options();
  options.workers_return = absl::Hours(1);
  TestServer server(options);
  v1::CreateJobRequest request = server.Request("r");
  const absl::Status early = server.Create(request).status();
  EXPECT_EQ(early.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(wire::Reason(early), "WORKERS_RETURNING");
  EXPECT_EQ(wire::RetryDelay(early), absl::Seconds(1));
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  EXPECT_TRUE(server.Create(request).ok()) << "its worker is back";
}

TEST(Jobs, ThatDoNotExistAreNotFound) {
  TestServer server;
  EXPECT_EQ(wire::Reason(server.Get("jobs/nothing").status()), "JOB_NOT_FOUND");
  EXPECT_EQ(wire::Reason(server.Cancel("jobs/nothing").status()), "JOB_NOT_FOUND");
  EXPECT_EQ(wire::Reason(server.Get("nothing").status()), "INVALID_NAME");
  v1::CreateJobRequest request = server.Request("r");
  request.mutable_spec()->set_prompt_set("promptSets/" + std::string(64, '0'));
  EXPECT_EQ(wire::Reason(server.Create(request).status()), "PROMPT_SET_NOT_FOUND");
  for (const char* rpc : {"watch", "stream"}) {
    auto context = Within30s();
    v1::WatchJobRequest watch;
    watch.set_name("jobs/nothing");
    v1::StreamRecordsRequest stream;
    stream.set_job("jobs/nothing");
    const grpc::Status status = std::string(rpc) == "watch"
                                    ? server.evaluation().WatchJob(context.get(), watch)->Finish()
                                    : server.evaluation().StreamRecords(context.get(), stream)->Finish();
    EXPECT_EQ(wire::Reason(wire::FromGrpc(status)), "JOB_NOT_FOUND") << rpc;
  }
}

}  // namespace
}  // namespace uaqf::test
