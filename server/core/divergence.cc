#include "server/core/divergence.h"

#include <algorithm>
#include <cmath>

namespace uaqf::core {
namespace {

// A token takes at most 3 bytes of id and 2 of log-probability, but for some of the first; the rest of a position,
// those included, takes at most so much.
constexpr std::int64_t kTokenBytes = 5;
constexpr std::int64_t kPositionBytes = 128;

}  // namespace

std::vector<bool> StreamedVariants(const JobSpec& spec, const HostingRoom& room) {
  const std::size_t count = spec.variants.size();
  std::vector<bool> streamed(count, false);
  const auto baseline = std::find(spec.variants.begin(), spec.variants.end(), kBaselineVariant);
  const DivergenceMode mode = spec.quality.divergence_mode;
  if (!spec.quality.divergence || baseline == spec.variants.end() || mode == DivergenceMode::kExact) return streamed;
  const auto base = static_cast<std::size_t>(baseline - spec.variants.begin());
  const bool known = room.memory_bytes > 0 && room.need_bytes.size() == count && room.need_bytes[base] > 0;
  for (std::size_t v = 0; v < count; ++v) {
    if (v == base || spec.variants[v] == kBaselineTwin) continue;
    const bool both_fit =
        !known || room.need_bytes[v] <= 0 || room.need_bytes[v] + room.need_bytes[base] <= room.memory_bytes;
    streamed[v] = mode == DivergenceMode::kStreamed || !both_fit;
  }
  return streamed;
}

std::int64_t SummaryBytes(std::int32_t k, std::int32_t context_tokens) {
  return (kTokenBytes * k + kPositionBytes) * std::max(0, context_tokens - 1);
}

std::int32_t FirstSummaryK(std::int32_t context_tokens) {
  std::int32_t k = kFirstSummaryK;
  while (k > kLeastSummaryK && SummaryBytes(k, context_tokens) > kMostSummaryBytes) k /= 2;
  return std::max(k, kLeastSummaryK);
}

std::int32_t NextSummaryK(std::int32_t k, std::int32_t context_tokens) {
  const std::int32_t next = std::min(4 * k, kMostSummaryK);
  return next > k && SummaryBytes(next, context_tokens) <= kMostSummaryBytes ? next : 0;
}

bool TooLoose(const RecordRow& record) {
  if (record.body != RecordBody::kDivergence || record.summary_k == 0 || record.scored_tokens < 1) return false;
  const double lower = record.kl_sum / record.scored_tokens;
  const double width = record.kl_upper_sum / record.scored_tokens - lower;
  return std::isfinite(width) && width > std::max(kWidthTolerance, kRelativeWidthTolerance * lower);
}

}  // namespace uaqf::core
