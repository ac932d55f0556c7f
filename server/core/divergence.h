// How a variant is compared with FP16: exactly, by a worker that hosts both, or streamed, by the variant's worker
// against summaries that FP16's worker made; and how the summaries grow.
//
// A streamed comparison of one block of windows:
//
//   SUMMARY(k) of FP16 --> DIVERGENCE(k) of each variant --> close enough, or k is greatest: done
//                                     | a window is too loose
//                                     +--> SUMMARY(4 k), unless it is planned, and DIVERGENCE(4 k) of this variant
//
// The records of the greatest k of a window supersede the others. Measured (SmolLM2, 3 windows of 256 tokens of
// WikiText-2, rtn-w4-channel, whose exact divergence is 0.8681 nats): the mean width is 0.45 nats with k = 1024 in 3.3
// kB a position, 0.080 with 4096 in 12.5 kB and 0.0045 with 16384 in 49 kB; below 1024 it says little (3.4 nats with
// 64).
#pragma once

#include <cstdint>
#include <vector>

#include "server/core/plan.h"
#include "server/core/record.h"
#include "server/core/types.h"

namespace uaqf::core {

// k of the first summaries, and the greatest.
inline constexpr std::int32_t kFirstSummaryK = 1024;
inline constexpr std::int32_t kMostSummaryK = 16384;
// The least k there is: the agreement of the ten likeliest tokens needs as many.
inline constexpr std::int32_t kLeastSummaryK = 10;
// A summary of one window takes no more, bytes.
inline constexpr std::int64_t kMostSummaryBytes = std::int64_t{192} << 20;
// A window's mean width above both asks for a greater k: nats, and as a share of the lower side.
inline constexpr double kWidthTolerance = 0.01;
inline constexpr double kRelativeWidthTolerance = 0.05;

// By variant of the spec, whether it is compared with FP16 by summaries: where that was asked for, and where it was
// left open and the room is known not to hold the variant and the baseline together. Never the baseline, and nothing
// where the job compares nothing or has no baseline among its variants.
std::vector<bool> StreamedVariants(const JobSpec& spec, const HostingRoom& room);

// Upper bound of a window's summary of k tokens, bytes; its format is that of worker/evaluate/summary.h.
std::int64_t SummaryBytes(std::int32_t k, std::int32_t context_tokens);
// k of the first summaries of windows of so many tokens.
std::int32_t FirstSummaryK(std::int32_t context_tokens);
// The k after this one; 0: there is none.
std::int32_t NextSummaryK(std::int32_t k, std::int32_t context_tokens);

// Whether the sides of a bounded divergence lie too far apart. A window that is no number will not become one.
bool TooLoose(const RecordRow& record);

}  // namespace uaqf::core
