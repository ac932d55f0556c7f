#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/simd/simd.h"

namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE {
namespace {

constexpr float kLowest = -__builtin_inff();

// Max returns its second operand where the first is NaN.
inline F32 LargerOf(F32 value, F32 largest) { return Max(value, largest); }

}  // namespace

// Two passes, both at the speed of the cache: the largest value, then where it first stands.
int64_t ArgMax(const float* values, int64_t size) {
  F32 lanes[4] = {Broadcast(kLowest), Broadcast(kLowest), Broadcast(kLowest), Broadcast(kLowest)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= size; i += 4 * kLanes) {
    for (int j = 0; j < 4; ++j) lanes[j] = LargerOf(Load(values + i + j * kLanes), lanes[j]);
  }
  float largest = MaxLanes(Max(Max(lanes[0], lanes[1]), Max(lanes[2], lanes[3])));
  for (; i < size; ++i) largest = values[i] > largest ? values[i] : largest;
  for (i = 0; i + kLanes <= size; i += kLanes) {
    const uint32_t found = EqualMask(Load(values + i), Broadcast(largest));
    if (found != 0) return i + __builtin_ctz(found);
  }
  for (; i < size; ++i) {
    if (values[i] == largest) return i;
  }
  return 0;
}

}  // namespace uaqf::kernels::internal::UAQF_SIMD_NAMESPACE
