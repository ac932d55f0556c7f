// The report over jobs of several models: what is in it, and which jobs may not be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/wire/digest.h"
#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using ChangeRequest = std::function<void(v1::CreateJobRequest&)>;
using ChangeEnd = std::function<void(v1::AttemptEnd&)>;

// What a job is of.
struct Model {
  std::string name = "m1";
  std::int64_t parameters = 1'000'000;
  std::int64_t variant_ns = 10'000'000;  // that every variant but fp16 takes for a prompt
};

void Hold(const Model& model, FakeWorker& worker) {
  v1::ModelInfo& info = *worker.state.mutable_models(0);
  info.set_parameters(model.parameters);
  info.set_digest(wire::Sha256Hex(model.name));
}

// A job of fp16 and rtn-w4 on 12 prompts and six windows, run to its end.
std::string RunJob(TestServer& server, const Model& model, const ChangeRequest& change = nullptr,
                   const ChangeEnd& end = nullptr) {
  static int number = 0;
  const std::string request_id = absl::StrCat("request-", ++number);
  FakeWorker worker(server.worker_channel(), "w", /*session=*/request_id);
  worker.text_windows = 6;
  Hold(model, worker);
  worker.adjust = [&](const v1::Lease& lease, v1::RecordBatch& batch) {
    for (v1::Record& record : *batch.mutable_records()) {
      if (!record.has_timing() || lease.variant() == "fp16") continue;
      v1::TimingRecord& timing = *record.mutable_timing();
      timing.set_latency_ns(timing.latency_ns() - 10'000'000 + model.variant_ns);
    }
    if (!batch.has_end()) return;
    batch.mutable_end()->mutable_evidence()->set_model_digest(wire::Sha256Hex(model.name));
    batch.mutable_end()->mutable_evidence()->set_tokenizer_digest(wire::Sha256Hex(model.name + " tokenizer"));
    if (end) end(*batch.mutable_end());
  };
  EXPECT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request(request_id, /*prompts=*/12);
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  if (change) change(request);
  const auto job = server.Create(request);
  EXPECT_TRUE(job.ok()) << job.status();
  if (!job.ok()) return "";
  worker.RunUntilIdle();
  EXPECT_EQ(server.Get(job->name())->state(), v1::JOB_STATE_SUCCEEDED);
  return job->name();
}

absl::StatusOr<v1::CompareModelsResponse> Compare(TestServer& server, const std::vector<std::string>& jobs) {
  v1::CompareModelsRequest request;
  request.mutable_jobs()->Assign(jobs.begin(), jobs.end());
  v1::CompareModelsResponse answer;
  const grpc::Status status = server.ranking().CompareModels(Within30s().get(), request, &answer);
  if (!status.ok()) return wire::FromGrpc(status);
  return answer;
}

const Model kSmall{"m1", 1'000'000, 16'000'000}, kMiddle{"m2", 10'000'000, 12'000'000},
    kLarge{"m3", 100'000'000, 10'000'000};

TEST(CompareModels, TellsWhatGrowsWithTheModel) {
  TestServer server;
  const std::string large = RunJob(server, kLarge), small = RunJob(server, kSmall), middle = RunJob(server, kMiddle);
  const auto answer = Compare(server, {large, small, middle});
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->models_size(), 3);
  EXPECT_EQ(answer->models(0).job(), small);
  EXPECT_EQ(answer->models(2).parameters(), 100'000'000);
  EXPECT_EQ(answer->models(2).release_format(), "Q4_1");
  EXPECT_NEAR(answer->models(0).fp16_nll(), 3, 1e-9);
  EXPECT_EQ(answer->models(0).fp16_memory_bytes(), 200);
  ASSERT_EQ(answer->models(2).variants_size(), 1);
  const v1::ModelVariant& w4 = answer->models(2).variants(0);
  EXPECT_EQ(w4.variant(), "rtn-w4");
  EXPECT_NEAR(w4.speedup().value(), 2, 0.02);
  EXPECT_LE(w4.speedup().interval().low(), w4.speedup().value());
  EXPECT_NEAR(w4.nll_loss().value(), 0.07, 1e-9);
  EXPECT_NEAR(w4.relative_loss().value(), 0.07 / 3, 1e-9);
  EXPECT_NEAR(w4.perplexity_ratio().value(), std::exp(0.07), 1e-9);
  EXPECT_NEAR(w4.memory_ratio(), 0.4, 1e-12);
  EXPECT_EQ(w4.reason(), "");
  ASSERT_EQ(answer->trends_size(), 1);
  const v1::VariantTrend& trend = answer->trends(0);
  EXPECT_EQ(trend.speed().models(), 3);
  EXPECT_TRUE(trend.speed().covers_models());
  EXPECT_NEAR(trend.speed().slope(), std::log2(1.6) / 2, 0.01);
  EXPECT_NEAR(trend.relative_loss().slope(), 0, 1e-9);
  EXPECT_EQ(answer->resamples(), 2000);
  EXPECT_THAT(answer->notes(), Contains(HasSubstr("losses of m are relative to its Q4_1 release")));
}

