// Between the messages of the wire and the plain values that worker/measure works with.
#pragma once

#include <uaqf/v1/record.pb.h>
#include <uaqf/v1/worker_service.pb.h>

#include <string>

#include "absl/status/statusor.h"
#include "worker/measure/chunk.h"
#include "worker/measure/evaluator.h"
#include "worker/measure/types.h"

namespace uaqf::link {

v1::Device ToProto(const measure::Device& device);
v1::Record ToProto(const measure::ItemResult& result);
v1::MemoryUse ToProto(const measure::Memory& memory);
// `wall_ns` of the attempt, for the mean power.
v1::GpuEvidence ToProto(const measure::GpuUse& use, int64_t wall_ns);
// With its task, if it has one that this worker knows.
measure::Prompt FromProto(const v1::Prompt& prompt);

// All but `items` and `summaries`. INVALID_ARGUMENT: a kind that is not known here.
[[nodiscard]] absl::StatusOr<measure::Chunk> ToChunk(const v1::Lease& lease);
// All but the sets.
measure::SurveyRequest ToSurveyRequest(const v1::Survey& survey);

}  // namespace uaqf::link
