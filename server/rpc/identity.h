// A job as far as the comparability check sees it: what was asked, and what its evidence tells.
#pragma once

#include <vector>

#include "server/core/progress.h"
#include "server/ranking/comparability.h"
#include "uaqf/v1/record.pb.h"

namespace uaqf::rpc {

// `evidence` of its accepted attempts, and the `configurations` they were made under.
ranking::JobIdentity IdentityOf(const core::JobView& view, const std::vector<v1::ChunkEvidence>& evidence,
                                const std::vector<v1::VariantConfiguration>& configurations);

}  // namespace uaqf::rpc
