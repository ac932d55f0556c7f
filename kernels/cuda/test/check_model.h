// A small model whose weights the host knows exactly, packed part by part as an engine would.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/decode_graph.h"
#include "kernels/cuda/test/check.h"

namespace uaqf::cuda {

// Fused logical rows on the host.
struct HostMatrix {
  int rows = 0;
  int cols = 0;               // as packed
  int inputs = 0;             // fewer than cols where some are met twice
  int repeats = 0;            // cols - inputs
  std::vector<float> values;  // [rows, cols], exact: codes times FP32 scale are kept apart where that matters
  std::vector<int8_t> codes;
  std::vector<float> row_scales;
  std::vector<int32_t> gather;  // [cols], the input that a column meets
};

struct CheckKind {
  const char* name;
  Format format;
  int group;
  bool int8_activations;
  bool zeros = false;    // and a random order of the inputs
  bool rounded = false;  // inputs rounded in groups (Rounding)
};

inline constexpr float kRoundStep = 0.9f / 7;

inline constexpr CheckKind kCheckKinds[] = {
    {"fp16", Format::kFp16, 0, false},
    {"int8", Format::kInt8, 0, false},
    {"int8a8", Format::kInt8, 0, true},
    {"int4", Format::kInt4, 0, false},
    {"int4-g128", Format::kInt4, 128, false},
    {"int4-g64", Format::kInt4, 64, false},
    {"int4-g32", Format::kInt4, 32, false},
    {"int4a8", Format::kInt4, 0, true},
    {"int4-g128 zeros", Format::kInt4, 128, false, true},
    {"int4-g64 zeros", Format::kInt4, 64, false, true},
    {"int4-g32 zeros", Format::kInt4, 32, false, true},
    {"int4-g128 rounded", Format::kInt4, 128, false, true, true},
    {"int4-g64 rounded", Format::kInt4, 64, false, true, true},
};

// Random rows over `inputs`, packed into a matrix of this kind and row order whose linear layers have `parts` rows
// each. The last `repeats` columns meet inputs of the others again, for kinds with zeros.
struct PackedPair {
  DeviceMatrix device;
  HostMatrix host;
};
std::unique_ptr<PackedPair> MakePair(const CheckKind& kind, const TileMap& map, int inputs,
                                     const std::vector<int>& parts, uint64_t seed, int repeats = 0);

// The input as the kernels quantize it, brought back: `x` in the order of the model, and so the result.
std::vector<double> QuantizedInput(const CheckKind& kind, const HostMatrix& w, std::vector<double> x);

// (W x) * factor + bias (or null), in float64; `x` is quantized first as the kind says, the factor of a norm comes
// later.
std::vector<double> HostProduct(const CheckKind& kind, const HostMatrix& w, const std::vector<float>* bias,
                                const std::vector<double>& x, double factor = 1);

}  // namespace uaqf::cuda
