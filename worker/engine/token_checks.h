// What every engine asks of its options and of the tokens it is given.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/engine/engine.h"
#include "worker/model/model_config.h"

namespace uaqf::engine {

// Positions of the KV cache: what the options say, else the model's context up to 4096. INVALID_ARGUMENT: beyond the
// context.
[[nodiscard]] absl::StatusOr<int64_t> CapacityOf(const model::ModelConfig& config, const EngineOptions& options);

// INVALID_ARGUMENT unless there are `least` to `capacity` ids, all of the vocabulary; `what` names them.
[[nodiscard]] absl::Status CheckTokens(const model::ModelConfig& config, int64_t capacity, std::span<const int32_t> ids,
                                       const char* what, size_t least);

// Whether `token` can follow at `position`: FAILED_PRECONDITION before a Prefill, OUT_OF_RANGE when the cache is full.
[[nodiscard]] absl::Status CheckStep(const model::ModelConfig& config, int64_t capacity, int64_t position,
                                     int32_t token);

// Sequences of a batch: what the options say. INVALID_ARGUMENT: not 1 to kMostBatch.
[[nodiscard]] absl::StatusOr<int64_t> MaxBatchOf(const EngineOptions& options);

// As CheckTokens for each prompt, of which there are 1 to `max_batch`.
[[nodiscard]] absl::Status CheckPrompts(const model::ModelConfig& config, int64_t capacity, int64_t max_batch,
                                        std::span<const std::span<const int32_t>> prompts);

// As CheckStep for each sequence of a batch.
[[nodiscard]] absl::Status CheckBatchStep(const model::ModelConfig& config, int64_t capacity,
                                          std::span<const int64_t> positions, std::span<const int32_t> tokens);

}  // namespace uaqf::engine
