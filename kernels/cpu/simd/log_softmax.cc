#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {

double NegativeLogLikelihood(const float* logits, int64_t size, int64_t target) {
  F32 lanes = Broadcast(-__builtin_inff());
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) lanes = Max(lanes, Load(logits + i));
  float largest = MaxLanes(lanes);
  for (; i < size; ++i) largest = logits[i] > largest ? logits[i] : largest;
  const F32 shift = Broadcast(largest);
  double sum = 0;
  for (i = 0; i + kLanes <= size; i += kLanes) sum += SumLanesDouble(Exp(Sub(Load(logits + i), shift)));
  for (; i < size; ++i) sum += __builtin_exp(static_cast<double>(logits[i]) - largest);
  return __builtin_log(sum) + largest - logits[target];
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
