#pragma once

#include <string_view>

#include "absl/status/statusor.h"

namespace uaqf::kernels {

// Instruction sets that the kernels are written for, slowest first.
enum class Isa {
  kPortable,  // baseline x86-64, plain loops
  kAvx2,      // AVX2, FMA, F16C
  kAvx512,    // AVX-512 F, BW, DQ, VL and VNNI
};

// Fastest set that this processor and operating system offer.
[[nodiscard]] Isa DetectIsa();

// `portable`, `avx2` or `avx512`. Fails on another name, and on a set that this processor lacks.
[[nodiscard]] absl::StatusOr<Isa> ParseIsa(std::string_view name);

[[nodiscard]] std::string_view IsaName(Isa isa);

// What operations use unless told: UAQF_ISA where it names a usable set, else DetectIsa(). Decided once per process.
[[nodiscard]] Isa ActiveIsa();

}  // namespace uaqf::kernels
