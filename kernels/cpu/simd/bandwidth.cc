#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

uint64_t ReadAll(const uint8_t* data, int64_t bytes) {
  I32 sum[4] = {BroadcastInt(0), BroadcastInt(0), BroadcastInt(0), BroadcastInt(0)};
  for (int64_t i = 0; i < bytes; i += 256) {
    for (int j = 0; j < 4; ++j) {
      _mm_prefetch(reinterpret_cast<const char*>(data) + i + j * 64 + 1024, _MM_HINT_T0);
      sum[j] = Add(sum[j], LoadInt(data + i + j * 64));
    }
  }
  uint32_t words[kLanes];
  StoreInt(words, Add(Add(sum[0], sum[1]), Add(sum[2], sum[3])));
  uint64_t total = 0;
  for (uint32_t word : words) total += word;
  return total;
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
