// A random model as a GPTQ release, and the same weights in FP32, for tests of everything above the readers.
#pragma once

#include <cstdint>
#include <string>

#include "worker/model/model_config.h"

namespace uaqf::test {

// Writes both folders, which exist. The release (v1, 4 bits, groups of 32 inputs, asymmetric, act-order in every other
// layer) has scales that are powers of two, so that FP16 holds every weight exactly. Norms, embeddings and head are
// the same in both.
void WriteGptqModel(const model::ModelConfig& config, uint64_t seed, const std::string& release,
                    const std::string& plain);

}  // namespace uaqf::test