TEST(CompareModels, AnswersAlikeInAnyOrderAndAfterARestart) {
  TestServer server;
  const std::string a = RunJob(server, kSmall), b = RunJob(server, kMiddle), c = RunJob(server, kLarge);
  const auto answer = Compare(server, {a, b, c});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(Compare(server, {c, a, b})->SerializeAsString(), answer->SerializeAsString());
  server.Restart();
  EXPECT_EQ(Compare(server, {a, b, c})->SerializeAsString(), answer->SerializeAsString());
  EXPECT_EQ(server.Get(a)->parameters(), 1'000'000);
}

// What a client changes in its request, or finds in its evidence, refuses the comparison by name.
TEST(CompareModels, NamesWhateverDiffersBesideTheModel) {
  TestServer server;
  const std::string one = RunJob(server, kSmall);
  const std::pair<const char*, ChangeRequest> asked[] = {
      {"prompt set", [&](auto& r) { r.mutable_spec()->set_prompt_set(server.Upload(11)); }},
      {"text",
       [&](auto& r) { r.mutable_spec()->mutable_quality()->set_text_set(server.Upload(2, v1::PROMPT_SET_KIND_TEXT)); }},
      {"tokens of a window", [](auto& r) { r.mutable_spec()->mutable_quality()->set_context_tokens(16); }},
      {"input tokens", [](auto& r) { r.mutable_spec()->mutable_timing()->set_input_tokens(32); }},
      {"output length",
       [](auto& r) { r.mutable_spec()->mutable_timing()->set_output_length(v1::OUTPUT_LENGTH_NATURAL); }},
      {"most output tokens", [](auto& r) { r.mutable_spec()->mutable_timing()->set_max_output_tokens(7); }},
      {"chat template", [](auto& r) { r.mutable_spec()->mutable_timing()->set_chat(true); }},
      {"warm-up generations", [](auto& r) { r.mutable_spec()->mutable_timing()->set_warmup_generations(2); }},
      {"clearing of caches", [](auto& r) { r.mutable_spec()->mutable_timing()->set_clear_cache(false); }},
  };
  for (const auto& [what, change] : asked) {
    const absl::Status status = Compare(server, {one, RunJob(server, kLarge, change)}).status();
    EXPECT_EQ(wire::Reason(status), "NOT_COMPARABLE") << what << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("\n", what, ": "))) << what;
  }
  const std::pair<const char*, ChangeEnd> found[] = {
      {"device", [](auto& e) { e.mutable_evidence()->mutable_device()->set_id("GPU-2"); }},
      {"backend", [](auto& e) { e.mutable_evidence()->mutable_device()->set_backend("cuda"); }},
      {"threads", [](auto& e) { e.mutable_evidence()->mutable_device()->set_threads(64); }},
      {"instruction set", [](auto& e) { e.mutable_evidence()->mutable_device()->set_isa("avx2"); }},
      {"driver", [](auto& e) { e.mutable_evidence()->mutable_device()->set_driver("555.2"); }},
      {"CUDA version", [](auto& e) { e.mutable_evidence()->mutable_device()->set_cuda("13.1"); }},
      {"worker build", [](auto& e) { e.mutable_evidence()->set_build("2.0"); }},
      {"configuration of rtn-w4",
       [](auto& e) {
         if (e.variant_configuration() != R"({"method":"rtn-w4"})") return;
         e.set_variant_configuration(R"({"method":"rtn-w4","version":2})");
         e.mutable_evidence()->set_variant_digest(wire::Sha256Hex(e.variant_configuration()));
       }},
  };
  for (const auto& [what, change] : found) {
    const absl::Status status = Compare(server, {one, RunJob(server, kLarge, nullptr, change)}).status();
    EXPECT_EQ(wire::Reason(status), "NOT_COMPARABLE") << what << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("\n", what, ": "))) << what;
  }
}

