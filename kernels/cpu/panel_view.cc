#include "kernels/cpu/panel_view.h"

#include <bit>

namespace uaqf::kernels::internal {

int64_t PanelCount(const PackedMatrix& matrix) { return (matrix.rows() + kPanelRows - 1) / kPanelRows; }

PanelView ViewOf(const PackedMatrix& matrix) {
  PanelView view = {};
  int64_t unit = 2;
  switch (matrix.format()) {
    case WeightFormat::kFp16:
      view.format = PanelFormat::kFp16;
      break;
    case WeightFormat::kInt8:
      view.format = PanelFormat::kInt8;
      unit = kInt8Unit;
      break;
    case WeightFormat::kInt4:
      view.format = PanelFormat::kInt4;
      unit = kInt4Unit;
      break;
  }
  view.cols = matrix.cols();
  view.panel_bytes = (view.cols + unit - 1) / unit * 64;
  view.group_size = matrix.group_size();
  view.groups = view.group_size > 0 ? (view.cols + view.group_size - 1) / view.group_size : 0;
  view.data = matrix.data();
  view.scales = matrix.scales();
  view.group_scales = matrix.group_scales();
  view.row_sums = matrix.row_sums();
  view.affine = matrix.affine();
  if (!view.affine) return view;
  view.block_shift = std::countr_zero(static_cast<uint64_t>(matrix.block_groups()));
  view.blocks = (view.groups + matrix.block_groups() - 1) / matrix.block_groups();
  view.zero = matrix.zero();
  view.group_zeros = matrix.group_zeros();
  view.group_offsets = matrix.group_offsets();
  view.scale_factors = matrix.scale_factors();
  view.offset_factors = matrix.offset_factors();
  return view;
}

}  // namespace uaqf::kernels::internal
