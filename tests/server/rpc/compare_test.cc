// Several jobs at once: compared, and ranked together, where nothing but the variants differs between them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

using ChangeRequest = std::function<void(v1::CreateJobRequest&)>;
using ChangeEvidence = std::function<void(v1::ChunkEvidence&)>;

// A job of `variants` on 12 prompts and a text, run to its end.
std::string RunJob(TestServer& server, const std::string& request_id, const std::vector<std::string>& variants,
                   const ChangeRequest& change = nullptr, const ChangeEvidence& evidence = nullptr) {
  FakeWorker worker(server.worker_channel(), "w", /*session=*/request_id);
  worker.state.mutable_device()->set_driver("550.1");
  worker.adjust = [&](const v1::Lease&, v1::RecordBatch& batch) {
    if (batch.has_end() && evidence) evidence(*batch.mutable_end()->mutable_evidence());
  };
  EXPECT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request(request_id, /*prompts=*/12);
  request.mutable_spec()->mutable_variants()->Assign(variants.begin(), variants.end());
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  if (change) change(request);
  const auto job = server.Create(request);
  EXPECT_TRUE(job.ok()) << job.status();
  if (!job.ok()) return "";
  worker.RunUntilIdle();
  EXPECT_EQ(server.Get(job->name())->state(), v1::JOB_STATE_SUCCEEDED);
  return job->name();
}

absl::StatusOr<v1::CompareJobsResponse> Compare(TestServer& server, const std::string& job, const std::string& other) {
  v1::CompareJobsRequest request;
  request.set_job(job);
  request.set_other_job(other);
  v1::CompareJobsResponse answer;
  const grpc::Status status = server.ranking().CompareJobs(Within30s().get(), request, &answer);
  if (!status.ok()) return wire::FromGrpc(status);
  return answer;
}

absl::StatusOr<v1::RankVariantsResponse> Rank(TestServer& server, const std::string& job,
                                              const std::vector<std::string>& more) {
  v1::RankVariantsRequest request = RankingBySpeed(job);
  request.mutable_more_jobs()->Assign(more.begin(), more.end());
  v1::RankVariantsResponse answer;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), request, &answer);
  if (!status.ok()) return wire::FromGrpc(status);
  return answer;
}

TEST(CompareJobs, OfTheSameKindFindsNoDifference) {
  TestServer server;
  const std::string one = RunJob(server, "r1", {"fp16", "rtn-w4"}), other = RunJob(server, "r2", {"fp16", "rtn-w8"});
  const auto answer = Compare(server, one, other);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->variants_size(), 1);
  const v1::ComparedVariant& fp16 = answer->variants(0);
  EXPECT_EQ(fp16.variant(), "fp16");
  EXPECT_EQ(fp16.prompts(), 12);
  EXPECT_DOUBLE_EQ(fp16.speed_ratio().value(), 1);
  EXPECT_FALSE(fp16.speed_differs());
  EXPECT_FALSE(fp16.nll_differs());
  EXPECT_EQ(answer->resamples(), 2000);
}

TEST(CompareJobs, HoldsASpeedAgainstTheNoiseFloor) {
  TestServer server;
  const auto with_twin = [](v1::CreateJobRequest& request) { request.mutable_spec()->set_noise_floor(true); };
  const std::string one = RunJob(server, "r1", {"fp16", "rtn-w4"}, with_twin),
                    other = RunJob(server, "r2", {"fp16", "rtn-w4"}, with_twin),
                    without = RunJob(server, "r3", {"fp16", "rtn-w4"});
  const auto answer = Compare(server, one, other);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_NEAR(answer->speed_floor(), 0.01, 0.002) << "the twin takes 1 % longer";
  EXPECT_TRUE(answer->variants(0).speed_ratio().within_noise());
  EXPECT_EQ(answer->notes_size(), 0);
  const auto half = Compare(server, one, without);
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_TRUE(half->has_speed_floor());
  EXPECT_THAT(half->notes(), testing::Contains(HasSubstr(absl::StrCat("the noise floor of ", without))));
  EXPECT_FALSE(Compare(server, without, RunJob(server, "r4", {"fp16"}))->has_speed_floor());
}

