#include <algorithm>
#include <cmath>

#include "kernels/cpu/isa_functions.h"
#include "kernels/fp16.h"

namespace uaqf::kernels::internal::reference {

void AttendHead(const float* query, const uint16_t* keys, const uint16_t* values, int64_t count, int64_t head_dim,
                float scale, float* scores, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    float dot = 0;
    for (int64_t d = 0; d < head_dim; ++d) dot += query[d] * kernels::Fp16ToFloat(keys[i * head_dim + d]);
    scores[i] = dot * scale;
  }
  const float largest = *std::max_element(scores, scores + count);
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = std::exp(scores[i] - largest);
    sum += scores[i];
  }
  std::fill(out, out + head_dim, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t d = 0; d < head_dim; ++d) out[d] += scores[i] * kernels::Fp16ToFloat(values[i * head_dim + d]);
  }
  for (int64_t d = 0; d < head_dim; ++d) out[d] /= sum;
}

}  // namespace uaqf::kernels::internal::reference
