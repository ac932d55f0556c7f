#include "server/ranking/capacity.h"

#include <algorithm>

namespace uaqf::ranking {

std::optional<Capacity> CapacityOf(const std::optional<Memory>& memory, std::int32_t context_tokens,
                                   std::int64_t device_bytes) {
  if (context_tokens <= 0) return std::nullopt;
  Capacity capacity;
  capacity.context_tokens = context_tokens;
  capacity.device_bytes = device_bytes > 0 || !memory ? device_bytes : memory->device_bytes;
  if (!memory) {
    capacity.reason = "its memory is not known: no chunk of it was accepted";
  } else if (memory->kv_bytes_per_token <= 0) {
    capacity.reason = "its worker did not say what a token takes of the KV cache: measure with one of this version";
  } else if (capacity.device_bytes <= 0) {
    capacity.reason = "the device's memory is not known: name it in the profile (--device-memory)";
  } else {
    capacity.free_bytes =
        std::max<std::int64_t>(0, capacity.device_bytes - memory->weights_bytes - memory->workspace_bytes);
    capacity.sequences = capacity.free_bytes / memory->kv_bytes_per_token / context_tokens;
  }
  return capacity;
}

}  // namespace uaqf::ranking
