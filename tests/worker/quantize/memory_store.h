// Quantized blocks in memory.
#pragma once

#include <map>

#include "worker/quantize/block_store.h"

namespace uaqf::test {

class MemoryStore final : public quantize::BlockStore {
 public:
  absl::StatusOr<quantize::QuantizedBlock> Get(int64_t index) override {
    const auto found = blocks.find(index);
    if (found == blocks.end()) return absl::NotFoundError("none");
    return found->second;
  }
  absl::Status Put(int64_t index, const quantize::QuantizedBlock& block) override {
    blocks[index] = block;
    ++puts;
    return absl::OkStatus();
  }
  std::map<int64_t, quantize::QuantizedBlock> blocks;
  int puts = 0;
};

}  // namespace uaqf::test
