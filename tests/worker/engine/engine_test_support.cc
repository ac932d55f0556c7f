#include "tests/worker/engine/engine_test_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

#include "tests/support/test_data.h"
#include "tests/worker/model/model_files.h"
#include "tests/worker/quantize/memory_store.h"
#include "worker/quantize/calibrate.h"

namespace uaqf::test {

std::string TestDevice() {
  const char* device = std::getenv("UAQF_TEST_DEVICE");
  return device == nullptr || *device == '\0' ? "cpu" : device;
}

bool OnGpu() { return TestDevice() != "cpu"; }

std::unique_ptr<engine::Engine> MakeEngine(const model::Checkpoint& checkpoint, const std::string& variant,
                                           const engine::EngineOptions& options) {
  engine::EngineOptions placed = options;
  if (placed.device == "cpu") placed.device = TestDevice();
  auto engine = engine::Engine::Create(checkpoint, quantize::FindVariant(variant).value(), placed);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

std::unique_ptr<engine::Engine> MakeAtomEngine(const model::Checkpoint& checkpoint,
                                               const engine::EngineOptions& options) {
  const quantize::Variant variant = quantize::FindVariant("atom-w4a4-g64").value();
  const auto set = quantize::ChooseSamples(RandomIds(256, checkpoint.config().vocab, 11), {.samples = 4, .length = 64});
  MemoryStore store;
  const absl::Status made =
      set.ok() ? quantize::Calibrate(checkpoint, variant, *set, {.threads = 1}, store) : set.status();
  EXPECT_TRUE(made.ok()) << made;
  engine::EngineOptions placed = options;
  placed.blocks = &store;
  if (placed.device == "cpu") placed.device = TestDevice();
  auto engine = engine::Engine::Create(checkpoint, variant, placed);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

std::unique_ptr<model::Checkpoint> RandomCheckpoint(const model::ModelConfig& config, uint64_t seed,
                                                    const std::string& config_json) {
  const std::string folder = ScratchFolder();
  WriteHuggingFace(folder, nlohmann::json::parse(config_json), RandomWeights(config, seed));
  auto checkpoint = model::Checkpoint::Open(folder);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return checkpoint.ok() ? *std::move(checkpoint) : nullptr;
}

std::unique_ptr<model::Checkpoint> RandomCheckpoint(const model::ModelConfig& config, uint64_t seed) {
  return RandomCheckpoint(config, seed, HuggingFaceJson(config).dump());
}

std::vector<int32_t> RandomIds(size_t count, int64_t vocab, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int32_t> draw(0, static_cast<int32_t>(vocab) - 1);
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = draw(random);
  return ids;
}

double RelativeError(std::span<const float> got, std::span<const double> expected) {
  EXPECT_EQ(got.size(), expected.size());
  double largest = 0;
  double error = 0;
  for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    error = std::max(error, std::abs(static_cast<double>(got[i]) - expected[i]));
  }
  return error / largest;
}

std::vector<int32_t> Generate(engine::Engine& engine, std::span<const int32_t> prompt, size_t count) {
  const auto awake = engine.KeepAwake();
  std::vector<int32_t> ids;
  absl::StatusOr<int32_t> next = engine.Prefill(prompt);
  while (next.ok() && ids.size() < count) {
    ids.push_back(*next);
    if (ids.size() < count) next = engine.Decode(*next);
  }
  EXPECT_TRUE(next.ok()) << next.status();
  return ids;
}

}  // namespace uaqf::test
