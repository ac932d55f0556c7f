// Whether a variant gives the same output for the same prompt: each prompt alone, again, and within batches, as
// AgreementRecord of record.proto has it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/measure/types.h"

namespace uaqf::measure {

// Tokens before the first that differs.
int32_t SameTokens(std::span<const int32_t> one, std::span<const int32_t> other);

// What to run, over the items of a chunk.
struct AgreementRuns {
  int32_t items = 0;
  // Of the batches; empty for none.
  std::vector<int32_t> batch_sizes;
  // Why there are none although some were asked for; empty otherwise.
  std::string batches_refused;
};

// Generates the items at those places, which may be there several times, together; in their order.
using GenerateItems = std::function<absl::StatusOr<std::vector<GreedyOutput>>(std::span<const int32_t> places)>;

// One result for each item, in order. Every batch is full: where the items left are fewer than its size, others of the
// chunk fill it, and what comes of those is left out. An error is that of `generate`.
[[nodiscard]] absl::StatusOr<std::vector<Agreement>> RunAgreement(const AgreementRuns& runs,
                                                                  const GenerateItems& generate);

}  // namespace uaqf::measure
