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

// Shapes of models that people run.
struct ModelShape {
  const char* name;
  int layers, hidden, heads, kv_heads, head_dim, ff, vocab, window;
};

inline constexpr ModelShape kModelShapes[] = {
    {"llama-2-7b", 32, 4096, 32, 32, 128, 11008, 32000, 0},   {"llama-2-13b", 40, 5120, 40, 40, 128, 13824, 32000, 0},
    {"mistral-7b", 32, 4096, 32, 8, 128, 14336, 32000, 4096}, {"llama-3-8b", 32, 4096, 32, 8, 128, 14336, 128256, 0},
    {"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, 0},
};

// What a bench's --kind names.
inline constexpr WeightKind kWeightKinds[] = {
    {"fp16", Format::kFp16, 0, false, false},
    {"w8", Format::kInt8, 0, false, true},
    {"w8-channel", Format::kInt8, 0, false, false},
    {"w8a8", Format::kInt8, 0, true, true},
    {"w4", Format::kInt4, 0, false, true},
    {"w4-channel", Format::kInt4, 0, false, false},
    {"w4-g128", Format::kInt4, 128, false, false},
    {"w4-g64", Format::kInt4, 64, false, false},
    {"w4-g32", Format::kInt4, 32, false, false},
    {"w4a8", Format::kInt4, 0, true, true},
    {"w4-g128z", Format::kInt4, 128, false, false, true},
    {"w4-g64z", Format::kInt4, 64, false, false, true},
    {"w4-g32z", Format::kInt4, 32, false, false, true},
    {"w4a4", Format::kInt4, 128, false, false, true, true},
    {"w4a4-g64", Format::kInt4, 64, false, false, true, true},
};

// Of that model, up to position `capacity`.
DecodeConfig ConfigOf(const ModelShape& shape, int capacity);

// Whether `list`, names with commas between, has the name.
bool Listed(const std::string& list, const std::string& name);

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
