#include "worker/quantize/rtn.h"

#include "worker/quantize/absmax.h"

namespace uaqf::quantize {

QuantizedMatrix QuantizeRtn(const Variant& variant, std::span<const float> weights, int64_t rows, int64_t columns,
                            kernels::ThreadPool& pool) {
  const int64_t runs = variant.granularity == Granularity::kTensor ? 1 : rows;
  return QuantizeByAbsmax(variant, (1 << (variant.weight_bits - 1)) - 1, runs, weights, rows, columns, pool);
}

}  // namespace uaqf::quantize
