// Figures and ranks of a job from its records.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/fault_store.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

TEST(Jobs, RankAfterTheirRecordsCame) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();

  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  rank.set_profile("profiles/latency");
  v1::RankVariantsResponse ranked;
  const absl::Status early = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &ranked));
  EXPECT_EQ(early.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(wire::Reason(early), "NOT_DECIDABLE");

  worker.RunUntilIdle();
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), rank, &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(ranked.variants_size(), 2);
  EXPECT_EQ(ranked.winner(), "rtn-w4") << ranked.DebugString();
  EXPECT_EQ(ranked.variants(0).rank(), 1);
  EXPECT_GT(ranked.variants(0).utility(), ranked.variants(1).utility());
  EXPECT_EQ(ranked.profile().name(), "profiles/latency");

  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measured;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measured).ok());
  ASSERT_EQ(measured.variants_size(), 2);
  EXPECT_EQ(measured.variants(0).variant(), "fp16");
  EXPECT_EQ(measured.variants(0).timing_records(), 8);
  EXPECT_NEAR(measured.variants(0).latency_s().value(), 0.02, 0.001);
  EXPECT_NEAR(measured.variants(1).speedup(), 2.0, 0.05);
  EXPECT_EQ(measured.variants(1).memory_bytes(), 80);
  EXPECT_THAT(measured.notes(), testing::Contains(HasSubstr("Q4_1")));

  server.Restart();
  v1::MeasureVariantsResponse again;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &again).ok());
  EXPECT_EQ(again.DebugString(), measured.DebugString()) << "figures need the store alone";
}

TEST(Jobs, ThatFailedSayWhyInPlaceOfARanking) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  worker.text_windows = 0;
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  worker.RunUntilIdle();
  ASSERT_TRUE(Eventually([&] { return server.Get(job->name())->state() == v1::JOB_STATE_FAILED; }));
  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  rank.set_profile("profiles/latency");
  v1::RankVariantsResponse ranked;
  const absl::Status status = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &ranked));
  EXPECT_EQ(wire::Reason(status), "NOT_DECIDABLE");
  EXPECT_THAT(status.message(), HasSubstr(server.Get(job->name())->error()));
}

TEST(Jobs, SayHowSureTheirRankingIs) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1", /*prompts=*/12);
  request.mutable_spec()->set_seed(77);
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  worker.RunUntilIdle();

  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  v1::Profile& profile = *rank.mutable_inline_profile();
  profile.set_formula(v1::UTILITY_FORMULA_FULL);
  profile.set_normalization(v1::NORMALIZATION_BASELINE);
  profile.mutable_weights()->set_speed(.8);
  profile.mutable_weights()->set_stability(.2);
  v1::RankVariantsResponse ranked;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), rank, &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(ranked.resamples(), 2000);
  EXPECT_EQ(ranked.seed(), 77U);
  const v1::RankedVariant& winner = ranked.variants(0);
  EXPECT_EQ(winner.variant(), "rtn-w4");
  EXPECT_GT(winner.standing().probability_best(), 0.99);
  EXPECT_EQ(winner.standing().rank_high(), 1);
  EXPECT_FALSE(ranked.variants(1).standing().tied());
  EXPECT_GT(ranked.variants(1).standing().expected_regret(), 0.5);
  EXPECT_LE(winner.speedup().interval().low(), winner.speedup().value());
  EXPECT_TRUE(winner.terms(0).has_interval());
  ASSERT_EQ(ranked.sweeps_size(), 3) << "memory is known, and no weight";
  EXPECT_EQ(ranked.sweeps(0).segments(0).from(), 0);

  EXPECT_EQ(ranked.slices_size(), 0);
  rank.set_split(v1::SPLIT_CATEGORY);
  v1::Constraint& memory = *rank.add_constraints();
  memory.set_figure(v1::LIMITED_FIGURE_MEMORY);
  memory.set_limit(1);
  v1::RankVariantsResponse limited;
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), rank, &limited).ok());
  EXPECT_EQ(limited.winner(), "");
  EXPECT_EQ(limited.relaxation().variant(), "rtn-w4");
  EXPECT_EQ(limited.relaxation().limits(0).limit(), 80);
  EXPECT_EQ(limited.variants(0).checks(0).verdict(), v1::CONSTRAINT_VERDICT_NOT_MET);
  EXPECT_EQ(limited.profile().constraints_size(), 1) << "the profile used, in full";
  memory.set_limit(100);
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), rank, &limited).ok());
  EXPECT_EQ(limited.winner(), "rtn-w4");
  ASSERT_EQ(limited.slices_size(), 2);
  EXPECT_EQ(limited.slices(0).name(), "even");
  EXPECT_EQ(limited.slices(0).prompts(), 6);
  EXPECT_EQ(limited.slices(1).winner(), "rtn-w4");
  EXPECT_GT(limited.slices(1).variants(0).standing().probability_best(), 0.99);
  memory.set_figure(static_cast<v1::LimitedFigure>(99));
  EXPECT_EQ(server.ranking().RankVariants(Within30s().get(), rank, &limited).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  rank.clear_constraints();
  rank.clear_split();

  server.Restart();
  v1::RankVariantsResponse again;
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), rank, &again).ok());
  EXPECT_EQ(again.DebugString(), ranked.DebugString()) << "the draws are the job's";
}

// Situation: the store holds one timing that cannot be, which an earlier version accepted.
TEST(Jobs, RankTheOtherVariantsBesideARecordThatCannotBe) {
  TestServer server;
  std::unique_ptr<FaultStore> fault;
  server.wrap = [&](store::Store* real) {
    fault = std::make_unique<FaultStore>(real);
    fault->spoil = [](core::Measurements& m) {
      for (std::size_t k = 0; k < m.timings.variant.size(); ++k) {
        if (m.variants[m.timings.variant[k]].name == "rtn-w8") m.timings.decode_ns[k] = -1;
      }
    };
    return fault.get();
  };
  server.Restart();
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->add_variants("rtn-w8");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  worker.RunUntilIdle();

  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  rank.set_profile("profiles/latency");
  v1::RankVariantsResponse ranked;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), rank, &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(ranked.variants_size(), 3);
  EXPECT_EQ(ranked.winner(), "rtn-w4");
  EXPECT_EQ(ranked.variants(2).variant(), "rtn-w8");
  EXPECT_EQ(ranked.variants(2).status(), v1::RANK_STATUS_NOT_MEASURED);
  EXPECT_THAT(ranked.variants(2).reason(), HasSubstr("cannot have been measured"));

  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measured;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measured).ok());
  EXPECT_EQ(measured.variants(0).timing_records(), 8);
  EXPECT_EQ(measured.variants(2).timing_records(), 0);
  EXPECT_THAT(measured.notes(), testing::Contains(HasSubstr("rtn-w8: its timing records are set aside")));
}

}  // namespace
}  // namespace uaqf::test
