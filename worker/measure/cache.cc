#include "worker/measure/cache.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "absl/strings/str_cat.h"

namespace uaqf::measure {
namespace {

constexpr int64_t kLine = 64;

}  // namespace

int64_t LastLevelCacheBytes() {
  int64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream in(absl::StrCat("/sys/devices/system/cpu/cpu0/cache/index", index, "/size"));
    int64_t size = 0;
    char unit = '\0';
    if (!(in >> size)) continue;
    in >> unit;
    if (unit == 'K') size <<= 10;
    if (unit == 'M') size <<= 20;
    largest = std::max(largest, size);
  }
  return largest > 0 ? largest : int64_t{32} << 20;
}

void EvictCaches(int64_t bytes) {
  const std::unique_ptr<char[]> buffer(new char[static_cast<size_t>(bytes)]);
  // Volatile: nobody reads the buffer, so the compiler would drop the writes.
  volatile char* writes = buffer.get();
  for (int64_t i = 0; i < bytes; i += kLine) writes[i] = static_cast<char>(i);
#if defined(__x86_64__)
  for (int64_t i = 0; i < bytes; i += kLine) _mm_clflush(buffer.get() + i);
  _mm_mfence();
#endif
}

}  // namespace uaqf::measure
