#include <emmintrin.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

float QuantizeToken(const float* x, int64_t size, int8_t* codes, uint8_t* biased, int32_t* prefix) {
  float absmax = 0;
  for (int64_t i = 0; i < size; ++i) absmax = std::max(absmax, std::fabs(x[i]));
  const float scale = std::max(absmax, 1e-5f) / 127.0f;
  const int64_t padded = (size + 63) / 64 * 64;
  int32_t sum = 0;
  for (int64_t i = 0; i < padded; ++i) {
    if (i % 8 == 0) prefix[i / 8] = sum;
    // SSE2's conversion rounds half to even whatever the C library does.
    const int rounded = i < size ? _mm_cvtss_si32(_mm_set_ss(x[i] / scale)) : 0;
    const int code = std::clamp(rounded, -127, 127);
    codes[i] = static_cast<int8_t>(code);
    biased[i] = static_cast<uint8_t>(code + 128);
    sum += code;
  }
  prefix[padded / 8] = sum;
  return scale;
}

}  // namespace uaqf::kernels::internal::reference
