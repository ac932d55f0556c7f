// All weights of one variant of a model, packed for the kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/packed_matrix.h"
#include "kernels/thread_pool.h"
#include "worker/model/checkpoint.h"
#include "worker/quantize/block_store.h"
#include "worker/quantize/variants.h"

namespace uaqf::engine {

// A linear layer of a block; `bias` is empty where the model has none.
struct Linear {
  kernels::PackedMatrix matrix;
  std::vector<float> bias;
  float input_scale = 0;  // of INT8 activations, where calibration fixed it
  const float* bias_or_null() const { return bias.empty() ? nullptr : bias.data(); }
};

struct LayerWeights {
  std::vector<float> attention_norm;
  std::vector<float> mlp_norm;
  Linear q, k, v, o, gate, up, down;
};

struct Weights {
  kernels::PackedMatrix embedding;  // no rows where the LM head is the same matrix
  kernels::PackedMatrix lm_head;
  std::vector<float> final_norm;
  std::vector<LayerWeights> layers;

  const kernels::PackedMatrix& embedding_or_tied() const { return embedding.rows() > 0 ? embedding : lm_head; }
  // Linear layers of the blocks as packed, scales included, without biases.
  int64_t block_bytes() const;
  int64_t total_bytes() const;
};

// Reads, rounds to FP16, quantizes and packs one matrix after the other, each with all lanes; never more than one
// matrix is held unpacked; a variant that needs calibration takes its blocks from `blocks`, one after the other. The
// caller has checked FitsModel.
absl::StatusOr<Weights> LoadWeights(const model::Checkpoint& checkpoint, const quantize::Variant& variant,
                                    quantize::BlockStore* blocks, kernels::ThreadPool& pool);

}  // namespace uaqf::engine
