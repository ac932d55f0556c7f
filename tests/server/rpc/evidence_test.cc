// What devices tell around chunks, as clients see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

// A job of 12 prompts in blocks of two whose device counts 1 J for each token of fp16, 0.5 J of the other; or nothing.
std::string MeasuredJob(TestServer& server, bool counts_energy) {
  FakeWorker worker(server.worker_channel(), "w");
  if (counts_energy) {
    worker.adjust = [](const v1::Lease& lease, v1::RecordBatch& batch) {
      if (!batch.has_end() || lease.kind() != v1::CHUNK_KIND_TIMING) return;
      // Two prompts of 8 tokens, after one warm-up of the first.
      batch.mutable_end()->mutable_evidence()->mutable_gpu()->set_energy_j(lease.variant() == "fp16" ? 24 : 12);
    };
  }
  EXPECT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r1", /*prompts=*/12));
  EXPECT_TRUE(job.ok()) << job.status();
  worker.RunUntilIdle();
  return job.ok() ? job->name() : "";
}

v1::RankVariantsRequest LimitedTo(const std::string& job, double joules_per_token) {
  v1::RankVariantsRequest rank = RankingBySpeed(job);
  v1::Constraint& limit = *rank.add_constraints();
  limit.set_figure(v1::LIMITED_FIGURE_ENERGY_PER_TOKEN);
  limit.set_limit(joules_per_token);
  return rank;
}

TEST(Energy, OfTheChunksIsOverTheTokensOfWarmUpsToo) {
  TestServer server;
  const std::string job = MeasuredJob(server, true);
  v1::MeasureVariantsRequest request;
  request.set_job(job);
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), request, &measures).ok());
  ASSERT_EQ(measures.variants_size(), 2);
  const v1::EnergyMeasure& energy = measures.variants(0).energy();
  EXPECT_DOUBLE_EQ(energy.joules_per_token().value(), 1);
  EXPECT_NEAR(energy.joules_per_token().half_width(), 0, 1e-12) << "every block takes the same";
  EXPECT_EQ(energy.chunks(), 12) << "6 blocks in 2 runs";
  EXPECT_EQ(energy.output_tokens(), 12 * 24);
  EXPECT_DOUBLE_EQ(energy.energy_j(), 12 * 24);
  EXPECT_DOUBLE_EQ(measures.variants(1).energy().joules_per_token().value(), 0.5);
}

TEST(Energy, CanBeLimited) {
  TestServer server;
  const std::string job = MeasuredJob(server, true);
  v1::RankVariantsResponse ranked;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), LimitedTo(job, 0.7), &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(ranked.winner(), "rtn-w4");
  ASSERT_EQ(ranked.variants(0).checks_size(), 1);
  const v1::ConstraintCheck& check = ranked.variants(0).checks(0);
  EXPECT_EQ(check.verdict(), v1::CONSTRAINT_VERDICT_MET);
  EXPECT_DOUBLE_EQ(check.value(), 0.5);
  EXPECT_NEAR(check.margin(), 0.2, 1e-12);
  EXPECT_EQ(check.probability_met(), 1);
  EXPECT_DOUBLE_EQ(ranked.variants(0).energy_per_token(), 0.5);
  EXPECT_TRUE(ranked.variants(0).has_energy_interval());
  EXPECT_EQ(ranked.variants(1).status(), v1::RANK_STATUS_NOT_FEASIBLE);
  EXPECT_THAT(ranked.variants(1).reason(), HasSubstr("energy_per_token is 1 J/token, above the limit of 0.7 J/token"));
}

TEST(Energy, ThatNoDeviceCountsMeetsNoLimit) {
  TestServer server;
  const std::string job = MeasuredJob(server, false);
  v1::RankVariantsResponse ranked;
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), LimitedTo(job, 1e9), &ranked).ok());
  EXPECT_EQ(ranked.winner(), "");
  for (const v1::RankedVariant& variant : ranked.variants()) {
    EXPECT_EQ(variant.checks(0).verdict(), v1::CONSTRAINT_VERDICT_UNDECIDABLE);
    EXPECT_THAT(variant.reason(), HasSubstr("energy_per_token is not measured: the device counts no energy"));
    EXPECT_FALSE(variant.has_energy_per_token());
  }
}

TEST(Evidence, SaysWhatTheDeviceDidAndWhetherVariantsTookTurns) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  worker.adjust = [](const v1::Lease& lease, v1::RecordBatch& batch) {
    if (!batch.has_end() || lease.kind() != v1::CHUNK_KIND_TIMING) return;
    v1::ChunkEvidence& evidence = *batch.mutable_end()->mutable_evidence();
    evidence.set_foreign_load(0.01);
    v1::GpuEvidence& gpu = *evidence.mutable_gpu();
    gpu.set_sm_mhz(lease.variant() == "fp16" ? 1900 : 1980);
    gpu.set_temperature_c(61);
    gpu.set_power_capped_ns(500'000);  // of 1 ms
    gpu.add_slowdowns("power cap");
  };
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r1", /*prompts=*/12));
  ASSERT_TRUE(job.ok()) << job.status();
  v1::MeasureVariantsRequest request;
  request.set_job(job->name());
  v1::MeasureVariantsResponse early;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), request, &early).ok());
  EXPECT_FALSE(early.has_evidence()) << "nothing was timed yet";
  worker.RunUntilIdle();
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), request, &measures).ok());
  const v1::EvidenceSummary& evidence = measures.evidence();
  ASSERT_EQ(evidence.variants_size(), 2);
  const v1::VariantEvidence& fp16 = evidence.variants(0);
  EXPECT_EQ(fp16.variant(), "fp16");
  EXPECT_EQ(fp16.chunks(), 12);
  EXPECT_EQ(fp16.rejected(), 0);
  EXPECT_EQ(fp16.clock_mhz(), 1900);
  EXPECT_EQ(fp16.temperature_c(), 61);
  EXPECT_DOUBLE_EQ(fp16.power_capped(), 0.5);
  EXPECT_EQ(fp16.slowdowns_size(), 1);
  EXPECT_DOUBLE_EQ(fp16.foreign_load(), 0.01);
  EXPECT_FALSE(evidence.interleaved()) << "a single worker hosts one variant after the other";
  EXPECT_NEAR(evidence.imbalance(), 0.26, 0.01);
  EXPECT_TRUE(evidence.has_drift());
  v1::RankVariantsResponse ranked;
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), LimitedTo(job->name(), 1), &ranked).ok());
  EXPECT_EQ(ranked.evidence().SerializeAsString(), evidence.SerializeAsString());
}

}  // namespace
}  // namespace uaqf::test
