// Models of a given shape with random weights, made on the device in seconds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/decode_graph.h"

namespace uaqf::cuda {

struct WeightKind {
  const char* name;
  Format format;
  int group;
  bool int8_activations;
  bool per_tensor;       // one scale for all rows of a linear layer
  bool zeros = false;    // of groups
  bool rounded = false;  // inputs in INT4 groups and one INT8 group, in an order of their own
};

// Owns the weights and caches of a DecodeModel. Not movable: the model points into it.
class SyntheticModel {
 public:
  ~SyntheticModel();
  // Values are a hash of `seed` and their place; the caches are full of random keys and values. Each layer has FP16
  // caches of `sequences` sequences one after the other, CacheValues() apart; the model's are those of the first.
  static Status Create(const DecodeConfig& config, const WeightKind& kind, uint64_t seed, cudaStream_t stream,
                       std::unique_ptr<SyntheticModel>* out, int sequences = 1);

  const DecodeModel& model() const { return model_; }
  int64_t CacheValues() const;

 private:
  SyntheticModel() = default;
  Status MakeLayer(const WeightKind& kind, uint64_t seed, cudaStream_t stream, DecodeLayer* layer);
  Status MakeMatrix(const WeightKind& kind, int cols, const TileMap& map, uint64_t seed, cudaStream_t stream,
                    const DeviceMatrix** out);
  // An FP16 cache or a quantized one.
  Status MakeCache(uint64_t seed, cudaStream_t stream, __half** plain, uint8_t** quantized);
  template <typename T>
  Status Reserve(T** pointer, int64_t count);

  DecodeModel model_;
  int sequences_ = 1;
  std::vector<DecodeLayer> layers_;
  std::vector<std::unique_ptr<DeviceMatrix>> matrices_;
  std::vector<void*> buffers_;
};

}  // namespace uaqf::cuda
