// FP16 and a variant going through one window side by side.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/measure/types.h"

namespace uaqf::evaluate {

// k of the agreement that records carry.
inline constexpr int32_t kAgreementTokens = 10;

// Exact divergence over the full vocabulary at every position that a perplexity window scores. Both engines are of the
// same model; of each only some positions' logits exist at a time. INVALID_ARGUMENT: a window that one cannot hold.
[[nodiscard]] absl::StatusOr<measure::WindowDivergence> CompareWindow(engine::Engine& reference,
                                                                      engine::Engine& variant,
                                                                      std::span<const int32_t> window);

}  // namespace uaqf::evaluate
