// The evidence of a job, summed up, as its message.
#pragma once

#include <uaqf/v1/ranking_service.pb.h>

#include "server/core/progress.h"
#include "server/ranking/evidence.h"

namespace uaqf::rpc {

// `view` of the job that it is of: names, and what was rejected.
v1::EvidenceSummary ToProto(const ranking::EvidenceSummary& summary, const core::JobView& view);

}  // namespace uaqf::rpc
