// Records of agreement, between the bytes that the store keeps, server/ranking and the wire.
#pragma once

#include <vector>

#include "server/core/measurements.h"
#include "server/ranking/compare_outputs.h"
#include "server/ranking/measures.h"
#include "uaqf/v1/ranking_service.pb.h"

namespace uaqf::rpc {

// Those that can be read, in their order.
std::vector<ranking::AgreementRow> ParseAgreements(const std::vector<core::AgreementBlob>& records);

v1::BehaviourMeasure ToProto(const ranking::BehaviourMeasure& behaviour);

// All but the names of the jobs.
v1::CompareJobsResponse ToProto(const ranking::OutputComparison& comparison);

}  // namespace uaqf::rpc