// The third is held against both others.
TEST(CompareModels, HoldsEveryJobAgainstEveryOther) {
  TestServer server;
  const auto silent = [](auto& r) { r.mutable_spec()->mutable_quality()->clear_text_set(); };
  const auto other_text = [&](auto& r) {
    r.mutable_spec()->mutable_quality()->set_text_set(server.Upload(2, v1::PROMPT_SET_KIND_TEXT));
  };
  const std::string a = RunJob(server, kSmall, silent), b = RunJob(server, kMiddle),
                    c = RunJob(server, kLarge, other_text);
  EXPECT_TRUE(Compare(server, {a, b}).ok()) << "a job without losses does not contradict one with";
  EXPECT_TRUE(Compare(server, {a, c}).ok());
  EXPECT_EQ(wire::Reason(Compare(server, {a, b, c}).status()), "NOT_COMPARABLE");
}

TEST(CompareModels, DoesNotTakeAnUnmeasuredLossForNone) {
  TestServer server;
  const std::string silent =
      RunJob(server, kSmall, [](auto& r) { r.mutable_spec()->mutable_quality()->clear_text_set(); });
  const auto answer = Compare(server, {silent, RunJob(server, kLarge)});
  ASSERT_TRUE(answer.ok()) << answer.status();
  const v1::ModelVariant& variant = answer->models(0).variants(0);
  EXPECT_FALSE(answer->models(0).has_fp16_nll());
  EXPECT_FALSE(variant.has_nll_loss());
  EXPECT_FALSE(variant.has_relative_loss());
  EXPECT_FALSE(variant.has_perplexity_ratio());
  EXPECT_EQ(variant.reason(), "loss not measured");
  EXPECT_TRUE(answer->trends(0).has_speed());
  EXPECT_FALSE(answer->trends(0).has_relative_loss());
}

// One text is other tokens to another tokenizer, and so are the samples of a calibration.
TEST(CompareModels, TakesOneRecipeForOneVariant) {
  TestServer server;
  const auto calibrated = [](const char* tokens, int samples) {
    return [=](v1::AttemptEnd& e) {
      e.set_variant_configuration(
          absl::StrCat(R"({"calibration":{"samples":)", samples, R"(,"tokens":")", tokens, R"("},"method":"gptq"})"));
      e.mutable_evidence()->set_variant_digest(wire::Sha256Hex(e.variant_configuration()));
    };
  };
  const std::string one = RunJob(server, kSmall, nullptr, calibrated("aa", 128));
  EXPECT_TRUE(Compare(server, {one, RunJob(server, kLarge, nullptr, calibrated("bb", 128))}).ok());
  EXPECT_EQ(wire::Reason(Compare(server, {one, RunJob(server, kMiddle, nullptr, calibrated("aa", 16))}).status()),
            "NOT_COMPARABLE");
}

TEST(CompareModels, SendsJobsOfOneModelToTheRanking) {
  TestServer server;
  const std::string one = RunJob(server, kSmall), other = RunJob(server, kSmall);
  const absl::Status status = Compare(server, {one, RunJob(server, kLarge), other}).status();
  EXPECT_EQ(wire::Reason(status), "SAME_MODEL");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("`uaqf rank ", one.substr(5), " ", other.substr(5), "`")));
}

