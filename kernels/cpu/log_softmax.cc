#include "kernels/log_softmax.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels {

double NegativeLogLikelihood(const float* logits, int64_t size, int64_t target, Isa isa) {
  return UAQF_KERNELS_PICK(isa, NegativeLogLikelihood)(logits, size, target);
}

}  // namespace uaqf::kernels
