// One accepted attempt of a chunk, with the state of the device around it.
#pragma once

#include <cstdint>
#include <string>

#include "server/core/types.h"

namespace uaqf::core {

struct AttemptEvidence {
  std::int32_t chunk = 0;
  std::int32_t variant = 0;  // into Measurements::variants
  ChunkKind kind = ChunkKind::kTiming;
  std::int32_t repeat = 0;
  // Places of prompts, or of windows, [first, first + count) of the job's order (item_order.h).
  std::int32_t first = 0;
  std::int32_t count = 0;
  std::int32_t group = 0;  // as Chunk::group
  bool tainted = false;    // kept although tainted
  // Of its timing records: all, and those of the first prompt, which warm-ups run.
  std::int64_t output_tokens = 0;
  std::int64_t first_output_tokens = 0;
  double latency_sum_s = 0;  // of its timing records
  std::string evidence;      // the serialized uaqf.v1.ChunkEvidence
};

}  // namespace uaqf::core
