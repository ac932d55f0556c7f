// FP16 timed twice by default: from the request to the answer and the gauges.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proto/wire/status.h"
#include "server/rpc/validate.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::CreateJobRequest DefaultRequest(TestServer& server) {
  v1::CreateJobRequest request = server.Request("r1", /*prompts=*/6);
  request.mutable_spec()->clear_noise_floor();
  return request;
}

// Runs the job with workers of one device, each a process of its own. Which worker timed each variant.
std::map<std::string, std::set<std::string>> RunWith(TestServer& server, const std::vector<std::string>& names,
                                                     const v1::CreateJobRequest& request, std::string* job) {
  std::vector<std::unique_ptr<FakeWorker>> workers;
  for (const std::string& name : names) {
    workers.push_back(std::make_unique<FakeWorker>(server.worker_channel(), name, "session-of-" + name));
    EXPECT_TRUE(workers.back()->Report().has_value());
  }
  const auto created = server.Create(request);
  EXPECT_TRUE(created.ok()) << created.status();
  *job = created->name();
  const auto ended = [&] { return server.Get(*job)->state() == v1::JOB_STATE_SUCCEEDED; };
  std::vector<std::thread> threads;
  for (const auto& worker : workers) {
    threads.emplace_back([&] {
      while (!ended()) {
        const auto desired = worker->Await([&](const v1::DesiredState& d) { return d.leases_size() > 0 || ended(); });
        if (!desired.has_value()) return;
        for (const v1::Lease& lease : desired->leases()) worker->Complete(lease);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<std::string, std::set<std::string>> timed;
  for (const v1::StoredRecord& record : server.Records(*job)) {
    if (record.kind() == v1::CHUNK_KIND_TIMING) timed[record.variant()].insert(record.worker());
  }
  return timed;
}

v1::RankVariantsResponse RankBySpeed(TestServer& server, const std::string& job) {
  const v1::RankVariantsRequest rank = RankingBySpeed(job);
  v1::RankVariantsResponse answer;
  const absl::Status ranked = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &answer));
  EXPECT_TRUE(ranked.ok()) << ranked;
  return answer;
}

TEST(NoiseFloor, IsMeasuredByDefaultInAProcessOfItsOwn) {
  TestServer server;
  std::string job;
  auto timed = RunWith(server, {"a", "b", "c"}, DefaultRequest(server), &job);
  ASSERT_EQ(timed.size(), 3u);
  ASSERT_EQ(timed["fp16"].size(), 1u);
  ASSERT_EQ(timed["fp16#2"].size(), 1u);
  EXPECT_NE(timed["fp16"], timed["fp16#2"]);

  const auto ended = server.Get(job);
  EXPECT_THAT(ended->spec().variants(), ElementsAre("fp16", "rtn-w4"));
  EXPECT_TRUE(ended->spec().noise_floor());
  EXPECT_EQ(ended->progress().variants(2).variant(), "fp16#2");
  EXPECT_EQ(ended->progress().variants(2).records_done(), 12) << "6 prompts in 2 repeats, and nothing else";

  const v1::RankVariantsResponse answer = RankBySpeed(server, job);
  ASSERT_EQ(answer.variants_size(), 2) << "the twin is no variant of the answer";
  const v1::NoiseFloor& floor = answer.noise_floor();
  EXPECT_EQ(floor.reason(), "");
  EXPECT_TRUE(floor.separate_processes());
  EXPECT_EQ(floor.pairs(), 6) << "3 blocks in 2 repeats";
  EXPECT_NEAR(floor.latency().value(), 0.01, 1e-3) << "the twin takes 1 % longer";
  EXPECT_NEAR(floor.tokens_per_s().value(), -0.01, 1e-3);
  EXPECT_GE(floor.tokens_per_s().floor(), -floor.tokens_per_s().value());
  EXPECT_TRUE(floor.has_stability());
  EXPECT_TRUE(floor.differs());
  EXPECT_THAT(answer.warnings(), testing::Contains(HasSubstr("fp16 differs from itself by")));
  EXPECT_FALSE(answer.variants(0).speedup().within_noise());
  EXPECT_FALSE(answer.variants(1).standing().tied());
  EXPECT_EQ(answer.configurations_size(), 2) << "the twin's is fp16's";

  v1::MeasureVariantsRequest measure;
  measure.set_job(job);
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measures).ok());
  EXPECT_EQ(measures.noise_floor().SerializeAsString(), floor.SerializeAsString())
      << "it stands beside the figures too";
}

