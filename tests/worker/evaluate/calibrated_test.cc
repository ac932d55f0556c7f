// Calibration on real models: what is kept between runs, and what it is worth.
#include "worker/evaluate/calibrated.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/support/test_data.h"
#include "tests/worker/commands/run_worker.h"
#include "worker/engine/engine.h"
#include "worker/evaluate/engine_evaluator.h"
#include "worker/measure/clock.h"
#include "worker/model/digest.h"
#include "worker/quantize/prose.h"

namespace uaqf::evaluate {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A model of 656,000 parameters that writes stories.
class TinyStories : public testing::Test {
 protected:
  void SetUp() override {
    UAQF_NEED_DATA("tinystories656k/model.safetensors");
    path_ = test::SharedData("tinystories656k");
    auto model = OpenModel::Open(path_);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    request_.options.threads = 1;
    request_.options.progress = [this](int64_t, int64_t) {
      ++progress_;
      return true;
    };
    artifacts_.folder = test::ScratchFolder();
  }

  absl::StatusOr<CalibratedVariant> Prepare(const std::string& name) {
    progress_ = 0;
    return PrepareCalibrated(*model_, quantize::FindVariant(name).value(), request_, artifacts_);
  }

  std::string path_;
  std::unique_ptr<OpenModel> model_;
  CalibrationRequest request_;
  ArtifactOptions artifacts_;
  int progress_ = 0;
};

constexpr char kVariant[] = "gptq-w4-g64:samples=8:length=128";

TEST_F(TinyStories, ASecondRunReadsWhatTheFirstMade) {
  const auto first = Prepare(kVariant);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(progress_, 3);
  const auto second = Prepare(kVariant);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(progress_, 0);
  EXPECT_EQ(first->config, second->config);
  EXPECT_EQ(first->artifact->folder(), second->artifact->folder());
}

TEST_F(TinyStories, ADamagedBlockIsMadeAgainAsItWas) {
  const auto first = Prepare(kVariant);
  ASSERT_TRUE(first.ok());
  const std::string path = first->artifact->folder() + "/block-00001.safetensors";
  const std::string bytes = test::ReadFile(path);
  {
    std::ofstream file(path, std::ios::binary);
    file << bytes.substr(0, bytes.size() / 2);
  }
  ASSERT_TRUE(Prepare(kVariant).ok());
  EXPECT_EQ(progress_, 3);
  EXPECT_EQ(test::ReadFile(path), bytes);
}

TEST_F(TinyStories, AnotherTextOrOptionIsAnotherArtifact) {
  const auto one = Prepare(kVariant);
  const auto seeded = Prepare(std::string(kVariant) + ":seed=3");
  const auto damped = Prepare(std::string(kVariant) + ":damp=0.1");
  ASSERT_TRUE(one.ok() && seeded.ok() && damped.ok());
  EXPECT_NE(one->artifact->folder(), seeded->artifact->folder());
  EXPECT_NE(one->artifact->folder(), damped->artifact->folder());
}

TEST_F(TinyStories, SamplesAreAsLongAsSuitsMethodAndModel) {
  const auto length = [&](const char* name) { return SpecOf(*model_, quantize::FindVariant(name).value()).length; };
  ASSERT_LT(model_->config().context, 2048);
  EXPECT_EQ(length("gptq-w4-g64"), 256);
  EXPECT_EQ(length("awq-w4-g64"), model_->config().context);
  // As asked for, whether it fits or not.
  EXPECT_EQ(length("gptq-w4-g64:length=100000"), 100000);
}

TEST_F(TinyStories, ATextTooShortIsSaidBeforeAnythingIsWritten) {
  request_.text = "Once upon a time there was a text of a few words.";
  const absl::Status status = Prepare(kVariant).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected at least 1024 for 8 samples of 128"));
  EXPECT_TRUE(fs::is_empty(artifacts_.folder));
}

TEST_F(TinyStories, TheEvaluatorHostsItAndSaysWhatItWasMadeOf) {
  measure::SteadyClock clock;
  EngineEvaluator evaluator({.models = fs::path(path_).parent_path(), .threads = 1, .artifacts = artifacts_}, &clock);
  measure::PromptSet text{"promptSets/t", {{"0", std::string(quantize::CalibrationProse().substr(0, 20000)), {}}}};
  ASSERT_TRUE(evaluator.Load({"tinystories656k", "fp16", 128}).ok());
  const auto fp16 = evaluator.ScoreWindow(text, 128, 0);
  ASSERT_TRUE(fp16.ok());
  ASSERT_TRUE(evaluator.Load({"tinystories656k", kVariant, 128}).ok());
  const std::string digest = evaluator.Identify()->variant_digest;
  const auto gptq = evaluator.ScoreWindow(text, 128, 0);
  ASSERT_TRUE(gptq.ok());
  EXPECT_NEAR(gptq->nll_sum / 127, fp16->nll_sum / 127, 0.5);
  EXPECT_NE(gptq->nll_sum, fp16->nll_sum);

  // A text set by its digest, handed over with the request.
  const std::string named = std::string(kVariant) + ":text=" + std::string(64, 'a');
  EXPECT_EQ(measure::CalibrationTextOf(named), "promptSets/" + std::string(64, 'a'));
  EXPECT_FALSE(evaluator.Load({"tinystories656k", named, 128}).ok());
  ASSERT_TRUE(evaluator.Load({"tinystories656k", named, 128, &text}).ok());
  EXPECT_NE(evaluator.Identify()->variant_digest, digest);
  const measure::Identity identity = *evaluator.Identify();
  EXPECT_EQ(model::Sha256(identity.variant_config), identity.variant_digest);
  const auto config = nlohmann::json::parse(identity.variant_config);
  EXPECT_EQ(config["options"]["damp"], 0.01);
  EXPECT_EQ(config["calibration"]["samples"], 8);
  EXPECT_EQ(config["calibration"]["length"], 128);
  EXPECT_EQ(config["calibration"]["seed"], 0);
  EXPECT_EQ(config["calibration"]["text"], model::Sha256(text.prompts[0].text));
}

TEST_F(TinyStories, AtomRunsWithFourBitActivations) {
  measure::SteadyClock clock;
  EngineEvaluator evaluator({.models = fs::path(path_).parent_path(), .threads = 1, .artifacts = artifacts_}, &clock);
  measure::PromptSet text{"promptSets/t",
                          {{"0", test::ReadFile(test::SharedData("tinystories/five_stories.txt")), {}}}};
  double nll[2];
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(evaluator.Load({"tinystories656k", i == 0 ? "fp16" : "atom-w4a4-g64:length=128", 256}).ok());
    const auto score = evaluator.ScoreWindow(text, 256, 0);
    ASSERT_TRUE(score.ok());
    nll[i] = score->nll_sum / 255;
  }
  EXPECT_GT(nll[1], nll[0]);
  EXPECT_LT(nll[1], nll[0] + 1.5);
}

