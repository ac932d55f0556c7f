// Profiles by name: those that ship with the program, and those that were stored. For the executor.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/store/job_store.h"
#include "uaqf/v1/ranking_service.pb.h"

namespace uaqf::rpc {

// DATA_LOSS (PROFILE_DAMAGED).
[[nodiscard]] absl::StatusOr<v1::Profile> ParseStored(const store::StoredProfile& stored);

// NOT_FOUND (PROFILE_NOT_FOUND), INVALID_ARGUMENT for a name that is none, or what the store says.
[[nodiscard]] absl::StatusOr<v1::Profile> FindProfile(store::Store* store, const std::string& name);

}  // namespace uaqf::rpc
