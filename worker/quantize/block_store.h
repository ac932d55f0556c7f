// Where quantized blocks lie: on disk (artifact.h), in memory for tests.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/quantize/quantized_matrix.h"

namespace uaqf::quantize {

// Used from one thread at a time.
class BlockStore {
 public:
  virtual ~BlockStore() = default;
  // A block that was put before; NOT_FOUND where there is none that can be trusted.
  virtual absl::StatusOr<QuantizedBlock> Get(int64_t index) = 0;
  virtual absl::Status Put(int64_t index, const QuantizedBlock& block) = 0;
};

}  // namespace uaqf::quantize
