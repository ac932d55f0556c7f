#include "kernels/cpu/isa_functions.h"
#include "kernels/fp16.h"

namespace uaqf::kernels::internal::reference {

void ReadInt4Rows(const Int4Rows& rows) {
  const int64_t half = rows.head_dim / 2;
  for (int64_t i = 0; i < rows.count; ++i) {
    const float scale = kernels::Fp16ToFloat(rows.pairs[2 * i]);
    const float zero = kernels::Fp16ToFloat(rows.pairs[2 * i + 1]);
    uint16_t* out = rows.out + i * rows.head_dim;
    for (int64_t d = 0; d < half; ++d) {
      const int byte = rows.codes[i * half + d];
      const float a = (static_cast<float>(byte & 15) - zero) * scale;
      const float b = (static_cast<float>(byte >> 4) - zero) * scale;
      const float cos = rows.cos != nullptr ? rows.cos[i * half + d] : 1.0f;
      const float sin = rows.cos != nullptr ? rows.sin[i * half + d] : 0.0f;
      out[d] = kernels::FloatToFp16(a * cos - b * sin);
      out[d + half] = kernels::FloatToFp16(b * cos + a * sin);
    }
  }
}

}  // namespace uaqf::kernels::internal::reference
