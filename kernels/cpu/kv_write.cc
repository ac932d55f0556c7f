#include "kernels/kv_write.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {

void WriteKv(const float* source, int64_t kv_heads, int64_t head_dim, int64_t capacity, int64_t position,
             uint16_t* cache, Isa isa) {
  const auto convert = UAQF_KERNELS_PICK(isa, FloatToFp16);
  for (int64_t head = 0; head < kv_heads; ++head) {
    convert(source + head * head_dim, head_dim, cache + (head * capacity + position) * head_dim);
  }
}

}  // namespace uaqf::kernels
