#include "worker/evaluate/compare_window.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/divergence.h"
#include "worker/evaluate/summary.h"

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

absl::StatusOr<measure::WindowSummary> SummarizeWindow(engine::Engine& reference, std::span<const int32_t> window,
                                                       int32_t k) {
  auto logits = reference.ReadLogits(window);
  if (!logits.ok()) return logits.status();
  measure::WindowSummary result;
  result.positions = static_cast<int32_t>(window.size()) - 1;
  std::optional<SummaryWriter> writer;
  for (int32_t i = 0; i < result.positions; ++i) {
    const auto p = (*logits)->Next();
    if (!p.ok()) return p.status();
    if (!writer.has_value()) {
      result.summary_k =
          static_cast<int32_t>(std::min<size_t>(static_cast<size_t>(std::max(k, kAgreementTokens)), p->size()));
      writer.emplace(window, static_cast<int64_t>(p->size()), result.summary_k);
    }
    writer->Add(Summarize(*p, result.summary_k));
  }
  result.bytes = writer->Take();
  return result;
}

absl::StatusOr<measure::WindowDivergence> CompareWithSummary(std::string_view summary, engine::Engine& variant,
                                                             std::span<const int32_t> window) {
  auto reader = SummaryReader::Open(summary);
  if (!reader.ok()) return reader.status();
  if (!reader->IsOf(window)) {
    return absl::InvalidArgumentError(
        "FP16's summary is of other tokens than this window, expected the same text and tokenizer: do all workers have "
        "the same files of the model?");
  }
  auto logits = variant.ReadLogits(window);
  if (!logits.ok()) return logits.status();
  measure::WindowDivergence result;
  result.positions = reader->positions();
  result.summary_k = reader->k();
  for (int32_t i = 0; i < result.positions; ++i) {
    const auto q = (*logits)->Next();
    if (!q.ok()) return q.status();
    if (static_cast<int64_t>(q->size()) != reader->vocabulary()) {
      return absl::InvalidArgumentError(absl::StrCat("FP16's summary is of a vocabulary of ", reader->vocabulary(),
                                                     ", expected ", q->size(), ", the variant's"));
    }
    const auto p = reader->Next();
    if (!p.ok()) return p.status();
    const DivergenceBound bound = BoundDivergence(*p, *q);
    result.kl_sum += bound.lower;
    result.kl_upper_sum += bound.upper;
    result.top_k = std::min(kAgreementTokens, reader->k());
    const std::vector<int32_t> ours(p->ids.begin(), p->ids.begin() + result.top_k);
    const std::vector<int32_t> theirs = TopIds(*q, result.top_k);
    if (ours.front() == theirs.front()) ++result.same_top;
    result.shared_top += std::count_if(theirs.begin(), theirs.end(), [&ours](int32_t id) {
      return std::find(ours.begin(), ours.end(), id) != ours.end();
    });
  }
  return result;
}

}  // namespace uaqf::evaluate
