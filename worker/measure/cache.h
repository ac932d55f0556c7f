// The processor's caches, as something to be emptied.
#pragma once

#include <cstdint>

namespace uaqf::measure {

// Size of the largest cache of processor 0; 32 MiB when the machine does not tell.
int64_t LastLevelCacheBytes();

// Writes `bytes` of fresh memory, which pushes out what the caches held, then writes those lines back and evicts them.
void EvictCaches(int64_t bytes);

}  // namespace uaqf::measure
