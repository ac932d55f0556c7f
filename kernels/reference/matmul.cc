// Portable blocks: the products of matvec.cc, token by token.
#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {
namespace {

void StoreRows(const BlockRange& range, int64_t token, int64_t panel, const float* values) {
  for (int64_t i = 0; i < kPanelRows && panel * kPanelRows + i < range.rows; ++i) {
    const int64_t row = panel * kPanelRows + i;
    float& out = range.out[token * range.out_stride + row];
    const float sum = range.accumulate ? out + values[i] : values[i];
    out = range.bias != nullptr ? sum + range.bias[row] : sum;
  }
}

}  // namespace

void FloatBlock(const PanelView& view, const FloatBlockArgs& block) {
  for (int64_t panel = block.range.begin_panel; panel < block.range.end_panel; ++panel) {
    for (int64_t token = block.range.begin_token; token < block.range.end_token; ++token) {
      float values[kPanelRows];
      FloatPanels(view, {block.x + token * block.x_stride, nullptr}, panel, panel + 1, values);
      StoreRows(block.range, token, panel, values);
    }
  }
}

void Int8Block(const PanelView& view, const Int8BlockArgs& block) {
  for (int64_t panel = block.range.begin_panel; panel < block.range.end_panel; ++panel) {
    for (int64_t token = block.range.begin_token; token < block.range.end_token; ++token) {
      const Int8Vector x = {block.codes + token * block.code_stride, block.biased + token * block.code_stride,
                            block.prefix + token * block.prefix_stride, block.scales[token],
                            block.group_scales == nullptr ? nullptr : block.group_scales + token * block.group_stride};
      float values[kPanelRows];
      Int8Panels(view, x, panel, panel + 1, values);
      StoreRows(block.range, token, panel, values);
    }
  }
}

}  // namespace uaqf::kernels::internal::reference
