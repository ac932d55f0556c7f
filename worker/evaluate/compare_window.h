// FP16 and a variant going through one window: side by side, or FP16 first, which leaves a summary for the variant.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

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

// FP16's summary of the window, of the `k` likeliest tokens of each position or of all where there are fewer, k at
// least kAgreementTokens. INVALID_ARGUMENT: a window that the engine cannot hold.
[[nodiscard]] absl::StatusOr<measure::WindowSummary> SummarizeWindow(engine::Engine& reference,
                                                                     std::span<const int32_t> window, int32_t k);

// The divergence bounded from both sides; which tokens agree is exact, since the summary has FP16's likeliest.
// INVALID_ARGUMENT: a window that the engine cannot hold, or a summary of other tokens or another vocabulary.
// DATA_LOSS: a damaged one.
[[nodiscard]] absl::StatusOr<measure::WindowDivergence> CompareWithSummary(std::string_view summary,
                                                                           engine::Engine& variant,
                                                                           std::span<const int32_t> window);

}  // namespace uaqf::evaluate