// Of jobs that are stored without a parameter count, a worker that has the model knows it.
TEST(CompareModels, AsksWorkersForSizesThatWereNotKept) {
  TestServer server;
  Model unsized = kLarge;
  unsized.parameters = 0;
  const std::string one = RunJob(server, kSmall), old = RunJob(server, unsized);
  EXPECT_EQ(server.Get(old)->parameters(), 0);
  const absl::Status status = Compare(server, {one, old}).status();
  EXPECT_EQ(wire::Reason(status), "SIZE_UNKNOWN");
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("the model of ", old, " (m)")));
  EXPECT_THAT(std::string(status.message()), HasSubstr(wire::Sha256Hex("m3")));
  FakeWorker worker(server.worker_channel(), "w", "later");
  Hold(kMiddle, worker);
  ASSERT_TRUE(worker.Report().has_value());
  EXPECT_EQ(wire::Reason(Compare(server, {one, old}).status()), "SIZE_UNKNOWN") << "of one name, but another model";
  Hold(kLarge, worker);
  ASSERT_TRUE(worker.Report().has_value());
  const auto answer = Compare(server, {one, old});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->models(1).parameters(), 100'000'000);
}

TEST(CompareModels, RefusesWhatIsNoReport) {
  TestServer server;
  const std::string one = RunJob(server, kSmall);
  EXPECT_EQ(wire::Reason(Compare(server, {one}).status()), "OUT_OF_RANGE");
  EXPECT_EQ(wire::Reason(Compare(server, std::vector<std::string>(17, one)).status()), "OUT_OF_RANGE");
  EXPECT_EQ(wire::Reason(Compare(server, {one, one}).status()), "DUPLICATE_JOB");
  EXPECT_EQ(wire::Reason(Compare(server, {one, "jobs/zzzzzz"}).status()), "JOB_NOT_FOUND");
  EXPECT_EQ(Compare(server, {one, "nothing"}).status().code(), absl::StatusCode::kInvalidArgument);
  const auto only = [](const char* variant) {
    return [=](v1::CreateJobRequest& r) {
      r.mutable_spec()->clear_variants();
      r.mutable_spec()->add_variants(variant);
    };
  };
  for (const char* variant : {"fp16", "rtn-w8"}) {
    const std::string other = RunJob(server, kLarge, only(variant));
    EXPECT_EQ(wire::Reason(Compare(server, {one, other}).status()), "NOTHING_SHARED") << variant;
  }
}

TEST(CompareModels, RefusesAPublishedTable) {
  TestServer server;
  const std::string one = RunJob(server, kSmall);
  v1::ImportJobRequest request;
  request.set_request_id("table");
  request.mutable_table()->set_title("Table 7");
  request.mutable_table()->set_baseline_label("FP16");
  for (const char* label : {"fp16", "RTN 4-bit"}) {
    v1::ImportedVariant& variant = *request.mutable_table()->add_variants();
    variant.set_variant(label);
    variant.set_tokens_per_s(38);
  }
  v1::Job table;
  const grpc::Status imported = server.evaluation().ImportJob(Within30s().get(), request, &table);
  ASSERT_TRUE(imported.ok()) << imported.error_message();
  const absl::Status status = Compare(server, {one, table.name()}).status();
  EXPECT_EQ(wire::Reason(status), "NOT_COMPARABLE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("kind: measured and imported"));
}

TEST(CompareModels, SaysWhatIsNotKnownOfAJobThatWaits) {
  TestServer server;
  const std::string one = RunJob(server, kSmall);
  FakeWorker worker(server.worker_channel(), "w", "early");
  ASSERT_TRUE(worker.Report().has_value());
  const auto waiting = server.Create(server.Request("waiting", 12));
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  EXPECT_THAT(
      std::string(Compare(server, {one, waiting->name()}).status().message()),
      HasSubstr("model digest: " + wire::Sha256Hex("m1").substr(0, 12) + " and not known; no chunk was accepted"));
}

}  // namespace
}  // namespace uaqf::test
