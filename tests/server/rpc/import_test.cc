// Published tables as jobs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "proto/wire/status.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

v1::ImportJobRequest Table() {
  v1::ImportJobRequest request;
  request.set_request_id("r1");
  v1::ImportedTable& table = *request.mutable_table();
  table.set_title("Table 7");
  table.set_baseline_label("FP16 (Baseline)");
  const auto add = [&table](const char* label, double latency_s, double tokens_per_s, double loss, double gigabytes) {
    v1::ImportedVariant& variant = *table.add_variants();
    variant.set_variant(label);
    variant.set_latency_s(latency_s);
    variant.set_tokens_per_s(tokens_per_s);
    variant.set_delta_perplexity(loss);
    variant.set_memory_bytes(static_cast<std::int64_t>(gigabytes * 1e9));
  };
  add("fp16", 1.28, 38.2, 0, 13.5);
  add("RTN 8-bit", 1.015, 46.7, .42, 8.2);
  add("Atom 4-bit", .768, 63.1, .49, 4.9);
  return request;
}

absl::StatusOr<v1::Job> Import(TestServer& server, const v1::ImportJobRequest& request) {
  v1::Job job;
  const grpc::Status status = server.evaluation().ImportJob(Within30s().get(), request, &job);
  if (!status.ok()) return wire::FromGrpc(status);
  return job;
}

TEST(ImportedJobs, HaveEndedAndAreShownAsTheyCame) {
  TestServer server;
  const auto job = Import(server, Table());
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job->imported().SerializeAsString(), Table().table().SerializeAsString());
  EXPECT_EQ(job->spec().variants_size(), 3);
  EXPECT_EQ(job->spec().prompt_set(), "");
  server.Restart();
  const auto again = server.Get(job->name());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->SerializeAsString(), job->SerializeAsString());
  EXPECT_TRUE(server.Records(job->name()).empty());
  EXPECT_EQ(server.Cancel(job->name())->state(), v1::JOB_STATE_SUCCEEDED);
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(server.evaluation().ListJobs(Within30s().get(), {}, &jobs).ok());
  EXPECT_EQ(jobs.jobs(0).imported().title(), "Table 7");
}

TEST(ImportedJobs, AreMeasuredByTheirFigures) {
  TestServer server;
  const auto job = Import(server, Table());
  ASSERT_TRUE(job.ok()) << job.status();
  v1::MeasureVariantsRequest request;
  request.set_job(job->name());
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), request, &measures).ok());
  ASSERT_EQ(measures.variants_size(), 3);
  EXPECT_DOUBLE_EQ(measures.variants(2).latency_s().value(), .768);
  EXPECT_FALSE(measures.variants(2).latency_s().has_half_width());
  EXPECT_DOUBLE_EQ(measures.variants(2).speedup(), 63.1 / 38.2);
  ASSERT_EQ(measures.notes_size(), 1);
  EXPECT_THAT(measures.notes(0), HasSubstr("imported as single values"));
}

TEST(ImportedJobs, AreRankedWithoutUncertainty) {
  TestServer server;
  const auto job = Import(server, Table());
  ASSERT_TRUE(job.ok()) << job.status();
  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  rank.set_profile("profiles/latency-critical");
  v1::RankVariantsResponse ranked;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), rank, &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(ranked.winner(), "Atom 4-bit");
  EXPECT_NEAR(ranked.variants(0).utility(), .6 - .2 * 1 + .2, 1e-9) << "its loss is the largest of these three";
  EXPECT_TRUE(ranked.point_values());
  EXPECT_EQ(ranked.resamples(), 0);
  EXPECT_FALSE(ranked.variants(0).has_standing());
  EXPECT_THAT(ranked.conditions(), HasSubstr("FP16 (Baseline)"));

  rank.set_profile("profiles/balanced");
  const absl::Status balanced = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &ranked));
  EXPECT_EQ(wire::Reason(balanced), "NOT_DECIDABLE");
  EXPECT_THAT(std::string(balanced.message()), HasSubstr("an imported table gives changes of perplexity"));

  rank.set_profile("profiles/latency-critical");
  rank.set_split(v1::SPLIT_GROUP);
  const absl::Status split = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &ranked));
  EXPECT_EQ(wire::Reason(split), "NO_PROMPTS");
}

TEST(ImportedJobs, OfTheSameRequestAreOne) {
  TestServer server;
  const auto first = Import(server, Table()), second = Import(server, Table());
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->name(), second->name());
  v1::ImportJobRequest other = Table();
  other.mutable_table()->mutable_variants(1)->set_latency_s(2);
  EXPECT_EQ(wire::Reason(Import(server, other).status()), "REQUEST_ID_REUSED");
}

TEST(ImportedJobs, ThatCannotBeAreRefused) {
  TestServer server;
  using Spoil = std::function<void(v1::ImportJobRequest&)>;
  const auto variant = [](v1::ImportJobRequest& r) { return r.mutable_table()->mutable_variants(1); };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<const char*, Spoil> cases[] = {
      {"INVALID_REQUEST_ID", [](auto& r) { r.clear_request_id(); }},
      {"INVALID_LABEL", [](auto& r) { r.mutable_table()->clear_title(); }},
      {"INVALID_LABEL", [](auto& r) { r.mutable_table()->set_baseline_label(std::string(200, 'x')); }},
      {"INVALID_LABEL", [&](auto& r) { variant(r)->set_variant("a\nb"); }},
      {"INVALID_LABEL", [&](auto& r) { variant(r)->clear_variant(); }},
      {"DUPLICATE_VARIANT", [&](auto& r) { variant(r)->set_variant("Atom 4-bit"); }},
      {"NO_BASELINE", [](auto& r) { r.mutable_table()->mutable_variants(0)->set_variant("FP16"); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_table()->mutable_variants()->DeleteSubrange(1, 2); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_table()->mutable_variants(0)->set_delta_perplexity(1); }},
      {"OUT_OF_RANGE", [&](auto& r) { variant(r)->set_latency_s(0); }},
      {"OUT_OF_RANGE", [&](auto& r) { variant(r)->set_latency_s(kNan); }},
      {"OUT_OF_RANGE", [&](auto& r) { variant(r)->set_tokens_per_s(-1); }},
      {"OUT_OF_RANGE", [&](auto& r) { variant(r)->set_memory_bytes(-5); }},
      {"NOT_A_NUMBER", [&](auto& r) { variant(r)->set_delta_perplexity(kNan); }},
  };
  for (const auto& [reason, spoil] : cases) {
    v1::ImportJobRequest request = Table();
    spoil(request);
    const absl::Status status = Import(server, request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(wire::Reason(status), reason) << status;
  }
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(server.evaluation().ListJobs(Within30s().get(), {}, &jobs).ok());
  EXPECT_TRUE(jobs.jobs().empty()) << "nothing half written";
}

}  // namespace
}  // namespace uaqf::test
