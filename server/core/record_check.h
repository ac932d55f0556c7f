// Whether a record can be what was asked for. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "server/core/chunk.h"
#include "server/core/record.h"
#include "server/core/types.h"

namespace uaqf::core {

// Why `record`, of an item of `chunk`, cannot be what the chunk asks for; empty when it can. `expected_tokens`: output
// tokens, or scored ones of a window; 0 when any length will do. `grid` is the job's.
std::string Contradiction(const RecordRow& record, const Chunk& chunk, std::int32_t expected_tokens,
                          const TrafficGrid& grid);

}  // namespace uaqf::core
