#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/cpu/activation_buffer.h"
#include "kernels/cpu/packed_layout.h"
#include "kernels/isa.h"
#include "kernels/matvec.h"
#include "kernels/thread_pool.h"

namespace uaqf::kernels::internal {

[[nodiscard]] bool UsesInt8(const PackedMatrix& weights, Activations activations);

// The input of the products of one call in the forms they read: as it came or gathered, quantized per token, and summed
// by group. Made once for all products that read it alike, and reused from call to call, so that decoding allocates
// nothing. One owner thread; others may read between two calls of Prepare.
class ProductInputs {
 public:
  struct Form {
    const float* x;                     // [tokens, cols], in the order of the matrix's columns
    const ActivationBuffer* quantized;  // null for FP32 activations
    const float* group_sums;            // one token and an affine matrix: [groups]; else null
  };

  // Several tokens are split over the lanes. `x` [tokens, cols] must outlive the use of the forms.
  void Prepare(std::span<const Product> products, const float* x, int64_t tokens, Activations activations,
               ThreadPool& pool, Isa isa);

  // Of products[product]; valid until the next Prepare.
  const Form& form(size_t product) const { return forms_[product]; }

 private:
  // x in one order of columns.
  struct Order {
    std::span<const int32_t> gather;  // empty: as it came
    bool quantize = false;
    int64_t group = 0;  // of INT4 activations; the same for all matrices of a call in one order
    std::vector<float> gathered;
    ActivationBuffer quantized;
  };

  Order& OrderOf(const PackedMatrix& weights);
  void SumGroups(size_t product, const PackedMatrix& weights);

  std::vector<std::unique_ptr<Order>> orders_;  // the first `used_` are of this call
  size_t used_ = 0;
  std::vector<Form> forms_;
  std::vector<std::vector<float>> sums_;  // by product
};

}  // namespace uaqf::kernels::internal
