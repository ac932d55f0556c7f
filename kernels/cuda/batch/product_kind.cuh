// Formats and sizes of batched products (product.cuh).
#pragma once

#include <type_traits>

#include "kernels/cuda/batch/launchers.h"

namespace uaqf::cuda::batch {

constexpr int kMostPeers = 2;  // blocks of a cluster
constexpr int kMostShared = 232448;

// Weights of one format beside FP16 or INT8 activations of 8 kEights sequences. A stage is a block of columns: 128, or
// 64 of FP16 weights, whose rows are 128 bytes of it.
template <Format kFormatOf, int kGroupOf, bool kInt8Of, bool kZerosOf, int kEightsOf>
struct Kind {
  static constexpr Format kFormat = kFormatOf;
  static constexpr int kGroup = kGroupOf;
  static constexpr bool kInt8 = kInt8Of;
  static constexpr bool kZeros = kZerosOf;
  static constexpr int kEights = kEightsOf;
  // Few sequences: a warp has few rows, so that a block for each group of rows fills the device. Many: more rows, since
  // each brings all activations.
  static constexpr bool kFew = kEights <= 2;
  static constexpr int kTiles = kFew ? 2 : 4;  // of a warp
  static constexpr bool kPlain = kFormat == Format::kFp16;
  using Sum = std::conditional_t<kInt8, int32_t, float>;
  static constexpr int kBlock = kPlain ? kTileRows * kSlabBytes : BlockBytes(kFormat, kGroup, kZeros);
  static constexpr int kSlab = 8 * kEights * kSlabBytes;
  static constexpr int kSlabs = kInt8 || kPlain ? 1 : 2;
  static constexpr int kInputBytes = kSlabs * kSlab;
  static constexpr int kStageBytes = kInputBytes + (kTiles * kBlock + 127) / 128 * 128;
  static constexpr int kMostWarps = kFew ? 16 : 8;
  static constexpr int kWarps = 2 * kMostWarps * kStageBytes <= kMostShared ? kMostWarps : kMostWarps / 2;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kFit = kMostShared / (kWarps * kStageBytes);
  static constexpr int kStages = kFit < 4 ? kFit : 4;
  static constexpr int kShared = kWarps * kStages * kStageBytes;
  static constexpr int kHalves = kPlain ? 1 : 2;  // of 64 columns
  static constexpr int kSteps = kInt8 ? 2 : 4;    // of a half
  // Pairs of results of a block's rows: slots g and g + 8 of a tile, for one sequence.
  static constexpr int kResults = kTiles * kEights * 32 * 2;
  static_assert(kStages >= 2 && kTiles * kEights * 512 <= kStageBytes);
};

}  // namespace uaqf::cuda::batch
