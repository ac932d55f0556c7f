// Portable products of packed panels: plain loops over the layout, sums in the order of the columns.
#include <cstdint>

#include "kernels/cpu/isa_functions.h"
#include "kernels/fp16.h"

namespace uaqf::kernels::internal::reference {
namespace {

const uint8_t* PanelData(const PanelView& view, int64_t panel) { return view.data + panel * view.panel_bytes; }

int CodeAt(const PanelView& view, const uint8_t* panel, int64_t row, int64_t col) {
  if (view.format == PanelFormat::kInt8) {
    return static_cast<int8_t>(panel[(col / kInt8Unit * kPanelRows + row) * kInt8Unit + col % kInt8Unit]);
  }
  const int64_t within = col % kInt4Unit;
  const uint8_t byte = panel[(col / kInt4Unit * kPanelRows + row) * 4 + within % 4];
  return (within < 4 ? byte & 0xf : byte >> 4) - kInt4Zero;
}

struct GroupValues {
  float scale;
  float offset;  // what is added for each x, the zero's part in it
};

GroupValues ValuesOf(const PanelView& view, int64_t panel, int64_t group, int64_t row) {
  if (!view.affine) {
    return {kernels::Fp16ToFloat(view.group_scales[(panel * view.groups + group) * kPanelRows + row]), 0};
  }
  const int64_t at = (panel * view.groups + group) * kPanelRows + row;
  const int64_t block = (panel * view.blocks + (group >> view.block_shift)) * kPanelRows + row;
  float scale = kernels::Fp16ToFloat(view.group_scales[block]);
  if (view.scale_factors != nullptr) scale *= static_cast<float>(view.scale_factors[at]);
  float offset = view.group_offsets != nullptr ? kernels::Fp16ToFloat(view.group_offsets[block]) : 0.0f;
  if (view.offset_factors != nullptr) offset *= static_cast<float>(view.offset_factors[at]);
  const float zero = view.group_zeros != nullptr ? static_cast<float>(view.group_zeros[at]) : view.zero;
  return {scale, offset - zero * scale};
}

int64_t GroupEnd(const PanelView& view, int64_t begin) {
  const int64_t end = begin + view.group_size;
  return end < view.cols ? end : view.cols;
}

float Fp16Row(const PanelView& view, const uint16_t* panel, const float* x, int64_t row) {
  float sum = 0;
  for (int64_t col = 0; col < view.cols; ++col) sum += kernels::Fp16ToFloat(panel[col * kPanelRows + row]) * x[col];
  return sum;
}

float CodeSum(const PanelView& view, const uint8_t* data, const float* x, int64_t row, int64_t begin, int64_t end) {
  float sum = 0;
  for (int64_t col = begin; col < end; ++col) sum += static_cast<float>(CodeAt(view, data, row, col)) * x[col];
  return sum;
}

int32_t CodeSum(const PanelView& view, const uint8_t* data, const int8_t* x, int64_t row, int64_t begin, int64_t end) {
  int32_t sum = 0;
  for (int64_t col = begin; col < end; ++col) sum += CodeAt(view, data, row, col) * x[col];
  return sum;
}

template <typename X>
auto Sum(const X* x, int64_t begin, int64_t end) {
  decltype(x[0] + x[0]) sum = 0;
  for (int64_t col = begin; col < end; ++col) sum += x[col];
  return sum;
}

// Sum over groups of (code products) * scale + (sum of x) * offset, for float and for INT8 activations alike.
// `x_scales`: of the groups of x, or null.
template <typename X>
float GroupedSum(const PanelView& view, int64_t panel, const X* x, const float* x_scales, int64_t row) {
  float sum = 0;
  for (int64_t group = 0; group < view.groups; ++group) {
    const int64_t begin = group * view.group_size;
    const auto codes = CodeSum(view, PanelData(view, panel), x, row, begin, GroupEnd(view, begin));
    GroupValues values = ValuesOf(view, panel, group, row);
    if (x_scales != nullptr) values.scale *= x_scales[group];
    sum += static_cast<float>(codes) * values.scale;
    if (view.affine) sum += static_cast<float>(Sum(x, begin, GroupEnd(view, begin))) * values.offset;
  }
  return sum;
}

}  // namespace

// Sums over x are made anew for each row: this is for machines without AVX2, and does not need `group_sums`.
void FloatPanels(const PanelView& view, const FloatVector& vector, int64_t begin, int64_t end, float* out) {
  const float* x = vector.x;
  for (int64_t panel = begin; panel < end; ++panel) {
    const uint8_t* data = PanelData(view, panel);
    for (int64_t row = 0; row < kPanelRows; ++row, ++out) {
      if (view.format == PanelFormat::kFp16) {
        *out = Fp16Row(view, reinterpret_cast<const uint16_t*>(data), x, row);
      } else if (view.group_size > 0) {
        *out = GroupedSum(view, panel, x, nullptr, row);
      } else {
        *out = CodeSum(view, data, x, row, 0, view.cols) * view.scales[panel * kPanelRows + row];
      }
    }
  }
}

void Int8Panels(const PanelView& view, const Int8Vector& x, int64_t begin, int64_t end, float* out) {
  for (int64_t panel = begin; panel < end; ++panel) {
    for (int64_t row = 0; row < kPanelRows; ++row, ++out) {
      if (view.group_size > 0) {
        *out = GroupedSum(view, panel, x.codes, x.group_scales, row) * x.scale;
      } else {
        const int32_t sum = CodeSum(view, PanelData(view, panel), x.codes, row, 0, view.cols);
        *out = static_cast<float>(sum) * view.scales[panel * kPanelRows + row] * x.scale;
      }
    }
  }
}

}  // namespace uaqf::kernels::internal::reference
