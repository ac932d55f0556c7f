// Outputs that are generated again: asked for, recorded, told of every variant, ranked, and compared between devices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Adjust = std::function<void(const v1::Lease&, v1::RecordBatch&)>;

v1::CreateJobRequest Asking(TestServer& server, const std::string& request_id) {
  v1::CreateJobRequest request = server.Request(request_id, /*prompts=*/12);
  v1::JobSpec& spec = *request.mutable_spec();
  spec.clear_variants();
  for (const char* variant : {"fp16", "rtn-w4"}) spec.add_variants(variant);
  spec.mutable_agreement()->set_prompts(8);
  return request;
}

std::string RunJob(TestServer& server, const std::string& request_id, const Adjust& adjust = nullptr) {
  FakeWorker worker(server.worker_channel(), "w", /*session=*/request_id);
  worker.adjust = adjust;
  EXPECT_TRUE(worker.Report().has_value());
  const auto job = server.Create(Asking(server, request_id));
  EXPECT_TRUE(job.ok()) << job.status();
  if (!job.ok()) return "";
  worker.RunUntilIdle();
  EXPECT_EQ(server.Get(job->name())->state(), v1::JOB_STATE_SUCCEEDED);
  return job->name();
}

v1::MeasureVariantsResponse Measure(TestServer& server, const std::string& job) {
  v1::MeasureVariantsRequest request;
  request.set_job(job);
  v1::MeasureVariantsResponse answer;
  const grpc::Status status = server.ranking().MeasureVariants(Within30s().get(), request, &answer);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return answer;
}

absl::StatusOr<v1::RankVariantsResponse> Rank(TestServer& server, const std::string& job) {
  v1::RankVariantsRequest request;
  request.set_job(job);
  v1::Profile& profile = *request.mutable_inline_profile();
  profile.set_formula(v1::UTILITY_FORMULA_FULL);
  profile.set_normalization(v1::NORMALIZATION_BASELINE);
  profile.mutable_weights()->set_speed(0.5);
  profile.mutable_weights()->set_behaviour(0.5);
  v1::RankVariantsResponse answer;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), request, &answer);
  if (!status.ok()) return wire::FromGrpc(status);
  return answer;
}

absl::StatusOr<v1::CompareJobsResponse> Compare(TestServer& server, const std::string& job, const std::string& other) {
  v1::CompareJobsRequest request;
  request.set_job(job);
  request.set_other_job(other);
  request.set_behaviour(true);
  v1::CompareJobsResponse answer;
  const grpc::Status status = server.ranking().CompareJobs(Within30s().get(), request, &answer);
  if (!status.ok()) return wire::FromGrpc(status);
  return answer;
}

TEST(Agreement, IsAskedForWithDefaultsFilledIn) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(Asking(server, "r"));
  ASSERT_TRUE(job.ok()) << job.status();
  const v1::AgreementSpec& agreement = job->spec().agreement();
  EXPECT_EQ(agreement.prompts(), 8);
  EXPECT_EQ(agreement.output_tokens(), std::min(64, job->spec().timing().max_output_tokens()));
  EXPECT_THAT(agreement.batch_sizes(), ElementsAre(8, 32));
  v1::CreateJobRequest alone = Asking(server, "alone");
  alone.mutable_spec()->mutable_agreement()->set_no_batches(true);
  const auto without = server.Create(alone);
  ASSERT_TRUE(without.ok());
  EXPECT_TRUE(without->spec().agreement().batch_sizes().empty());
  EXPECT_TRUE(without->spec().agreement().no_batches());
}

