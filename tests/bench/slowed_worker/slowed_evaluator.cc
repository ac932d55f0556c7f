#include "tests/bench/slowed_worker/slowed_evaluator.h"

#include <cmath>

namespace uaqf::test {

absl::Status SlowedEvaluator::Load(const measure::HostRequest& request) {
  measure::HostRequest own = request;
  slowed_ = request.variant == kSlowedVariant;
  if (slowed_) own.variant = "fp16";
  return evaluator_.Load(own);
}

absl::StatusOr<measure::Timing> SlowedEvaluator::TimePrompt(const measure::Prompt& prompt,
                                                            const measure::GenerationRequest& request) {
  auto timing = evaluator_.TimePrompt(prompt, request);
  if (!timing.ok() || !slowed_) return timing;
  const int64_t start_ns = clock_.NowNs();
  const auto more = [this](int64_t ns) { return std::llround(share_ * static_cast<double>(ns)); };
  int64_t added_ns = more(timing->prefill_ns);
  timing->prefill_ns += added_ns;
  // The gaps are parts of decoding, whatever rounding does.
  for (int64_t& gap_ns : timing->inter_token_ns) {
    const int64_t longer_ns = more(gap_ns);
    gap_ns += longer_ns;
    timing->decode_ns += longer_ns;
    added_ns += longer_ns;
  }
  timing->latency_ns += added_ns;
  while (clock_.NowNs() - start_ns < added_ns) {
  }
  return timing;
}

}  // namespace uaqf::test
