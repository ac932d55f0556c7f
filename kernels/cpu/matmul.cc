#include "kernels/matmul.h"

#include <algorithm>
#include <memory>
#include <new>

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/panel_view.h"
#include "kernels/cpu/product_inputs.h"

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

void ComputePanels(const Product& product, const internal::ProductInputs::Form& form, int64_t tokens, int64_t begin,
                   int64_t end, Isa isa) {
  const PanelView view = internal::ViewOf(*product.weights);
  const int64_t rows = product.weights->rows();
  const BlockRange range = {begin, end, 0, tokens, rows, product.out, rows, product.bias, product.accumulate};
  if (form.quantized != nullptr) {
    UAQF_KERNELS_PICK(isa, Int8Block)(view, form.quantized->Block(range));
  } else {
    UAQF_KERNELS_PICK(isa, FloatBlock)(view, {range, form.x, view.cols, LaneScratch()});
  }
}

}  // namespace

void MatMul(std::span<const Product> products, const float* x, int64_t tokens, Activations activations,
            ThreadPool& pool, Isa isa) {
  if (products.empty() || tokens == 0) return;
  if (tokens == 1) return MatVec(products, x, activations, pool, isa);
  static thread_local internal::ProductInputs of_thread;
  internal::ProductInputs& inputs = of_thread;  // of the thread that calls, for the lanes too
  inputs.Prepare(products, x, tokens, activations, pool, isa);
  int64_t panels = 0;
  for (const Product& product : products) panels += internal::PanelCount(*product.weights);
  pool.ParallelFor(panels, [&](int64_t begin, int64_t end, int) {
    // The products' panels are numbered through; take what falls into [begin, end) of each.
    for (size_t i = 0; i < products.size(); ++i) {
      const int64_t count = internal::PanelCount(*products[i].weights);
      if (begin < count && end > 0) {
        ComputePanels(products[i], inputs.form(i), tokens, std::max<int64_t>(begin, 0), std::min(end, count), isa);
      }
      begin -= count;
      end -= count;
    }
  });
}

}  // namespace uaqf::kernels
