#include "kernels/cuda/prefill/product.cuh"

namespace uaqf::cuda {

Status HasStagedProducts(bool* has) {
  int device = 0;
  int major = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  *has = major == 9;
  return {};
}

Status ProductScratchBytes(int64_t* bytes) {
  int device = 0;
  int count = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  *bytes = prefill::SplitBytes(count);
  return {};
}

namespace {

Status MultiplyAffine(const prefill::ProductParams& p, cudaStream_t stream) {
  switch (p.weights.spec.group) {
    case 32:
      return prefill::LaunchProduct<Format::kInt4, 32, false, true>(p, stream);
    case 64:
      return prefill::LaunchProduct<Format::kInt4, 64, false, true>(p, stream);
    default:
      return prefill::LaunchProduct<Format::kInt4, 128, false, true>(p, stream);
  }
}

}  // namespace

Status MultiplyStaged(const MatrixView& weights, const StagedRows& in, int tokens, const ProductTarget& target,
                      void* scratch, cudaStream_t stream) {
  using enum Format;
  const MatrixSpec& spec = weights.spec;
  const bool int8 = in.scales != nullptr;
  const int unit = spec.map.order == RowOrder::kGated ? 16 : 8;
  if (tokens < 1 || spec.format == kFp16 || spec.map.rows % unit != 0 || (int8 && spec.group > 0)) {
    return MakeError(
        cudaErrorInvalidValue,
        "staged product: got %d tokens, %d rows, group %d, INT8 activations %d; expected an integer matrix "
        "with rows that are a multiple of %d and no groups beside INT8 activations",
        tokens, spec.map.rows, spec.group, int8, unit);
  }
  prefill::ProductParams p = {};
  p.weights = weights;
  p.input = static_cast<const uint8_t*>(in.data);
  p.token_scales = in.scales;
  p.target = target;
  p.scratch = scratch;
  p.tokens = tokens;
  p.padded_tokens = PaddedTokens(tokens);
  if (spec.format == kInt8) {
    return int8 ? prefill::LaunchProduct<kInt8, 0, true>(p, stream)
                : prefill::LaunchProduct<kInt8, 0, false>(p, stream);
  }
  if (int8) return prefill::LaunchProduct<kInt4, 0, true>(p, stream);
  if (spec.zeros) return MultiplyAffine(p, stream);
  switch (spec.group) {
    case 0:
      return prefill::LaunchProduct<kInt4, 0, false>(p, stream);
    case 32:
      return prefill::LaunchProduct<kInt4, 32, false>(p, stream);
    case 64:
      return prefill::LaunchProduct<kInt4, 64, false>(p, stream);
    default:
      return prefill::LaunchProduct<kInt4, 128, false>(p, stream);
  }
}

}  // namespace uaqf::cuda
