// uaqf-worker serve with a real model, against a coordinator in the test's process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "absl/time/clock.h"
#include "tests/support/test_data.h"
#include "tests/worker/commands/run_worker.h"
#include "tests/worker/link/fake_worker_port.h"
#include "tests/worker/model/model_files.h"

namespace uaqf {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kPrompts[] = "promptSets/01";
constexpr char kText[] = "promptSets/02";

v1::Lease MakeLease(int chunk, v1::ChunkKind kind) {
  v1::Lease lease;
  lease.mutable_attempt()->set_job("jobs/a");
  lease.mutable_attempt()->set_chunk(chunk);
  lease.mutable_attempt()->set_epoch(1);
  lease.mutable_duration()->set_seconds(60);
  lease.set_kind(kind);
  lease.set_variant("rtn-w8-channel");
  lease.set_item_count(2);
  lease.set_prompt_set(kind == v1::CHUNK_KIND_PERPLEXITY ? kText : kPrompts);
  lease.set_context_tokens(64);
  lease.mutable_timing()->set_max_output_tokens(8);
  return lease;
}

class Serve : public testing::Test {
 protected:
  void SetUp() override {
    UAQF_NEED_DATA("stories260k/stories260K.bin");
    models_ = std::filesystem::path(test::StoriesModel()).parent_path();
    std::vector<v1::Prompt> prompts(2);
    prompts[0].set_id("a");
    prompts[0].set_text("Once upon a time");
    prompts[1].set_id("b");
    prompts[1].set_text("One day, a girl named Lily went to the park");
    coordinator_.AddPrompts(kPrompts, prompts);
    v1::Prompt piece;
    piece.set_id("0");
    std::string text;
    while (text.size() < 2000) text += "Lily and Tom went to the park to play with a big red ball. ";
    piece.set_text(text);
    coordinator_.AddPrompts(kText, {piece});
    coordinator_.Want({});
    worker_ = std::make_unique<test::StartedWorker>(
        std::vector<std::string>{"serve", "--insecure-dev", "--server", coordinator_.address(), "--models", models_,
                                 "--worker-name", "tested", "--max-foreign-load", "1"});
    ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.last_state().models_size() == 1; }));
  }

  v1::DesiredState Hosting() const {
    v1::DesiredState desired;
    desired.mutable_assignment()->set_model("stories260k");
    desired.mutable_assignment()->set_variant("rtn-w8-channel");
    desired.mutable_assignment()->set_max_sequence_tokens(128);
    return desired;
  }

  std::string models_;
  test::FakeWorkerPort coordinator_;
  std::unique_ptr<test::StartedWorker> worker_;
};

// Situation: the coordinator speaks plain text, and the worker is told to use TLS.
TEST(ServeWithTheWrongSecurity, SaysWhyItCannotConnect) {
  const std::string folder = test::ScratchFolder();
  const std::string ca = folder + "/ca";
  ASSERT_EQ(std::system((test::SourceFile("deploy/make-dev-ca.sh") + " " + ca + " >/dev/null").c_str()), 0);
  test::FakeWorkerPort coordinator;
  const test::StartedWorker worker({"serve", "--tls-cert", ca + "/worker.pem", "--tls-key", ca + "/worker-key.pem",
                                    "--tls-ca", ca + "/ca.pem", "--server", coordinator.address(), "--models", folder,
                                    "--worker-name", "tested"});
  // Nothing else tells that it tried.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (absl::Now() < deadline && worker.err().find("cannot connect") == std::string::npos) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_THAT(worker.err(), testing::AllOf(HasSubstr("cannot connect to the coordinator: "), HasSubstr("andshake"),
                                           HasSubstr("--insecure-dev"), Not(HasSubstr(".cc:"))));
}

TEST_F(Serve, AnnouncesItsModelsWithTheVariantsThatFit) {
  const v1::WorkerState state = coordinator_.last_state();
  EXPECT_EQ(state.worker(), "workers/tested");
  EXPECT_EQ(state.device().backend(), "cpu");
  const v1::ModelInfo& model = state.models(0);
  EXPECT_EQ(model.model(), "stories260k");
  EXPECT_EQ(model.digest().size(), 64u);
  EXPECT_EQ(model.context_tokens(), 512);
  for (const v1::VariantInfo& variant : model.variants()) {
    EXPECT_EQ(variant.fits(), variant.reason().empty()) << variant.variant();
  }
}

