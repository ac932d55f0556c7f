// What the tests of the engine share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "worker/engine/engine.h"

namespace uaqf::test {

// What the engine's tests compute on: $UAQF_TEST_DEVICE ("cuda:0"), else "cpu".
std::string TestDevice();
bool OnGpu();

// An engine of this variant on TestDevice(), unless the options name another; fails the test when it cannot be made.
std::unique_ptr<engine::Engine> MakeEngine(const model::Checkpoint& checkpoint, const std::string& variant,
                                           const engine::EngineOptions& options = {});

// A Hugging Face folder of a random model of this shape, opened.
std::unique_ptr<model::Checkpoint> RandomCheckpoint(const model::ModelConfig& config, uint64_t seed);
// The same with this config.json.
std::unique_ptr<model::Checkpoint> RandomCheckpoint(const model::ModelConfig& config, uint64_t seed,
                                                    const std::string& config_json);

// An engine of atom-w4a4-g64, calibrated on random ids. The configuration must have inputs of more than 64 channels and
// multiples of them.
std::unique_ptr<engine::Engine> MakeAtomEngine(const model::Checkpoint& checkpoint,
                                               const engine::EngineOptions& options = {});

// Seeded token ids below `vocab`.
std::vector<int32_t> RandomIds(size_t count, int64_t vocab, uint64_t seed);

// The largest |got - expected|, in units of the largest |expected|.
double RelativeError(std::span<const float> got, std::span<const double> expected);

// Greedy ids after a prompt, `count` of them.
std::vector<int32_t> Generate(engine::Engine& engine, std::span<const int32_t> prompt, size_t count);

}  // namespace uaqf::test
