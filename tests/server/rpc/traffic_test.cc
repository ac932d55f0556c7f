// A traffic grid from the request to the answer: timed batches, a profile's mix, the crossover map, capacity.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

v1::CreateJobRequest RequestWithGrid(TestServer& server) {
  v1::CreateJobRequest request = server.Request("r1", /*prompts=*/6);
  v1::TrafficGrid& grid = *request.mutable_spec()->mutable_grid();
  for (const int batch : {1, 4, 16}) grid.add_batches(batch);
  grid.add_input_tokens(10);
  for (const int tokens : {8, 16}) grid.add_output_tokens(tokens);
  return request;
}

// Runs the job to its end with one worker, and gives its name.
std::string RunToTheEnd(TestServer& server, const v1::CreateJobRequest& request) {
  FakeWorker worker(server.worker_channel(), "w", "session");
  EXPECT_TRUE(worker.Report().has_value());
  const auto created = server.Create(request);
  EXPECT_TRUE(created.ok()) << created.status();
  const auto ended = [&] { return server.Get(created->name())->state() == v1::JOB_STATE_SUCCEEDED; };
  while (!ended()) {
    const auto desired = worker.Await([&](const v1::DesiredState& d) { return d.leases_size() > 0 || ended(); });
    if (!desired.has_value()) break;
    for (const v1::Lease& lease : desired->leases()) worker.Complete(lease);
  }
  return created->name();
}

absl::StatusOr<v1::RankVariantsResponse> Rank(TestServer& server, const v1::RankVariantsRequest& rank) {
  v1::RankVariantsResponse answer;
  const absl::Status ranked = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &answer));
  if (!ranked.ok()) return ranked;
  return answer;
}

void AddTraffic(int batch, int output_tokens, double share, v1::RankVariantsRequest* rank) {
  v1::TrafficShare& part = *rank->add_traffic();
  part.mutable_shape()->set_batch(batch);
  part.mutable_shape()->set_input_tokens(10);
  part.mutable_shape()->set_output_tokens(output_tokens);
  part.set_share(share);
}

TEST(Traffic, IsTimedOverTheGridAndMappedInTheAnswer) {
  TestServer server;
  const std::string job = RunToTheEnd(server, RequestWithGrid(server));
  EXPECT_EQ(server.Get(job)->spec().grid().draws(), 8) << "by default";
  int batches = 0;
  for (const v1::StoredRecord& record : server.Records(job)) {
    batches += record.kind() == v1::CHUNK_KIND_TRAFFIC;
    EXPECT_EQ(record.record().has_traffic(), record.kind() == v1::CHUNK_KIND_TRAFFIC);
    if (record.record().has_traffic()) {
      EXPECT_EQ(record.prompt_id(), "") << "a batch is of no prompt";
    }
  }
  EXPECT_EQ(batches, 3 * 2 * 8 * 2) << "combinations, draws and variants";

  const auto answer = Rank(server, RankingBySpeed(job));
  ASSERT_TRUE(answer.ok()) << answer.status();
  const v1::TrafficMap& map = answer->traffic();
  EXPECT_EQ(map.draws(), 8);
  ASSERT_EQ(map.cells_size(), 6);
  EXPECT_EQ(map.cells(5).shape().batch(), 16);
  EXPECT_EQ(map.cells(5).shape().output_tokens(), 16);
  const v1::TrafficFigure& figure = map.cells(0).variants(1);
  EXPECT_EQ(figure.variant(), "rtn-w4");
  EXPECT_NEAR(figure.speedup(), 2.02 / 1.16, 0.01);
  EXPECT_GT(figure.interval().high(), figure.interval().low());
  EXPECT_EQ(figure.decode().bound(), v1::BOUND_MEMORY);
  EXPECT_NEAR(figure.decode().read_share(), 0.75, 1e-6);
  EXPECT_LT(map.cells(5).variants(1).speedup(), 1);
  ASSERT_EQ(map.crossovers_size(), 2) << "one for each output length";
  EXPECT_FALSE(map.crossovers(0).faster_above());
  EXPECT_NEAR(map.crossovers(0).batch(), 1e6 / 1.4e5, 0.05);
}

