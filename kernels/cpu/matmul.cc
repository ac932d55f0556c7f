#include "kernels/matmul.h"

#include <algorithm>
#include <memory>
#include <new>

#include "kernels/cpu/activation_buffer.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/panel_view.h"

namespace uaqf::kernels {
namespace {

using internal::BlockRange;
using internal::PanelView;

// Decoded weights of a lane, kept from call to call. Not an AlignedBuffer, which would keep a whole slab for it.
float* LaneScratch() {
  constexpr size_t kAlignment = 64;
  struct Free {
    void operator()(float* scratch) const { ::operator delete(scratch, std::align_val_t(kAlignment)); }
  };
  static thread_local const std::unique_ptr<float, Free> scratch(
      static_cast<float*>(::operator new(internal::kScratchFloats * sizeof(float), std::align_val_t(kAlignment))));
  return scratch.get();
}

bool UsesInt8(const Product& product, Activations activations) {
  return activations == Activations::kInt8 && product.weights->format() != WeightFormat::kFp16;
}

struct Inputs {
  const float* x;
  int64_t tokens;
  const internal::ActivationBuffer* quantized;
};

void ComputePanels(const Product& product, const Inputs& inputs, Activations activations, int64_t begin, int64_t end,
                   Isa isa) {
  const PanelView view = internal::ViewOf(*product.weights);
  const int64_t rows = product.weights->rows();
  const BlockRange range = {begin, end, 0, inputs.tokens, rows, product.out, rows, product.bias, product.accumulate};
  if (UsesInt8(product, activations)) {
    UAQF_KERNELS_PICK(isa, Int8Block)(view, inputs.quantized->Block(range));
  } else {
    UAQF_KERNELS_PICK(isa, FloatBlock)(view, {range, inputs.x, view.cols, LaneScratch()});
  }
}

}  // namespace

void MatMul(std::span<const Product> products, const float* x, int64_t tokens, Activations activations,
            ThreadPool& pool, Isa isa) {
  if (products.empty() || tokens == 0) return;
  if (tokens == 1) return MatVec(products, x, activations, pool, isa);
  const int64_t cols = products[0].weights->cols();
  static thread_local internal::ActivationBuffer buffer;
  Inputs inputs = {x, tokens, &buffer};
  const bool any_int8 = std::any_of(products.begin(), products.end(),
                                    [&](const Product& product) { return UsesInt8(product, activations); });
  if (any_int8) {
    buffer.Resize(tokens, cols);
    internal::ActivationBuffer& target = buffer;  // of the calling thread, whichever lane fills it
    pool.ParallelFor(tokens, [&](int64_t begin, int64_t end, int) {
      for (int64_t token = begin; token < end; ++token) target.QuantizeToken(token, x + token * cols, isa);
    });
  }
  int64_t panels = 0;
  for (const Product& product : products) panels += internal::PanelCount(*product.weights);
  pool.ParallelFor(panels, [&](int64_t begin, int64_t end, int) {
    // The products' panels are numbered through; take what falls into [begin, end) of each.
    for (const Product& product : products) {
      const int64_t count = internal::PanelCount(*product.weights);
      if (begin < count && end > 0) {
        ComputePanels(product, inputs, activations, std::max<int64_t>(begin, 0), std::min(end, count), isa);
      }
      begin -= count;
      end -= count;
    }
  });
}

}  // namespace uaqf::kernels
