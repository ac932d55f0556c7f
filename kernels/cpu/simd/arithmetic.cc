#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

// Chains enough to hide the latency of a multiply-add, few enough to stay in registers: with AVX2 each is two.
#if defined(__AVX512F__)
constexpr int kChains = 12;
#else
constexpr int kChains = 5;
#endif

int64_t MultiplyAddRegisters(int64_t rounds, float* sum) {
  F32 chain[kChains];
  for (int c = 0; c < kChains; ++c) chain[c] = Broadcast(static_cast<float>(c));
  const F32 factor = Broadcast(0.5f), added = Broadcast(1.0f);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int c = 0; c < kChains; ++c) chain[c] = MulAdd(chain[c], factor, added);
  }
  F32 all = chain[0];
  for (int c = 1; c < kChains; ++c) all = Add(all, chain[c]);
  *sum = SumLanes(all);
  return rounds * kChains * kLanes;
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
