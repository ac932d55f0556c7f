#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "kernels/packed_matrix.h"

namespace uaqf::kernels::internal {

// INVALID_ARGUMENT unless there is a value for each place of a matrix of at least 1 x 1.
[[nodiscard]] absl::Status CheckShape(int64_t rows, int64_t cols, size_t values);

// What PackedMatrix::FromQuantized promises to refuse.
[[nodiscard]] absl::Status CheckQuantized(const QuantizedWeights& weights);

}  // namespace uaqf::kernels::internal
