// A seeded draw from the items of a data set.
//
// Each item has a key, SHA-256("uaqf draw 1\n" seed "\n" id) with the seed in decimal; the draw is the items with the
// `count` smallest keys, in the order of the keys. So it depends on the seed and the ids only, not on the order of the
// file nor on a generator of random numbers; and a smaller draw is the beginning of a larger one of the same seed.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

// `count` of `items`, whose ids are distinct, each at most once. InvalidArgument: more than there are.
[[nodiscard]] absl::StatusOr<std::vector<v1::Prompt>> Draw(const std::vector<v1::Prompt>& items, std::size_t count,
                                                           std::uint64_t seed);

}  // namespace uaqf::client
