// From a layer as a quantized release stores it to the packed matrix that the kernels read: nothing is rounded.
#pragma once

#include "absl/status/statusor.h"
#include "kernels/packed_matrix.h"
#include "worker/model/stored_matrix.h"

namespace uaqf::quantize {

// Zeros that are all zero are left out, and one symmetric group a row becomes a scale a row, which costs the products
// nothing. INVALID_ARGUMENT when a scale or an offset is not finite.
absl::StatusOr<kernels::PackedMatrix> PackStored(const model::StoredMatrix& matrix);

}  // namespace uaqf::quantize