TEST(Agreement, RefusesWhatCannotBe) {
  TestServer server;
  const std::pair<const char*, std::function<void(v1::AgreementSpec*)>> cases[] = {
      {"expected how many prompts", [](auto* a) { a->clear_prompts(), a->set_output_tokens(4); }},
      {"agreement.prompts", [](auto* a) { a->set_prompts(-1); }},
      {"agreement.output_tokens", [](auto* a) { a->set_output_tokens(257); }},
      {"agreement.batch_sizes", [](auto* a) { a->add_batch_sizes(33); }},
      {"agreement.batch_sizes", [](auto* a) { a->add_batch_sizes(8), a->add_batch_sizes(4); }},
      {"expected one of them", [](auto* a) { a->add_batch_sizes(8), a->set_no_batches(true); }},
  };
  for (const auto& [message, spoil] : cases) {
    v1::CreateJobRequest request = Asking(server, "r");
    spoil(request.mutable_spec()->mutable_agreement());
    const absl::Status status = server.Create(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST(Agreement, IsToldOfEveryVariant) {
  TestServer server;
  const v1::MeasureVariantsResponse answer = Measure(server, RunJob(server, "r"));
  ASSERT_EQ(answer.variants_size(), 2) << "fp16#2 is no variant";
  for (const v1::VariantMeasures& variant : answer.variants()) {
    const v1::BehaviourMeasure& behaviour = variant.behaviour();
    EXPECT_EQ(behaviour.prompts(), 8) << variant.variant();
    ASSERT_EQ(behaviour.self_size(), 3);
    EXPECT_EQ(behaviour.self(0).batch(), 1);
    EXPECT_EQ(behaviour.self(0).agreement().equal(), 1);
    EXPECT_LT(behaviour.self(0).agreement().equal_interval().low(), 1);
    EXPECT_EQ(behaviour.self(2).batch(), 32);
    EXPECT_TRUE(behaviour.has_penalty());
  }
  const v1::BehaviourMeasure& rtn = answer.variants(1).behaviour();
  EXPECT_DOUBLE_EQ(rtn.self(1).agreement().tokens().value(), 0.5);
  EXPECT_DOUBLE_EQ(rtn.self(1).kernel(), 0);
  EXPECT_DOUBLE_EQ(rtn.self(1).quantization().value(), 0.5);
  EXPECT_DOUBLE_EQ(rtn.with_fp16().tokens().value(), 0.75);
  EXPECT_DOUBLE_EQ(rtn.penalty(), (0 + 0.5 + 0.5) / 3);
  EXPECT_FALSE(answer.variants(0).behaviour().has_with_fp16());
}

TEST(Agreement, IsRanked) {
  TestServer server;
  const auto answer = Rank(server, RunJob(server, "r"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->winner(), "fp16") << "twice as fast is worth less than that";
  EXPECT_GT(answer->resamples(), 0);
  const v1::RankedVariant& rtn = answer->variants(1);
  ASSERT_EQ(rtn.terms_size(), 2);
  EXPECT_EQ(rtn.terms(1).name(), "behaviour");
  EXPECT_NEAR(rtn.terms(1).normalized(), 10.0 / 3, 1e-9);
  EXPECT_EQ(rtn.behaviour().prompts(), 8);
  EXPECT_EQ(answer->profile().weights().behaviour(), 0.5);
}

TEST(Agreement, IsNotDecidableWhereItWasNotMeasured) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = Asking(server, "r");
  request.mutable_spec()->clear_agreement();
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok());
  worker.RunUntilIdle();
  const absl::Status status = Rank(server, job->name()).status();
  EXPECT_EQ(wire::Reason(status), "NOT_DECIDABLE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("--agreement"));
  EXPECT_FALSE(Measure(server, job->name()).variants(0).has_behaviour());
}

// Situation: rtn-w4 refuses batches.
TEST(Agreement, SaysWhyBatchesAreMissing) {
  TestServer server;
  const std::string job = RunJob(server, "r", [](const v1::Lease& lease, v1::RecordBatch& batch) {
    if (lease.kind() != v1::CHUNK_KIND_AGREEMENT || lease.variant() != "rtn-w4") return;
    for (v1::Record& record : *batch.mutable_records()) {
      record.mutable_agreement()->mutable_repeats()->DeleteSubrange(1, 2);
      record.mutable_agreement()->set_batches_refused("its cache is quantized");
    }
  });
  const v1::MeasureVariantsResponse answer = Measure(server, job);
  EXPECT_EQ(answer.variants(1).behaviour().self_size(), 1);
  EXPECT_EQ(answer.variants(1).behaviour().problem(), "no batches: its cache is quantized");
  EXPECT_FALSE(answer.variants(1).behaviour().has_penalty());
  EXPECT_THAT(answer.notes(), testing::Contains(HasSubstr("its agreement is over repeats alone")));
  EXPECT_THAT(std::string(Rank(server, job).status().message()), HasSubstr("it lacks a run that fp16 has"));
}

TEST(Agreement, IsRefusedWhereARecordCannotBe) {
  const std::pair<const char*, std::function<void(v1::AgreementRecord*)>> cases[] = {
      {"output_ids", [](auto* a) { a->clear_output_ids(); }},
      {"repeats", [](auto* a) { a->clear_repeats(); }},
      {"same_tokens", [](auto* a) { a->mutable_repeats(0)->set_same_tokens(9); }},
      {"ascending", [](auto* a) { a->mutable_repeats(1)->set_batch(1); }},
      {"not_finite_tokens", [](auto* a) { a->set_not_finite_tokens(-1); }},
      {"output_ids", [](auto* a) { a->mutable_output_ids()->Resize(257, 1); }},
  };
  for (const auto& [message, spoil] : cases) {
    TestServer server;
    FakeWorker worker(server.worker_channel(), "w");
    ASSERT_TRUE(worker.Report().has_value());
    v1::CreateJobRequest request = Asking(server, "r");
    ASSERT_TRUE(server.Create(request).ok());
    v1::Lease lease = worker.AwaitLease();
    while (lease.kind() != v1::CHUNK_KIND_AGREEMENT) {
      ASSERT_TRUE(worker.Complete(lease));
      lease = worker.AwaitLease();
    }
    EXPECT_EQ(lease.timing().max_output_tokens(), std::min(64, request.spec().timing().max_output_tokens()));
    EXPECT_THAT(lease.batch_sizes(), ElementsAre(8, 32));
    v1::RecordBatch batch = worker.Batch(lease, 0, 0, lease.item_count());
    spoil(batch.mutable_records(0)->mutable_agreement());
    const auto ack = worker.Send(batch);
    ASSERT_TRUE(ack.has_value()) << message;
    EXPECT_EQ(ack->verdict(), v1::RECORD_VERDICT_REJECTED) << message;
    EXPECT_THAT(ack->reason(), HasSubstr(message));
  }
}

// Situation: the other job ran on a GPU, with another driver and build; its rtn-w4 says something else from the start.
TEST(CompareBehaviour, IsToldAcrossDevicesWhereTimesAreNot) {
  TestServer server;
  const std::string one = RunJob(server, "r1");
  const std::string other = RunJob(server, "r2", [](const v1::Lease& lease, v1::RecordBatch& batch) {
    if (batch.has_end()) {
      v1::ChunkEvidence& evidence = *batch.mutable_end()->mutable_evidence();
      evidence.mutable_device()->set_id("GPU-1");
      evidence.mutable_device()->set_backend("cuda");
      evidence.set_build("2.0");
    }
    if (lease.kind() != v1::CHUNK_KIND_AGREEMENT || lease.variant() != "rtn-w4") return;
    for (v1::Record& record : *batch.mutable_records()) record.mutable_agreement()->set_output_ids(0, 999);
  });
  const auto answer = Compare(server, one, other);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->variants_size(), 2);
  EXPECT_EQ(answer->variants(0).outputs().prompts(), 8);
  EXPECT_EQ(answer->variants(0).outputs().equal(), 1);
  EXPECT_EQ(answer->variants(1).outputs().tokens().value(), 0);
  EXPECT_FALSE(answer->variants(0).has_speed_ratio());
  v1::CompareJobsRequest times;
  times.set_job(one);
  times.set_other_job(other);
  v1::CompareJobsResponse unused;
  const grpc::Status refused = server.ranking().CompareJobs(Within30s().get(), times, &unused);
  EXPECT_EQ(wire::Reason(wire::FromGrpc(refused)), "NOT_COMPARABLE");
}

TEST(CompareBehaviour, RefusesOtherOutputs) {
  TestServer server;
  const std::string one = RunJob(server, "r1");
  FakeWorker worker(server.worker_channel(), "w", "again");
  ASSERT_TRUE(worker.Report().has_value());
  const std::pair<const char*, std::function<void(v1::JobSpec*)>> cases[] = {
      {"tokens of an output", [](auto* s) { s->mutable_agreement()->set_output_tokens(3); }},
      {"tokens of an output", [](auto* s) { s->clear_agreement(); }},
      {"chat template", [](auto* s) { s->mutable_timing()->set_chat(true); }},
      {"prompt set", [&](auto* s) { s->set_prompt_set(server.Upload(11)); }},
  };
  int number = 0;
  for (const auto& [message, change] : cases) {
    v1::CreateJobRequest request = Asking(server, absl::StrCat("other", ++number));
    change(request.mutable_spec());
    const auto job = server.Create(request);
    ASSERT_TRUE(job.ok()) << job.status();
    worker.RunUntilIdle();
    const absl::Status status = Compare(server, one, job->name()).status();
    EXPECT_EQ(wire::Reason(status), "NOT_COMPARABLE") << message << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("\n", message, ": ")));
  }
}

}  // namespace
}  // namespace uaqf::test
