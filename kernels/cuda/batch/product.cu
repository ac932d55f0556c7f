#include "kernels/cuda/batch/launchers.h"

namespace uaqf::cuda {
namespace {

Status CheckProduct(const MatrixView& weights, const StagedRows& in, int sequences, const BatchTarget& target) {
  const MatrixSpec& spec = weights.spec;
  const bool int8 = in.scales != nullptr;
  const bool gated = spec.map.order == RowOrder::kGated;
  if (sequences < 1 || sequences > kMostSequences || (int8 && (spec.group > 0 || spec.format == Format::kFp16)) ||
      gated != (target.kind == BatchTarget::kGated)) {
    return MakeError(cudaErrorInvalidValue,
                     "batch product: got %d sequences, rows of order %d, format %d in groups of %d, INT8 activations "
                     "%d, target %d; expected 1 to %d sequences, and no groups and no FP16 weights beside INT8 "
                     "activations",
                     sequences, static_cast<int>(spec.map.order), static_cast<int>(spec.format), spec.group, int8,
                     static_cast<int>(target.kind), kMostSequences);
  }
  return {};
}

}  // namespace

Status MultiplyBatch(const MatrixView& weights, const StagedRows& in, int sequences, const BatchTarget& target,
                     cudaStream_t stream) {
  UAQF_CUDA_CHECK(CheckProduct(weights, in, sequences, target));
  batch::ProductParams p = {};
  p.weights = weights;
  p.input = static_cast<const uint8_t*>(in.data);
  p.scales = in.scales;
  p.target = target;
  p.sequences = sequences;
  switch (weights.spec.format) {
    case Format::kFp16:
      return batch::MultiplyFp16Weights(p, stream);
    case Format::kInt8:
      return batch::MultiplyInt8Weights(p, stream);
    default:
      return weights.spec.zeros ? batch::MultiplyAffineWeights(p, stream) : batch::MultiplyInt4Weights(p, stream);
  }
}

}  // namespace uaqf::cuda
