// Which category or group each prompt of a set is in.
#pragma once

#include <uaqf/v1/ranking_service.pb.h>

#include <string>

#include "absl/status/statusor.h"
#include "server/ranking/slices.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

// Of the set with this digest, names sorted; prompts without a category, or a group, are in none. Reads the store.
// NOT_FOUND: no such set. DATA_LOSS: a stored prompt that cannot be read.
[[nodiscard]] absl::StatusOr<ranking::SliceLabels> LabelPrompts(store::PromptStore& store, const std::string& digest,
                                                                v1::Split split);

}  // namespace uaqf::rpc
