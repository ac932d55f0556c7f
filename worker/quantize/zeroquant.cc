#include "worker/quantize/zeroquant.h"

#include <algorithm>

#include "worker/quantize/absmax.h"

namespace uaqf::quantize {

QuantizedMatrix QuantizeZeroQuant(const Variant& variant, std::span<const float> weights, int64_t rows, int64_t columns,
                                  kernels::ThreadPool& pool) {
  const int64_t runs = std::min(rows, static_cast<int64_t>(variant.option("row-groups")));
  return QuantizeByAbsmax(variant, 128, runs, weights, rows, columns, pool);
}

}  // namespace uaqf::quantize
