#include "server/core/progress.h"

#include <algorithm>

namespace uaqf::core {

void Tally::Add(const Tally& other) {
  records_done += other.records_done;
  records_total += other.records_total;
  records_quarantined += other.records_quarantined;
  chunks_done += other.chunks_done;
  chunks_total += other.chunks_total;
  attempts_tainted += other.attempts_tainted;
  attempts_rerun += other.attempts_rerun;
  timing_records += other.timing_records;
  latency_sum_s += other.latency_sum_s;
  rate_sum += other.rate_sum;
  scored_tokens += other.scored_tokens;
  nll_sum += other.nll_sum;
}

void Count(const RecordRow& record, Tally* sums) {
  if (record.body == RecordBody::kFailure) {
    ++sums->records_quarantined;
    return;
  }
  ++sums->records_done;
  if (record.body == RecordBody::kTiming) {
    const double latency_s = static_cast<double>(record.latency_ns) * 1e-9;
    ++sums->timing_records;
    sums->latency_sum_s += latency_s;
    sums->rate_sum += record.output_tokens / latency_s;
  } else if (record.body == RecordBody::kWindow) {
    sums->scored_tokens += record.scored_tokens;
    sums->nll_sum += record.nll_sum;
  }
}

JobProgress Summarize(const JobSpec& spec, const std::vector<VariantStatus>& status) {
  JobProgress progress;
  for (std::size_t v = 0; v < status.size(); ++v) {
    const Tally& tally = status[v].tally;
    progress.records_done += tally.records_done;
    progress.records_total += tally.records_total;
    progress.records_quarantined += tally.records_quarantined;
    progress.chunks_done += tally.chunks_done;
    progress.chunks_total += tally.chunks_total;
    progress.chunks_rerun += tally.attempts_rerun;

    VariantProgress variant;
    variant.variant = spec.variants[v];
    variant.state = status[v].state;
    variant.error = status[v].error;
    variant.records_done = tally.records_done;
    variant.records_total = tally.records_total;
    variant.chunks_tainted = tally.attempts_tainted;
    if (tally.timing_records > 0) {
      const double n = static_cast<double>(tally.timing_records);
      variant.latency_s = tally.latency_sum_s / n;
      variant.tokens_per_s = tally.rate_sum / n;
    }
    if (tally.scored_tokens > 0) variant.nll = tally.nll_sum / static_cast<double>(tally.scored_tokens);
    progress.variants.push_back(std::move(variant));
  }
  return progress;
}

void RateMeter::Advance(std::int64_t second) {
  if (first_second_ < 0) first_second_ = last_second_ = second;
  const std::int64_t skipped = std::min<std::int64_t>(second - last_second_, kSlots);
  for (std::int64_t s = second - skipped + 1; s <= second; ++s) slots_[s % kSlots] = 0;
  last_second_ = std::max(last_second_, second);
}

void RateMeter::Add(std::int64_t mono_ns, std::int64_t count) {
  const std::int64_t second = mono_ns / 1'000'000'000;
  Advance(second);
  slots_[second % kSlots] += count;
}

double RateMeter::PerSecond(std::int64_t mono_ns) const {
  if (first_second_ < 0) return 0;
  const std::int64_t second = mono_ns / 1'000'000'000;
  std::int64_t sum = 0;
  for (std::int64_t s = std::max(first_second_, second - kSlots + 1); s <= last_second_; ++s) sum += slots_[s % kSlots];
  const std::int64_t seconds = std::clamp<std::int64_t>(second - first_second_ + 1, 1, kSlots);
  return static_cast<double>(sum) / static_cast<double>(seconds);
}

}  // namespace uaqf::core
