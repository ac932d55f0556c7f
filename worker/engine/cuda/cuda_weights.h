// All weights of one variant of a model in device memory, packed for the decode kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/cuda/device_matrix.h"
#include "worker/engine/cuda/device_buffer.h"
#include "worker/engine/cuda/device_form.h"
#include "worker/model/checkpoint.h"
#include "worker/quantize/block_store.h"
#include "worker/quantize/variants.h"

namespace uaqf::engine {

// Linear layers that read the same input are one matrix. A bias is FP32 over the matrix's rows, or empty.
struct CudaLinear {
  cuda::DeviceMatrix matrix;
  DeviceBuffer bias;
  float input_scale = 0;  // of INT8 activations, where calibration fixed it; else 0
  const float* bias_or_null() const { return bias.as<float>(); }
};

struct CudaLayer {
  CudaLinear qkv, out, gate_up, down;
  DeviceBuffer attention_norm, mlp_norm;  // FP32
};

struct CudaWeights {
  DeviceForm form;
  cuda::DeviceMatrix embedding;  // of no rows where the LM head is the same matrix
  cuda::DeviceMatrix lm_head;
  DeviceBuffer final_norm;
  std::vector<CudaLayer> layers;

  const cuda::DeviceMatrix& embedding_or_tied() const { return embedding.rows() > 0 ? embedding : lm_head; }
  // Linear layers of the blocks as packed, scales included, without biases.
  int64_t block_bytes() const;
  int64_t total_bytes() const;
};

// Reads (or, for a synthetic model, makes) one matrix after the other, quantizes and packs it on the device; beside
// what is packed, one matrix is held in FP16. A variant that needs calibration takes its blocks from `blocks`, one
// after the other. The caller has checked FitsModel. Errors name the tensor.
absl::StatusOr<CudaWeights> LoadCudaWeights(const model::Checkpoint& checkpoint, const quantize::Variant& variant,
                                            quantize::BlockStore* blocks, cudaStream_t stream);

}  // namespace uaqf::engine