TEST(NoiseFloor, IsAmongTheGaugesOfItsJob) {
  TestServer server;
  std::string job;
  RunWith(server, {"a"}, DefaultRequest(server), &job);
  const std::string label = "{job_id=\"" + job.substr(job.find('/') + 1) + "\"} ";
  const auto shows = [&](const std::string& start) {
    return server.server().metrics().Text().find("\n" + start) != std::string::npos;
  };
  EXPECT_TRUE(Eventually([&] { return shows("uaqf_job_noise_floor" + label + "0.0"); }));
  EXPECT_TRUE(shows("uaqf_job_self_difference" + label + "-0.00"));
}

// Situation: fewer workers than variants. fp16 is timed again beside its twin.
TEST(NoiseFloor, NeedsTwoWorkersForSeparateProcesses) {
  TestServer server;
  std::string job;
  auto timed = RunWith(server, {"a", "b"}, DefaultRequest(server), &job);
  EXPECT_EQ(timed["fp16"].size(), 1u);
  EXPECT_NE(timed["fp16"], timed["fp16#2"]);
  const v1::NoiseFloor floor = RankBySpeed(server, job).noise_floor();
  EXPECT_TRUE(floor.separate_processes()) << floor.DebugString();
  EXPECT_NEAR(floor.latency().value(), 0.01, 1e-3);
}

TEST(NoiseFloor, SaysThatASingleWorkerTimedBoth) {
  TestServer server;
  std::string job;
  auto timed = RunWith(server, {"a"}, DefaultRequest(server), &job);
  EXPECT_EQ(timed["fp16#2"], timed["fp16"]);
  const v1::NoiseFloor floor = RankBySpeed(server, job).noise_floor();
  EXPECT_FALSE(floor.separate_processes());
  EXPECT_EQ(floor.pairs(), 6);
}

TEST(NoiseFloor, CanBeLeftOut) {
  TestServer server;
  v1::CreateJobRequest request = DefaultRequest(server);
  request.mutable_spec()->set_noise_floor(false);
  std::string job;
  EXPECT_EQ(RunWith(server, {"a"}, request, &job).size(), 2u);
  EXPECT_FALSE(server.Get(job)->spec().noise_floor());
  EXPECT_EQ(server.Get(job)->progress().variants_size(), 2);
  EXPECT_FALSE(RankBySpeed(server, job).has_noise_floor());
}

// Situation: there is nothing to compare that noise could hide.
TEST(NoiseFloor, IsNotMeasuredWhereThereIsNothingToCompare) {
  v1::JobSpec spec;
  spec.add_variants("fp16");
  EXPECT_FALSE(rpc::WithDefaults(spec).noise_floor());
  spec.add_variants("rtn-w4");
  EXPECT_TRUE(rpc::WithDefaults(spec).noise_floor());
  spec.set_variants(0, "rtn-w8");
  EXPECT_FALSE(rpc::WithDefaults(spec).noise_floor());
}

TEST(NoiseFloor, IsRefusedWithoutFp16AndTheTwinAsAVariant) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = DefaultRequest(server);
  request.mutable_spec()->set_variants(0, "rtn-w8");
  request.mutable_spec()->set_noise_floor(true);
  EXPECT_EQ(wire::Reason(server.Create(request).status()), "NOISE_FLOOR_NEEDS_FP16");
  request.mutable_spec()->set_variants(0, "fp16#2");
  request.mutable_spec()->clear_noise_floor();
  EXPECT_EQ(wire::Reason(server.Create(request).status()), "INVALID_ID");
}

// What a job says of itself can be asked for again.
TEST(NoiseFloor, IsTheSameRequestWhetherAskedForOrByDefault) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = DefaultRequest(server);
  const auto first = server.Create(request);
  ASSERT_TRUE(first.ok()) << first.status();
  *request.mutable_spec() = first->spec();
  const auto again = server.Create(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name(), first->name());
}

TEST(NoiseFloor, IsAmongTheRecordsByItsName) {
  TestServer server;
  std::string job;
  RunWith(server, {"a"}, DefaultRequest(server), &job);
  v1::ListRecordsRequest request;
  request.set_job(job);
  request.set_variant("fp16#2");
  v1::ListRecordsResponse page;
  ASSERT_TRUE(server.evaluation().ListRecords(Within30s().get(), request, &page).ok());
  EXPECT_EQ(page.records_size(), 12);
}

}  // namespace
}  // namespace uaqf::test
