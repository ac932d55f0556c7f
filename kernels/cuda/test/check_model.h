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
  int cols = 0;
  std::vector<float> values;  // exact: codes times FP32 scale are kept apart where that matters
  std::vector<int8_t> codes;
  std::vector<float> row_scales;
};

struct CheckKind {
  const char* name;
  Format format;
  int group;
  bool int8_activations;
};

inline constexpr CheckKind kCheckKinds[] = {
    {"fp16", Format::kFp16, 0, false},        {"int8", Format::kInt8, 0, false},
    {"int8a8", Format::kInt8, 0, true},       {"int4", Format::kInt4, 0, false},
    {"int4-g128", Format::kInt4, 128, false}, {"int4-g64", Format::kInt4, 64, false},
    {"int4-g32", Format::kInt4, 32, false},   {"int4a8", Format::kInt4, 0, true},
};

// Random rows of `cols`, packed into a matrix of this kind and row order whose linear layers have `parts` rows each.
struct PackedPair {
  DeviceMatrix device;
  HostMatrix host;
};
std::unique_ptr<PackedPair> MakePair(const CheckKind& kind, const TileMap& map, int cols, const std::vector<int>& parts,
                                     uint64_t seed);

}  // namespace uaqf::cuda