TEST(Traffic, AMixDecidesInThePlaceOfBatchOne) {
  TestServer server;
  const std::string job = RunToTheEnd(server, RequestWithGrid(server));
  v1::RankVariantsRequest few = RankingBySpeed(job), many = RankingBySpeed(job);
  AddTraffic(1, 8, 1, &few);
  AddTraffic(16, 16, 0.9, &many);
  AddTraffic(1, 8, 0.1, &many);
  EXPECT_EQ(Rank(server, few)->winner(), "rtn-w4");
  const auto answer = Rank(server, many);
  EXPECT_EQ(answer->winner(), "fp16");
  EXPECT_EQ(answer->profile().traffic_size(), 2);
  EXPECT_THAT(answer->formula(), HasSubstr("T over the traffic 90 % 16 x 10/16, 10 % 1 x 10/8"));

  many.mutable_traffic(0)->set_share(0.8);
  EXPECT_EQ(Rank(server, many).status().code(), absl::StatusCode::kInvalidArgument) << "shares that sum to 0.9";
  v1::RankVariantsRequest outside = RankingBySpeed(job);
  AddTraffic(32, 8, 1, &outside);
  const absl::Status refused = Rank(server, outside).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("outside of the grid"));
  few.set_split(v1::SPLIT_CATEGORY);
  EXPECT_THAT(std::string(Rank(server, few).status().message()), HasSubstr("a split and a profile with traffic"));
}

TEST(Traffic, IsOfOneJobAndSaysSo) {
  TestServer server;
  v1::CreateJobRequest other = RequestWithGrid(server);
  other.set_request_id("r2");
  other.mutable_spec()->set_variants(1, "rtn-w8");
  const std::string job = RunToTheEnd(server, RequestWithGrid(server)), second = RunToTheEnd(server, other);
  v1::RankVariantsRequest rank = RankingBySpeed(job);
  rank.add_more_jobs(second);
  ASSERT_TRUE(Rank(server, rank).ok()) << Rank(server, rank).status();
  AddTraffic(1, 8, 1, &rank);
  const absl::Status refused = Rank(server, rank).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(wire::Reason(refused), "TRAFFIC_OF_SEVERAL_JOBS");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("got 2 jobs and a profile with traffic"));
}

TEST(Traffic, CapacityIsToldForTheProfilesContextAndDevice) {
  TestServer server;
  const std::string job = RunToTheEnd(server, server.Request("r1", /*prompts=*/6));
  v1::RankVariantsRequest rank = RankingBySpeed(job);
  rank.set_context_tokens(10);
  EXPECT_THAT(Rank(server, rank)->variants(0).capacity().reason(), HasSubstr("--device-memory"));
  rank.set_device_memory_bytes(280);
  const auto answer = Rank(server, rank);
  EXPECT_EQ(answer->variants(0).variant(), "rtn-w4");
  EXPECT_EQ(answer->variants(0).capacity().sequences(), 10) << "280 bytes less 80, by 10 tokens of 2 bytes";
  EXPECT_EQ(answer->variants(1).capacity().sequences(), 4);
  EXPECT_FALSE(answer->has_traffic()) << "no grid was timed";
}

TEST(Traffic, IsAmongTheGaugesOfItsJob) {
  TestServer server;
  const std::string job = RunToTheEnd(server, RequestWithGrid(server));
  const std::string label = "{job_id=\"" + job.substr(job.find('/') + 1) + "\",variant=\"rtn-w4\",batch=\"1\",";
  EXPECT_TRUE(Eventually([&] {
    return server.server().metrics().Text().find("uaqf_traffic_speedup" + label +
                                                 "input_tokens=\"10\",output_tokens=\"8\"} 1.7") != std::string::npos;
  }));
}

TEST(Traffic, AGridThatCannotBeIsRefusedBeforeAnythingIsMeasured) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w", "session");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = RequestWithGrid(server);
  request.mutable_spec()->mutable_grid()->add_batches(64);
  const auto refused = server.Create(request);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("grid.batches is 64, expected 1 to 32"));
}

}  // namespace
}  // namespace uaqf::test
