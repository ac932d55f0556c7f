#include <cuda.h>

#include <cstring>

#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/tensor_map.h"

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

Status MakeTensorMap(const Tensor& tensor, TensorMap* out) {
  static_assert(sizeof(TensorMap) == sizeof(CUtensorMap));
  static Encode encode = nullptr;  // threads that ask together find the same
  if (encode == nullptr) UAQF_CUDA_CHECK(FindEncode(&encode));
  cuuint64_t sizes[3];
  cuuint64_t strides[2];
  cuuint32_t box[3];
  for (int i = 0; i < 3; ++i) {
    sizes[i] = static_cast<cuuint64_t>(tensor.sizes[i]);
    box[i] = static_cast<cuuint32_t>(tensor.box[i]);
    if (i < 2) strides[i] = static_cast<cuuint64_t>(tensor.strides[i]);
  }
  const cuuint32_t every[3] = {1, 1, 1};
  CUtensorMap map;
  const CUresult code = encode(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3, const_cast<void*>(tensor.data), sizes, strides,
                               box, every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                               CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS) {
    return MakeError(cudaErrorInvalidValue, "tensor map of %lld x %lld x %lld: driver error %d",
                     static_cast<long long>(tensor.sizes[0]), static_cast<long long>(tensor.sizes[1]),
                     static_cast<long long>(tensor.sizes[2]), static_cast<int>(code));
  }
  memcpy(out->bytes, &map, sizeof map);
  return {};
}

Status MakeRowMap(const MatrixView& matrix, TensorMap* out) {
  constexpr int64_t kStepBytes = kRowStepCols * sizeof(__half);
  return MakeTensorMap({matrix.data,
                        {kRowStepCols, matrix.spec.map.rows, matrix.row_bytes / kStepBytes},
                        {matrix.row_bytes, kStepBytes},
                        {kRowStepCols, kTileRows / 2, kRowSteps}},
                       out);
}

}  // namespace uaqf::cuda
