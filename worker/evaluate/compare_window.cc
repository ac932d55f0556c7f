#include "worker/evaluate/compare_window.h"

#include <algorithm>
#include <cmath>

#include "worker/evaluate/divergence.h"

namespace uaqf::evaluate {

absl::StatusOr<measure::WindowDivergence> CompareWindow(engine::Engine& reference, engine::Engine& variant,
                                                        std::span<const int32_t> window) {
  auto ours = reference.ReadLogits(window);
  if (!ours.ok()) return ours.status();
  auto theirs = variant.ReadLogits(window);
  if (!theirs.ok()) return theirs.status();
  measure::WindowDivergence result;
  result.positions = static_cast<int32_t>(window.size()) - 1;
  for (int32_t i = 0; i < result.positions; ++i) {
    const auto p = (*ours)->Next();
    if (!p.ok()) return p.status();
    const auto q = (*theirs)->Next();
    if (!q.ok()) return q.status();
    result.top_k = static_cast<int32_t>(std::min<size_t>(kAgreementTokens, p->size()));
    result.kl_sum += Divergence(*p, *q);
    if (TopIds(*p, 1) == TopIds(*q, 1)) ++result.same_top;
    result.shared_top += std::lround(TopAgreement(*p, *q, result.top_k) * result.top_k);
  }
  return result;
}

}  // namespace uaqf::evaluate
