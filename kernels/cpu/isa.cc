#include "kernels/isa.h"

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace uaqf::kernels {

Isa DetectIsa() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
    return Isa::kAvx512;
  }
  // Every processor with AVX2 and FMA has F16C, which GCC 12 cannot ask for by name.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
  return Isa::kPortable;
}

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kPortable:
      break;
  }
  return "portable";
}

absl::StatusOr<Isa> ParseIsa(std::string_view name) {
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (name != IsaName(isa)) continue;
    if (isa <= DetectIsa()) return isa;
    return absl::FailedPreconditionError(
        absl::StrCat("this processor has no ", std::string(name), "; its best is ", std::string(IsaName(DetectIsa()))));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("got instruction set '", std::string(name), "', expected portable, avx2 or avx512"));
}

Isa ActiveIsa() {
  static const Isa active = [] {
    const char* name = std::getenv("UAQF_ISA");
    if (name == nullptr) return DetectIsa();
    const absl::StatusOr<Isa> isa = ParseIsa(name);
    return isa.ok() ? *isa : DetectIsa();
  }();
  return active;
}

}  // namespace uaqf::kernels
