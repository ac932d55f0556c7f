#include "kernels/matvec.h"

#include <algorithm>

#include "kernels/cpu/activation_buffer.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/panel_view.h"
#include "kernels/silu_mul.h"

namespace uaqf::kernels {
namespace {

using internal::kPanelRows;
using internal::PanelView;

// Panels computed before their rows are stored: few enough for the stack, many enough to keep streams long.
constexpr int64_t kChunkPanels = 8;

using FloatPanelsFn = void (*)(const PanelView&, const float*, int64_t, int64_t, float*);
using Int8PanelsFn = void (*)(const PanelView&, const internal::Int8Vector&, int64_t, int64_t, float*);

// One input vector in the forms its products read.
class Input {
 public:
  Input(const float* x, int64_t cols, Activations activations, bool any_quantized, Isa isa)
      : x_(x), float_panels_(UAQF_KERNELS_PICK(isa, FloatPanels)), int8_panels_(UAQF_KERNELS_PICK(isa, Int8Panels)) {
    if (activations != Activations::kInt8 || !any_quantized) return;
    static thread_local internal::ActivationBuffer buffer;
    buffer.Quantize(x, /*tokens=*/1, cols, isa);
    int8_ = buffer.token(0);
    quantized_ = true;
  }

  void Panels(const PanelView& view, int64_t begin, int64_t end, float* out) const {
    if (quantized_ && view.format != internal::PanelFormat::kFp16) {
      int8_panels_(view, int8_, begin, end, out);
    } else {
      float_panels_(view, x_, begin, end, out);
    }
  }

 private:
  const float* x_;
  FloatPanelsFn float_panels_;
  Int8PanelsFn int8_panels_;
  internal::Int8Vector int8_ = {};
  bool quantized_ = false;
};

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
void ComputePanels(const Product& product, const Input& input, int64_t begin, int64_t end) {
  const PanelView view = internal::ViewOf(*product.weights);
  alignas(64) float chunk[kChunkPanels * kPanelRows];
  for (int64_t panel = begin; panel < end; panel += kChunkPanels) {
    const int64_t stop = std::min(end, panel + kChunkPanels);
    input.Panels(view, panel, stop, chunk);
    const int64_t row = panel * kPanelRows;
    Store(product, chunk, row, std::min(stop * kPanelRows, product.weights->rows()) - row);
  }
}

bool IsQuantized(const PackedMatrix& weights) { return weights.format() != WeightFormat::kFp16; }

}  // namespace

void MatVec(std::span<const Product> products, const float* x, Activations activations, ThreadPool& pool, Isa isa) {
  int64_t panels = 0;
  bool any_quantized = false;
  for (const Product& product : products) {
    panels += internal::PanelCount(*product.weights);
    any_quantized = any_quantized || IsQuantized(*product.weights);
  }
  if (panels == 0) return;
  const Input input(x, products[0].weights->cols(), activations, any_quantized, isa);
  pool.ParallelFor(panels, [&](int64_t begin, int64_t end, int) {
    // The products' panels are numbered through; take what falls into [begin, end) of each.
    for (const Product& product : products) {
      const int64_t count = internal::PanelCount(*product.weights);
      if (begin < count && end > 0) {
        ComputePanels(product, input, std::max<int64_t>(begin, 0), std::min(end, count));
      }
      begin -= count;
      end -= count;
    }
  });
}

void MatVecGated(const PackedMatrix& gate, const PackedMatrix& up, const float* x, float* out, Activations activations,
                 ThreadPool& pool, Isa isa) {
  const Input input(x, gate.cols(), activations, IsQuantized(gate) || IsQuantized(up), isa);
  const PanelView gate_view = internal::ViewOf(gate);
  const PanelView up_view = internal::ViewOf(up);
  pool.ParallelFor(internal::PanelCount(gate), [&](int64_t begin, int64_t end, int) {
    alignas(64) float gates[kChunkPanels * kPanelRows];
    alignas(64) float ups[kChunkPanels * kPanelRows];
    for (int64_t panel = begin; panel < end; panel += kChunkPanels) {
      const int64_t stop = std::min(end, panel + kChunkPanels);
      input.Panels(gate_view, panel, stop, gates);
      input.Panels(up_view, panel, stop, ups);
      const int64_t row = panel * kPanelRows;
      SiluMul(gates, ups, std::min(stop * kPanelRows, gate.rows()) - row, out + row, isa);
    }
  });
}

}  // namespace uaqf::kernels