// What a client changes in its request, or finds in its evidence, refuses the comparison by name.
TEST(CompareJobs, NamesWhateverDiffers) {
  TestServer server;
  const std::string one = RunJob(server, "r0", {"fp16", "rtn-w4"});
  const std::pair<const char*, ChangeRequest> asked[] = {
      {"prompt set", [&](auto& r) { r.mutable_spec()->set_prompt_set(server.Upload(11)); }},
      {"text", [](auto& r) { r.mutable_spec()->mutable_quality()->clear_text_set(); }},
      {"tokens of a window", [](auto& r) { r.mutable_spec()->mutable_quality()->set_context_tokens(16); }},
      {"input tokens", [](auto& r) { r.mutable_spec()->mutable_timing()->set_input_tokens(32); }},
      {"output length",
       [](auto& r) { r.mutable_spec()->mutable_timing()->set_output_length(v1::OUTPUT_LENGTH_NATURAL); }},
      {"most output tokens", [](auto& r) { r.mutable_spec()->mutable_timing()->set_max_output_tokens(7); }},
      {"chat template", [](auto& r) { r.mutable_spec()->mutable_timing()->set_chat(true); }},
      {"warm-up generations", [](auto& r) { r.mutable_spec()->mutable_timing()->set_warmup_generations(2); }},
      {"clearing of caches", [](auto& r) { r.mutable_spec()->mutable_timing()->set_clear_cache(false); }},
  };
  int number = 0;
  for (const auto& [what, change] : asked) {
    const std::string other = RunJob(server, absl::StrCat("asked", ++number), {"fp16", "rtn-w4"}, change);
    const absl::Status status = Compare(server, one, other).status();
    EXPECT_EQ(wire::Reason(status), "NOT_COMPARABLE") << what << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("\n", what, ": "))) << what;
  }
  const std::pair<const char*, ChangeEvidence> found[] = {
      {"model digest", [](auto& e) { e.set_model_digest("other"); }},
      {"tokenizer digest", [](auto& e) { e.set_tokenizer_digest("other"); }},
      {"device", [](auto& e) { e.mutable_device()->set_id("GPU-2"); }},
      {"backend", [](auto& e) { e.mutable_device()->set_backend("cuda"); }},
      {"threads", [](auto& e) { e.mutable_device()->set_threads(64); }},
      {"instruction set", [](auto& e) { e.mutable_device()->set_isa("avx2"); }},
      {"driver", [](auto& e) { e.mutable_device()->set_driver("555.2"); }},
      {"CUDA version", [](auto& e) { e.mutable_device()->set_cuda("13.1"); }},
      {"worker build", [](auto& e) { e.set_build("2.0"); }},
  };
  for (const auto& [what, change] : found) {
    const std::string other = RunJob(server, absl::StrCat("found", ++number), {"fp16", "rtn-w4"}, nullptr, change);
    const absl::Status status = Compare(server, one, other).status();
    EXPECT_EQ(wire::Reason(status), "NOT_COMPARABLE") << what << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("\n", what, ": "))) << what;
    EXPECT_EQ(wire::Reason(Rank(server, one, {other}).status()), "NOT_COMPARABLE") << what;
  }
}

// A seed orders chunks; only with inputs of a fixed length it is in the inputs too.
TEST(CompareJobs, MindsTheSeedOnlyWhereItMakesInputs) {
  TestServer server;
  const auto seeded = [](std::uint64_t seed, int input_tokens) {
    return [=](v1::CreateJobRequest& r) {
      r.mutable_spec()->set_seed(seed);
      r.mutable_spec()->mutable_timing()->set_input_tokens(input_tokens);
    };
  };
  const std::string a = RunJob(server, "r1", {"fp16"}, seeded(1, 0)), b = RunJob(server, "r2", {"fp16"}, seeded(2, 0));
  EXPECT_TRUE(Compare(server, a, b).ok());
  const std::string c = RunJob(server, "r3", {"fp16"}, seeded(1, 32)),
                    d = RunJob(server, "r4", {"fp16"}, seeded(2, 32));
  EXPECT_THAT(std::string(Compare(server, c, d).status().message()), HasSubstr("\nseed: 1 and 2"));
}

TEST(CompareJobs, RefusesWhatCannotBeCompared) {
  TestServer server;
  const std::string one = RunJob(server, "r1", {"fp16", "rtn-w4"}), w8 = RunJob(server, "r2", {"rtn-w8"});
  EXPECT_EQ(wire::Reason(Compare(server, one, w8).status()), "NOTHING_SHARED");
  EXPECT_EQ(wire::Reason(Compare(server, one, one).status()), "DUPLICATE_JOB");
  EXPECT_EQ(Compare(server, one, "jobs/zzzzzz").status().code(), absl::StatusCode::kNotFound);
  v1::CreateJobRequest early = server.Request("r3", 12);
  early.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  FakeWorker worker(server.worker_channel(), "w2");
  ASSERT_TRUE(worker.Report().has_value());
  const auto queued = server.Create(early);
  ASSERT_TRUE(queued.ok()) << queued.status();
  EXPECT_THAT(std::string(Compare(server, one, queued->name()).status().message()),
              HasSubstr("no chunk was accepted that would tell"));
}

TEST(RankSeveralJobs, RanksTheVariantsOfAll) {
  TestServer server;
  const std::string one = RunJob(server, "r1", {"fp16", "rtn-w4"}), other = RunJob(server, "r2", {"fp16", "rtn-w8"});
  const auto answer = Rank(server, one, {other});
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->variants_size(), 3);
  EXPECT_EQ(answer->more_jobs(0), other);
  for (const v1::RankedVariant& variant : answer->variants()) {
    EXPECT_EQ(variant.status(), v1::RANK_STATUS_RANKED) << variant.variant();
    EXPECT_TRUE(variant.has_standing()) << "paired on the same prompts";
    if (variant.variant() == "fp16") continue;
    EXPECT_NEAR(variant.speedup().value(), 2, 0.05);
  }
  EXPECT_EQ(answer->configurations_size(), 3) << "one of fp16";
  EXPECT_THAT(answer->warnings(), testing::Contains(HasSubstr(absl::StrCat("group 2 is ", other))));
  const auto again = Rank(server, one, {other});
  EXPECT_EQ(again->SerializeAsString(), answer->SerializeAsString());
  EXPECT_EQ(Rank(server, one, {})->variants_size(), 2) << "one job alone is as before";
}

TEST(RankSeveralJobs, RefusesAVariantOfTwo) {
  TestServer server;
  const std::string one = RunJob(server, "r1", {"fp16", "rtn-w4"}), other = RunJob(server, "r2", {"fp16", "rtn-w4"});
  const absl::Status status = Rank(server, one, {other}).status();
  EXPECT_EQ(wire::Reason(status), "VARIANT_IN_SEVERAL_JOBS");
  EXPECT_THAT(std::string(status.message()), HasSubstr("rtn-w4 is in " + one + " and in " + other));
  EXPECT_EQ(wire::Reason(Rank(server, one, {one}).status()), "DUPLICATE_JOB");
  EXPECT_EQ(Rank(server, one, {"jobs/zzzzzz"}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace uaqf::test
