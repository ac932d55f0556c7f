#pragma once

#include "kernels/cpu/packed_layout.h"
#include "kernels/packed_matrix.h"

namespace uaqf::kernels::internal {

// The matrix as plain data, valid as long as it lives. Not for files compiled for one instruction set.
[[nodiscard]] PanelView ViewOf(const PackedMatrix& matrix);

[[nodiscard]] int64_t PanelCount(const PackedMatrix& matrix);

}  // namespace uaqf::kernels::internal
