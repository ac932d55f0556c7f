#include "kernels/matvec.h"

#include <algorithm>

#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/panel_view.h"
#include "kernels/cpu/product_inputs.h"
#include "kernels/silu_mul.h"

namespace uaqf::kernels {
namespace {

using internal::kPanelRows;
using internal::PanelView;
using internal::ProductInputs;

// Panels computed before their rows are stored: few enough for the stack, many enough to keep streams long.
constexpr int64_t kChunkPanels = 8;

// Panels [begin, end) times the one token of `form`.
void MultiplyPanels(const PanelView& view, const ProductInputs::Form& form, int64_t begin, int64_t end, float* out,
                    Isa isa) {
  if (form.quantized != nullptr) {
    UAQF_KERNELS_PICK(isa, Int8Panels)(view, form.quantized->token(0), begin, end, out);
  } else {
    UAQF_KERNELS_PICK(isa, FloatPanels)(view, {form.x, form.group_sums}, begin, end, out);
  }
}

void Store(const Product& product, const float* values, int64_t row, int64_t rows) {
  float* out = product.out + row;
  for (int64_t i = 0; i < rows; ++i) {
    float value = values[i];
    if (product.accumulate) value += out[i];
    if (product.bias != nullptr) value += product.bias[row + i];
    out[i] = value;
  }
}

// Panels [begin, end) of one product.
void ComputePanels(const Product& product, const ProductInputs::Form& form, int64_t begin, int64_t end, Isa isa) {
  const PanelView view = internal::ViewOf(*product.weights);
  alignas(64) float chunk[kChunkPanels * kPanelRows];
  for (int64_t panel = begin; panel < end; panel += kChunkPanels) {
    const int64_t stop = std::min(end, panel + kChunkPanels);
    MultiplyPanels(view, form, panel, stop, chunk, isa);
    const int64_t row = panel * kPanelRows;
    Store(product, chunk, row, std::min(stop * kPanelRows, product.weights->rows()) - row);
  }
}

// Of the thread that calls; the lanes read it.
ProductInputs& InputsOfThread() {
  static thread_local ProductInputs inputs;
  return inputs;
}

}  // namespace

void MatVec(std::span<const Product> products, const float* x, Activations activations, ThreadPool& pool, Isa isa) {
  int64_t panels = 0;
  for (const Product& product : products) panels += internal::PanelCount(*product.weights);
  if (panels == 0) return;
  ProductInputs& inputs = InputsOfThread();
  inputs.Prepare(products, x, /*tokens=*/1, activations, pool, isa);
  pool.ParallelFor(panels, [&](int64_t begin, int64_t end, int) {
    // The products' panels are numbered through; take what falls into [begin, end) of each.
    for (size_t i = 0; i < products.size(); ++i) {
      const int64_t count = internal::PanelCount(*products[i].weights);
      if (begin < count && end > 0) {
        ComputePanels(products[i], inputs.form(i), std::max<int64_t>(begin, 0), std::min(end, count), isa);
      }
      begin -= count;
      end -= count;
    }
  });
}

void MatVecGated(const PackedMatrix& gate, const PackedMatrix& up, const float* x, float* out, Activations activations,
                 ThreadPool& pool, Isa isa) {
  const Product products[] = {{&gate}, {&up}};
  ProductInputs& inputs = InputsOfThread();
  inputs.Prepare(products, x, /*tokens=*/1, activations, pool, isa);
  const PanelView gate_view = internal::ViewOf(gate);
  const PanelView up_view = internal::ViewOf(up);
  pool.ParallelFor(internal::PanelCount(gate), [&](int64_t begin, int64_t end, int) {
    alignas(64) float gates[kChunkPanels * kPanelRows];
    alignas(64) float ups[kChunkPanels * kPanelRows];
    for (int64_t panel = begin; panel < end; panel += kChunkPanels) {
      const int64_t stop = std::min(end, panel + kChunkPanels);
      MultiplyPanels(gate_view, inputs.form(0), panel, stop, gates, isa);
      MultiplyPanels(up_view, inputs.form(1), panel, stop, ups, isa);
      const int64_t row = panel * kPanelRows;
      SiluMul(gates, ups, std::min(stop * kPanelRows, gate.rows()) - row, out + row, isa);
    }
  });
}

}  // namespace uaqf::kernels
