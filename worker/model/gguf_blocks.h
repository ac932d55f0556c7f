// GGUF's block formats as the integers and scales that they are; tensor_type.cc draws the blocks.
#pragma once

#include <cstdint>
#include <span>

#include "worker/model/stored_matrix.h"
#include "worker/model/tensor_type.h"

namespace uaqf::model {

// A matrix of `type`, one of the block formats, that has room for `rows` rows of `columns`, all zero:
//   Q8_0  8 bits, groups of 32              Q6_K  8 bits (of which it uses 6), groups of 16, 16 to a block
//   Q4_0  4 bits, groups of 32              Q4_1  the same with offsets
//   Q4_K  4 bits, groups of 32, 8 to a block, with offsets
StoredMatrix EmptyBlocks(TensorType type, int64_t rows, int64_t columns);

// Fills row `row` from the bytes of one row of the file: BytesOf(type, columns).
void UnpackRow(TensorType type, std::span<const uint8_t> bytes, int64_t row, StoredMatrix& matrix);

}  // namespace uaqf::model
