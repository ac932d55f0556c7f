#include <cstring>

#include "kernels/cpu/isa_functions.h"

namespace uaqf::kernels::internal::reference {

uint64_t ReadAll(const uint8_t* data, int64_t bytes) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < bytes; i += 8) {
    uint64_t word;
    std::memcpy(&word, data + i, sizeof(word));
    sum += word;
  }
  return sum;
}

}  // namespace uaqf::kernels::internal::reference
