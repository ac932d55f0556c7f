// The GPU's engine against the processor's. Skipped, with the reason, where there is no GPU that can be used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/support/test_data.h"
#include "tests/worker/engine/engine_test_support.h"
#include "worker/engine/cuda/loader.h"
#include "worker/evaluate/calibrated.h"
#include "worker/evaluate/open_model.h"
#include "worker/model/synthetic.h"
#include "worker/quantize/synthetic_blocks.h"

namespace uaqf::engine {
namespace {

using testing::HasSubstr;

// A variant that needs calibration has random codes.
std::unique_ptr<Engine> OnDevice(const model::Checkpoint& checkpoint, const std::string& name,
                                 const std::string& device, int64_t tokens = 0, int64_t max_batch = 1) {
  const quantize::Variant variant = quantize::FindVariant(name).value();
  quantize::SyntheticBlocks blocks(checkpoint.config(), variant);
  EngineOptions options;
  options.device = device;
  options.max_sequence_tokens = tokens;
  options.max_batch = max_batch;
  if (quantize::NeedsCalibration(variant)) options.blocks = &blocks;
  auto engine = Engine::Create(checkpoint, variant, options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

std::vector<double> LogSoftmax(std::span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  std::vector<double> result;
  for (const float logit : logits) result.push_back(logit - most - std::log(sum));
  return result;
}

// KL(p of the processor || p of the GPU), nats.
double Divergence(std::span<const float> cpu, std::span<const float> gpu) {
  const std::vector<double> p = LogSoftmax(cpu);
  const std::vector<double> q = LogSoftmax(gpu);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return sum;
}

// Between the two largest.
double Margin(std::span<const float> logits) {
  std::vector<float> sorted(logits.begin(), logits.end());
  std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
  return static_cast<double>(*std::max_element(logits.begin(), logits.end()) - sorted[1]);
}

// Mean over positions, when both are fed the processor's tokens: a prefill of `prompt`, then `steps` of decoding. Also
// holds the greedy choices, if they must agree, against each other up to the first small margin.
double MeanDivergence(Engine& cpu, Engine& gpu, std::span<const int32_t> prompt, int steps, bool greedy = true) {
  double sum = 0;
  bool decided = greedy;
  auto next = cpu.Prefill(prompt);
  auto other = gpu.Prefill(prompt);
  for (int i = 0; i <= steps; ++i) {
    EXPECT_TRUE(next.ok()) << next.status();
    EXPECT_TRUE(other.ok()) << other.status();
    if (!next.ok() || !other.ok()) return 1e9;
    decided = decided && Margin(cpu.logits()) >= 0.1;
    if (decided) {
      EXPECT_EQ(*next, *other) << "step " << i;
    }
    sum += Divergence(cpu.logits(), gpu.logits());
    if (i == steps) break;
    const int32_t token = *next;
    next = cpu.Decode(token);
    other = gpu.Decode(token);
  }
  return sum / (steps + 1);
}

class Gpu : public testing::Test {
 protected:
  void SetUp() override {
    const auto module = LoadCudaModule();
    if (!module.ok()) GTEST_SKIP() << module.status().message();
    const auto info = (*module)->describe(0);
    if (!info.ok()) GTEST_SKIP() << info.status().message();
  }
};

TEST_F(Gpu, AgreesWithTheProcessorOnASyntheticModelInEveryVariant) {
  const auto checkpoint = *model::OpenSynthetic("synthetic:tiny");
  const std::vector<int32_t> prompt = test::RandomIds(70, 512, 5);
  std::vector<std::string> names = {"gptq-w4-g128:sym=0", "gptq-w4-g64:static-groups=0", "gptq-w4:sym=0",
                                    "atom-w4a4-g64:keepers=0"};
  for (const quantize::Variant& variant : quantize::Variants()) names.push_back(variant.name);
  for (const std::string& name : names) {
    const quantize::Variant variant = quantize::FindVariant(name).value();
    if (!Engine::CheckVariant(variant, "cuda:0").ok()) continue;
    const auto cpu = OnDevice(*checkpoint, name, "cpu", 256);
    const auto gpu = OnDevice(*checkpoint, name, "cuda:0", 256);
    ASSERT_NE(gpu, nullptr) << name;
    // An activation half-way between two codes becomes either, which counts the more the fewer codes there are.
    const bool int4 = variant.activation_bits == 4;
    const double limit = int4 ? 0.2 : variant.activation_bits == 8 ? 1e-3 : 1e-4;
    const double divergence = MeanDivergence(*cpu, *gpu, prompt, 40, !int4);
    EXPECT_LT(divergence, limit) << name;
    RecordProperty("kl_" + name, std::to_string(divergence));
    std::cout << name << " mean KL " << divergence << "\n";
  }
}

// Mean over the positions of a window, by ReadLogits.
double MeanDivergenceOfWindow(Engine& cpu, Engine& gpu, std::span<const int32_t> window) {
  const auto expected = cpu.ReadLogits(window);
  const auto got = gpu.ReadLogits(window);
  EXPECT_TRUE(expected.ok() && got.ok()) << expected.status() << got.status();
  if (!expected.ok() || !got.ok()) return 1e9;
  double sum = 0;
  for (size_t i = 0; i + 1 < window.size(); ++i) {
    const auto p = (*expected)->Next();
    const auto q = (*got)->Next();
    EXPECT_TRUE(p.ok() && q.ok()) << i << p.status() << q.status();
    if (!p.ok() || !q.ok()) return 1e9;
    sum += Divergence(*p, *q);
  }
  EXPECT_EQ((*got)->Next().status().code(), absl::StatusCode::kOutOfRange);
  return sum / static_cast<double>(window.size() - 1);
}

// A window of more tokens than go through the layers together, and of no multiple of the positions whose logits exist
// at one time; then a prompt, as if nothing had been.
TEST_F(Gpu, ReadsTheLogitsOfEveryPosition) {
  const auto checkpoint = *model::OpenSynthetic("synthetic:tiny");
  const auto cpu = OnDevice(*checkpoint, "fp16", "cpu", 1200);
  const auto gpu = OnDevice(*checkpoint, "fp16", "cuda:0", 1200);
  ASSERT_NE(gpu, nullptr);
  const std::vector<int32_t> window = test::RandomIds(1101, 512, 6);
  ASSERT_TRUE(gpu->Prefill(std::span(window).first(9)).ok());
  EXPECT_LT(MeanDivergenceOfWindow(*cpu, *gpu, window), 1e-4);
  EXPECT_EQ(gpu->position(), 0);
  EXPECT_LT(MeanDivergence(*cpu, *gpu, std::span(window).first(20), 5), 1e-4);
}

// INT4 activations, keys and values: what is half-way between two codes becomes either.
TEST_F(Gpu, AgreesWithTheProcessorOnAtom) {
  const absl::Status can = Engine::CheckVariant(quantize::FindVariant("atom-w4a4-g64").value(), "cuda:0");
  if (!can.ok()) GTEST_SKIP() << can.message();
  model::ModelConfig config = (*model::OpenSynthetic("synthetic:tiny"))->config();
  config.hidden = 256;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 64;
  config.ff = 512;
  config.context = std::max<int64_t>(config.context, 1200);
  const auto checkpoint = model::MakeSynthetic(config, 3);
  const auto cpu = test::MakeAtomEngine(*checkpoint, {.max_sequence_tokens = 1200});
  const auto gpu = test::MakeAtomEngine(*checkpoint, {.device = "cuda:0", .max_sequence_tokens = 1200});
  ASSERT_NE(cpu, nullptr);
  ASSERT_NE(gpu, nullptr);
  EXPECT_EQ(gpu->memory().kv_cache_bytes, cpu->memory().kv_cache_bytes);
  const std::vector<int32_t> window = test::RandomIds(1101, config.vocab, 6);
  EXPECT_LT(MeanDivergenceOfWindow(*cpu, *gpu, window), 5e-3);
  EXPECT_LT(MeanDivergence(*cpu, *gpu, std::span(window).first(70), 40, /*greedy=*/false), 5e-3);
}

class Smollm2OnGpu : public Gpu {
 protected:
  void SetUp() override {
    Gpu::SetUp();
    if (IsSkipped()) return;
    UAQF_NEED_FILE(test::DefaultModel());
    auto model = evaluate::OpenModel::Open(test::DefaultModel());
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
    prompt_ = *model_->EncodeText("The lighthouse keeper wrote in her journal that the sea had been calm, but");
  }
  std::unique_ptr<evaluate::OpenModel> model_;
  std::vector<int32_t> prompt_;
};

TEST_F(Smollm2OnGpu, AgreesWithTheProcessor) {
  for (const char* variant : {"fp16", "rtn-w8-channel", "rtn-w4-g64"}) {
    const auto cpu = OnDevice(model_->checkpoint(), variant, "cpu", 512);
    const auto gpu = OnDevice(model_->checkpoint(), variant, "cuda:0", 512);
    ASSERT_NE(gpu, nullptr);
    const double divergence = MeanDivergence(*cpu, *gpu, prompt_, 100);
    EXPECT_LE(divergence, 1e-4) << variant;
    std::cout << variant << " mean KL " << divergence << "\n";
  }
}

// Mean over a prefill's last position and `steps` of decoding the FP16 model's choices.
struct Losses {
  double cpu = 0, gpu = 0;  // KL from FP16
  double between = 0;       // KL from the processor to the GPU
};

Losses LossesOf(Engine& fp16, Engine& cpu, Engine& gpu, std::span<const int32_t> prompt, int steps) {
  Losses losses;
  auto next = fp16.Prefill(prompt);
  EXPECT_TRUE(cpu.Prefill(prompt).ok() && gpu.Prefill(prompt).ok());
  for (int i = 0; next.ok() && i <= steps; ++i) {
    losses.cpu += Divergence(fp16.logits(), cpu.logits()) / (steps + 1);
    losses.gpu += Divergence(fp16.logits(), gpu.logits()) / (steps + 1);
    losses.between += Divergence(cpu.logits(), gpu.logits()) / (steps + 1);
    if (i == steps) break;
    const int32_t token = *next;
    EXPECT_TRUE(cpu.Decode(token).ok() && gpu.Decode(token).ok());
    next = fp16.Decode(token);
  }
  EXPECT_TRUE(next.ok()) << next.status();
  return losses;
}

// One for each form of weights and of activations that calibration leads to. Calibrated on little text: what the
// kernels make of the result is the question. Quantized activations that are half-way between two codes become either,
// and that grows from layer to layer; so the engines need not agree there, but must lose alike.
TEST_F(Smollm2OnGpu, CalibratedVariantsAgreeWithTheProcessor) {
  const auto fp16 = OnDevice(model_->checkpoint(), "fp16", "cpu", 512);
  for (const char* name : {"awq-w4-g64", "gptq-w4-g64:sym=0", "gptq-w4-g64:static-groups=0", "gptq-w4:sym=0",
                           "smoothquant-channel", "smoothquant-o2", "smoothquant-o3", "atom-w4a4-g64"}) {
    const quantize::Variant variant = quantize::FindVariant(absl::StrCat(name, ":samples=4:length=256")).value();
    evaluate::CalibrationRequest request;
    request.options.device = "cuda:0";
    const auto calibrated = evaluate::PrepareCalibrated(*model_, variant, request, {.folder = test::ScratchFolder()});
    ASSERT_TRUE(calibrated.ok()) << name << ": " << calibrated.status();
    const auto on = [&](const std::string& device) {
      EngineOptions options;
      options.device = device;
      options.max_sequence_tokens = 512;
      options.blocks = calibrated->blocks();
      auto engine = Engine::Create(model_->checkpoint(), variant, options);
      EXPECT_TRUE(engine.ok()) << name << ": " << engine.status();
      return engine.ok() ? *std::move(engine) : nullptr;
    };
    const auto cpu = on("cpu");
    const auto gpu = on("cuda:0");
    if (cpu == nullptr || gpu == nullptr) continue;
    const Losses losses = LossesOf(*fp16, *cpu, *gpu, prompt_, 100);
    std::cout << name << " KL from FP16 " << losses.cpu << " on the processor, " << losses.gpu << " on the GPU, "
              << losses.between << " between them\n";
    EXPECT_NEAR(losses.gpu, losses.cpu, 0.3 * losses.cpu) << name;
    EXPECT_LE(losses.between, variant.activation_bits == 16 ? 1e-4 : losses.cpu) << name;
  }
}

TEST_F(Smollm2OnGpu, Says512TokensBitForBitAgain) {
  for (const char* variant : {"fp16", "rtn-w8a8", "rtn-w4-g64"}) {
    std::vector<int32_t> first;
    for (int run = 0; run < 5; ++run) {
      const auto gpu = OnDevice(model_->checkpoint(), variant, "cuda:0", 1024);
      ASSERT_NE(gpu, nullptr);
      const std::vector<int32_t> ids = test::Generate(*gpu, prompt_, 512);
      if (run == 0) first = ids;
      EXPECT_EQ(ids, first) << variant << " run " << run;
    }
  }
}

// Sequences of a batch, which go their own ways, against one engine that has each alone and is fed the same tokens: the
// choice where it is not a near tie, and the divergence over all steps.
void ExpectBatchEqualsAlone(Engine& batch, Engine& alone, const std::vector<std::vector<int32_t>>& prompts, int steps,
                            double limit, const std::string& name) {
  auto next = batch.PrefillBatch(std::vector<std::span<const int32_t>>(prompts.begin(), prompts.end()));
  std::vector<std::vector<int32_t>> said;
  std::vector<std::vector<float>> logits;
  for (int i = 0; i <= steps; ++i) {
    ASSERT_TRUE(next.ok()) << name << ": " << next.status();
    said.push_back(*next);
    logits.emplace_back(batch.logits().begin(), batch.logits().end());
    if (i < steps) next = batch.DecodeBatch(said.back());
  }
  double sum = 0;
  for (size_t s = 0; s < prompts.size(); ++s) {
    auto token = alone.Prefill(prompts[s]);
    for (size_t i = 0; i < said.size(); ++i) {
      ASSERT_TRUE(token.ok()) << name << ": " << token.status();
      const size_t vocab = alone.logits().size();
      if (Margin(alone.logits()) >= 0.1) {
        EXPECT_EQ(said[i][s], *token) << name << " sequence " << s << " of " << prompts.size() << " step " << i;
      }
      sum += Divergence(alone.logits(), std::span<const float>(logits[i]).subspan(s * vocab, vocab));
      if (i + 1 < said.size()) token = alone.Decode(said[i][s]);
    }
  }
  const double mean = sum / static_cast<double>(prompts.size() * said.size());
  EXPECT_LT(mean, limit) << name;
  std::cout << name << " batch of " << prompts.size() << " mean KL " << mean << "\n";
}

TEST_F(Gpu, ABatchAgreesWithEachSequenceAloneInEveryVariant) {
  const auto checkpoint = *model::OpenSynthetic("synthetic:tiny");
  std::vector<std::vector<int32_t>> prompts;
  for (const size_t tokens : {70, 1, 33, 128, 129}) prompts.push_back(test::RandomIds(tokens, 512, tokens));
  for (const quantize::Variant& variant : quantize::Variants()) {
    if (!Engine::CheckVariant(variant, "cuda:0").ok()) continue;
    const auto batch = OnDevice(*checkpoint, variant.name, "cuda:0", 256, quantize::KvBits(variant) == 16 ? 5 : 1);
    const auto alone = OnDevice(*checkpoint, variant.name, "cuda:0", 256);
    if (batch == nullptr || batch->max_batch() == 1) continue;
    ASSERT_NE(alone, nullptr) << variant.name;
    const double limit = variant.activation_bits == 8 ? 1e-3 : 1e-4;
    ExpectBatchEqualsAlone(*batch, *alone, prompts, 40, limit, variant.name);
  }
}

TEST_F(Gpu, RefusesABatchOverAQuantizedCache) {
  const auto checkpoint = *model::OpenSynthetic("synthetic:tiny");
  const quantize::Variant variant = quantize::FindVariant("atom-w4a4-g64:keepers=0").value();
  quantize::SyntheticBlocks blocks(checkpoint->config(), variant);
  const auto engine = Engine::Create(*checkpoint, variant, {.device = "cuda:0", .max_batch = 2, .blocks = &blocks});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("batch of 1"));
}

TEST_F(Smollm2OnGpu, ABatchAgreesWithEachSequenceAlone) {
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < 32; ++i) prompts.emplace_back(prompt_.begin(), prompt_.end() - static_cast<int64_t>(i % 12));
  for (const char* variant : {"fp16", "rtn-w8-channel", "rtn-w8a8", "rtn-w4-g64"}) {
    const auto batch = OnDevice(model_->checkpoint(), variant, "cuda:0", 512, 32);
    const auto alone = OnDevice(model_->checkpoint(), variant, "cuda:0", 512);
    ASSERT_NE(batch, nullptr);
    for (const size_t count : {2, 8, 32}) {
      const double limit = std::string_view(variant) == "rtn-w8a8" ? 5e-3 : 1e-4;
      ExpectBatchEqualsAlone(*batch, *alone, {prompts.begin(), prompts.begin() + static_cast<int64_t>(count)}, 60,
                             limit, variant);
    }
  }
}

TEST_F(Smollm2OnGpu, RunningAheadChangesNothing) {
  const auto gpu = OnDevice(model_->checkpoint(), "fp16", "cuda:0", 512);
  ASSERT_NE(gpu, nullptr);
  const std::vector<int32_t> expected = test::Generate(*gpu, prompt_, 100);
  {
    const auto ahead = gpu->KeepAwake(99);
    std::vector<int32_t> ids = {gpu->Prefill(prompt_).value()};
    while (ids.size() < expected.size()) ids.push_back(gpu->Decode(ids.back()).value());
    EXPECT_EQ(ids, expected);
  }
  // A caller that goes its own way, and one that stops early.
  const int32_t other = expected[50] == 7 ? 8 : 7;
  const auto forced = [&](int64_t steps) {
    const auto scope = gpu->KeepAwake(steps);
    int32_t next = gpu->Prefill(prompt_).value();
    for (int i = 0; i < 20; ++i) next = gpu->Decode(i == 10 ? other : next).value();
    return next;
  };
  EXPECT_EQ(forced(0), forced(400));
  EXPECT_EQ(gpu->position(), static_cast<int64_t>(prompt_.size()) + 20);
}

TEST_F(Gpu, NamesAGpuThatIsNotThere) {
  const auto engine = Engine::Create(**model::OpenSynthetic("synthetic:tiny"), quantize::FindVariant("fp16").value(),
                                     {.device = "cuda:999"});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("cuda:999"));
}

TEST_F(Gpu, SaysHowMuchMemoryAVariantNeeds) {
  model::ModelConfig config = (*model::OpenSynthetic("synthetic:llama-2-13b"))->config();
  config.layers = 1000;
  config.name = "too large";
  const auto engine =
      Engine::Create(*model::MakeSynthetic(config, 0), quantize::FindVariant("fp16").value(), {.device = "cuda:0"});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(engine.status().message()), HasSubstr("use a smaller variant or another GPU"));
}

}  // namespace
}  // namespace uaqf::engine