TEST_F(TinyStories, QuantizeWritesAnArtifactThatAPersonCanNameAndResume) {
  const std::string out = test::ScratchFolder() + "/made";
  const test::Outcome made =
      test::RunWorker({"quantize", path_, "--variant", kVariant, "--out", out, "--threads", "1", "--output", "json"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.json()["blocks"], 2);
  EXPECT_EQ(made.json()["config"]["options"]["damp"], 0.01);
  EXPECT_THAT(made.err, HasSubstr("calibrating: 1 of 2 blocks"));
  EXPECT_TRUE(fs::exists(out + "/artifact.json"));
  // Done already.
  EXPECT_EQ(test::RunWorker({"quantize", path_, "--variant", kVariant, "--out", out}).err, "");
  const test::Outcome other =
      test::RunWorker({"quantize", path_, "--variant", "gptq-w4:samples=8:length=128", "--out", out});
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.err, HasSubstr("name another folder"));
  const test::Outcome none = test::RunWorker({"quantize", path_, "--variant", "rtn-w4", "--out", out});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("needs no calibration"));
}

// What a synthetic shape takes; nothing of it is kept, and it makes no artifact.
TEST(Measuring, TakesSyntheticShapesAndKeepsNothing) {
  const test::Outcome made =
      test::RunWorker({"quantize", "synthetic:tiny", "--variant", "gptq-w4-g64:samples=3:length=64", "--measure",
                       "--threads", "1", "--output", "json"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.json()["blocks"], 2);
  EXPECT_EQ(made.json()["samples"], 3);
  EXPECT_EQ(made.json()["sample_tokens"], 64);
  EXPECT_GT(made.json()["stage_seconds"]["solve"], 0);
  EXPECT_GE(made.json()["seconds"], made.json()["stage_seconds"]["solve"]);
  EXPECT_GT(made.json()["host_peak_bytes"], 1 << 20);
  EXPECT_EQ(made.json()["device_peak_bytes"], 0);
  // 589,824 weights a block at four bits and a scale for 64 of them.
  EXPECT_GT(made.json()["artifact_bytes"], 2 * (589824 / 2 + 589824 / 64 * 2));

  const test::Outcome table = test::RunWorker(
      {"quantize", "synthetic:tiny", "--variant", "awq-w4-g64:samples=2:length=32", "--measure", "--blocks", "1"});
  EXPECT_THAT(table.out, HasSubstr("1 of 2 blocks, 2 samples of 32 tokens"));
  EXPECT_THAT(table.out, HasSubstr("search"));
  EXPECT_THAT(table.out, HasSubstr("not kept"));

  const std::string out = test::ScratchFolder() + "/made";
  const test::Outcome kept = test::RunWorker({"quantize", "synthetic:tiny", "--variant", "gptq-w4-g64", "--out", out});
  EXPECT_EQ(kept.code, 1);
  EXPECT_THAT(kept.err, HasSubstr("has random weights"));
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(test::RunWorker({"quantize", "synthetic:tiny", "--variant", "gptq-w4-g64"}).code, 2);
}

// The default model. What GPTQ and AWQ lose takes more text than a test has: tests/bench/perplexity_table.py.
class Smollm2 : public testing::Test {
 protected:
  void SetUp() override {
    UAQF_NEED_FILE(test::DefaultModel());
    UAQF_NEED_DATA("wikitext2/wiki.test.raw");
    auto model = OpenModel::Open(test::DefaultModel());
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    const std::string text = test::ReadFile(test::SharedData("wikitext2/wiki.test.raw")).substr(0, 12000);
    ids_ = *model_->EncodeText(text);
    ids_.resize(1024);
  }

  double Nll(const std::string& name) {
    const quantize::Variant variant = quantize::FindVariant(name).value();
    engine::EngineOptions options;
    options.max_sequence_tokens = 1024;
    CalibratedVariant calibrated;
    if (quantize::NeedsCalibration(variant)) {
      CalibrationRequest request;
      request.options.threads = 1;
      auto prepared = PrepareCalibrated(*model_, variant, request, {.folder = test::ScratchFolder()});
      EXPECT_TRUE(prepared.ok()) << prepared.status();
      calibrated = *std::move(prepared);
      options.blocks = calibrated.blocks();
    }
    auto engine = engine::Engine::Create(model_->checkpoint(), variant, options);
    EXPECT_TRUE(engine.ok()) << engine.status();
    const auto nll = (*engine)->Score(ids_);
    EXPECT_TRUE(nll.ok());
    return std::accumulate(nll->begin(), nll->end(), 0.0) / static_cast<double>(nll->size());
  }

  std::unique_ptr<OpenModel> model_;
  std::vector<int32_t> ids_;
};

TEST_F(Smollm2, SmoothingDoesNotLoseMoreThanTheGridAlone) {
  EXPECT_LT(Nll("smoothquant-channel:samples=4"), Nll("rtn-w8a8-channel") + 0.02);
}

}  // namespace
}  // namespace uaqf::evaluate