TEST_F(Serve, SurveysTimesGeneratesAndScores) {
  v1::DesiredState desired;
  v1::Survey& survey = *desired.add_surveys();
  survey.set_job("jobs/a");
  survey.set_model("stories260k");
  survey.set_prompt_set(kPrompts);
  survey.set_text_set(kText);
  survey.set_context_tokens(64);
  coordinator_.Want(desired);
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.last_state().surveys_size() == 1; }));
  const v1::SurveyResult found = coordinator_.last_state().surveys(0);
  EXPECT_EQ(found.error(), "");
  EXPECT_GT(found.longest_input_tokens(), 10);
  EXPECT_EQ(found.text_windows(), found.text_tokens() / 64);

  desired = Hosting();
  *desired.add_leases() = MakeLease(0, v1::CHUNK_KIND_GENERATION);
  *desired.add_leases() = MakeLease(1, v1::CHUNK_KIND_PERPLEXITY);
  *desired.add_leases() = MakeLease(2, v1::CHUNK_KIND_TIMING);
  desired.mutable_leases(2)->add_output_tokens(5);
  desired.mutable_leases(2)->add_output_tokens(3);
  coordinator_.Want(desired);
  ASSERT_TRUE(coordinator_.Await([this] {
    const auto batches = coordinator_.batches();
    return !batches.empty() && batches.back().attempt().chunk() == 2 && batches.back().has_end();
  })) << coordinator_.last_state().ShortDebugString();
  for (const v1::RecordBatch& batch : coordinator_.batches()) {
    for (const v1::Record& record : batch.records()) {
      if (record.has_window()) {
        EXPECT_EQ(record.window().scored_tokens(), 63);
        EXPECT_GT(record.window().nll_sum(), 0);
      } else if (record.has_generation()) {
        EXPECT_GT(record.generation().output_tokens(), 0);
      } else {
        const v1::TimingRecord& timing = record.timing();
        EXPECT_EQ(timing.output_tokens(), record.item() == 0 ? 5 : 3);
        EXPECT_EQ(timing.inter_token_ns_size(), timing.output_tokens() - 1);
        EXPECT_EQ(std::accumulate(timing.inter_token_ns().begin(), timing.inter_token_ns().end(), int64_t{0}),
                  timing.decode_ns());
        EXPECT_GE(timing.latency_ns(), timing.tokenize_ns() + timing.prefill_ns() + timing.decode_ns());
        EXPECT_EQ(timing.output_digest().size(), 32u);
      }
    }
  }
  const v1::ChunkEvidence evidence = coordinator_.batches().back().end().evidence();
  EXPECT_EQ(evidence.model_digest(), coordinator_.last_state().models(0).digest());
  EXPECT_EQ(evidence.tokenizer_digest().size(), 64u);
  EXPECT_GT(evidence.memory().weights_bytes(), evidence.memory().block_weights_bytes());
  EXPECT_GT(evidence.memory().measured_peak_bytes(), evidence.memory().weights_bytes());
}

TEST_F(Serve, SaysWhyAVariantCannotBeHosted) {
  v1::DesiredState desired = Hosting();
  desired.mutable_assignment()->set_variant("rtn-w4-g128");
  coordinator_.Want(desired);
  ASSERT_TRUE(
      coordinator_.Await([this] { return coordinator_.last_state().hosted().state() == v1::VARIANT_STATE_FAILED; }));
  EXPECT_THAT(coordinator_.last_state().hosted().error(), HasSubstr("128"));
}

TEST_F(Serve, EndsWith0AfterSigterm) {
  coordinator_.Want(Hosting());
  ASSERT_TRUE(
      coordinator_.Await([this] { return coordinator_.last_state().hosted().state() == v1::VARIANT_STATE_READY; }));
  worker_->Signal(SIGTERM);
  const test::Outcome outcome = worker_->Wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(coordinator_.last_state().draining());
  EXPECT_THAT(outcome.err.substr(0, outcome.err.find('\n')), HasSubstr("tested")) << "the first line says what it is";
}

}  // namespace
}  // namespace uaqf
