// Messages of ranking_service.proto from and to the types of server/ranking, field by field.
#pragma once

#include <uaqf/v1/ranking_service.pb.h>

#include "server/ranking/compare_jobs.h"
#include "server/ranking/measures.h"
#include "server/ranking/profile.h"
#include "server/ranking/rank.h"
#include "server/ranking/slices.h"

namespace uaqf::rpc {

// `message` must have passed Validate.
ranking::Profile FromProto(const v1::Profile& message);
v1::Profile ToProto(const ranking::Profile& profile);
v1::VariantMeasures ToProto(const ranking::VariantMeasures& measures);
v1::NoiseFloor ToProto(const ranking::NoiseFloor& floor);
v1::RankedSlice ToProto(const ranking::Slice& slice);
v1::RankVariantsResponse ToProto(const ranking::Ranking& ranking);
// Without the names of the jobs.
v1::CompareJobsResponse ToProto(const ranking::JobComparison& comparison);

}  // namespace uaqf::rpc
