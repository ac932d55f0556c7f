#include <emmintrin.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

float QuantizeToken(const float* x, int64_t size, float given, int8_t* codes, uint8_t* biased, int32_t* prefix) {
  float absmax = 0;
  for (int64_t i = 0; i < size; ++i) absmax = std::max(absmax, std::fabs(x[i]));
  const float scale = given > 0 ? given : std::max(absmax, 1e-5f) / 127.0f;
  const int64_t padded = (size + 63) / 64 * 64;
  int32_t sum = 0;
  for (int64_t i = 0; i < padded; ++i) {
    if (i % 8 == 0) prefix[i / 8] = sum;
    // SSE2's conversion rounds half to even whatever the C library does.
    const int rounded = i < size ? _mm_cvtss_si32(_mm_set_ss(std::clamp(x[i] / scale, -127.0f, 127.0f))) : 0;
    codes[i] = static_cast<int8_t>(rounded);
    biased[i] = static_cast<uint8_t>(rounded + 128);
    sum += rounded;
  }
  prefix[padded / 8] = sum;
  return scale;
}

}  // namespace uaqf::kernels::internal::reference
