#include <cuda.h>

#include <cstring>

#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/decode/row_map.h"

namespace uaqf::cuda {

namespace {

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                            const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                            CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// Through the runtime: so nothing links the driver.
Status FindEncode(Encode* out) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  UAQF_CUDA_RETURN(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess || function == nullptr) {
    return MakeError(cudaErrorNotSupported, "the driver has no tensor maps: expected one for CUDA 12 or later");
  }
  *out = reinterpret_cast<Encode>(function);
  return {};
}

}  // namespace

Status MakeRowMap(const MatrixView& matrix, RowMap* out) {
  static_assert(sizeof(RowMap) == sizeof(CUtensorMap));
  Encode encode = nullptr;
  UAQF_CUDA_CHECK(FindEncode(&encode));
  constexpr cuuint64_t kStepBytes = kRowStepCols * sizeof(__half);
  const auto row_bytes = static_cast<cuuint64_t>(matrix.row_bytes);
  const cuuint64_t sizes[3] = {kRowStepCols, static_cast<cuuint64_t>(matrix.spec.map.rows), row_bytes / kStepBytes};
  const cuuint64_t strides[2] = {row_bytes, kStepBytes};
  const cuuint32_t box[3] = {kRowStepCols, kTileRows / 2, kRowSteps};
  const cuuint32_t every[3] = {1, 1, 1};
  CUtensorMap map;
  const CUresult code = encode(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3, const_cast<uint8_t*>(matrix.data), sizes,
                               strides, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                               CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS) {
    return MakeError(cudaErrorInvalidValue, "tensor map of %d x %d: driver error %d", matrix.spec.map.rows,
                     matrix.spec.cols, static_cast<int>(code));
  }
  memcpy(out->bytes, &map, sizeof map);
  return {};
}

}  // namespace uaqf::cuda
