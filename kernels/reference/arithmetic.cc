#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

int64_t MultiplyAddRegisters(int64_t rounds, float* sum) {
  constexpr int kChains = 8;
  float chain[kChains];
  for (int c = 0; c < kChains; ++c) chain[c] = static_cast<float>(c);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int c = 0; c < kChains; ++c) chain[c] = chain[c] * 0.5f + 1.0f;
  }
  *sum = 0;
  for (int c = 0; c < kChains; ++c) *sum += chain[c];
  return rounds * kChains;
}

}  // namespace uaqf::kernels::internal::reference
