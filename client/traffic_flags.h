// Traffic as a person gives it: "batch=1,8,32:input=128,512:output=64" to measure, "batch=8:input=512:output=64" to
// serve.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "uaqf/v1/job.pb.h"
#include "uaqf/v1/ranking_service.pb.h"

namespace uaqf::client {

// Of --grid: lists behind batch, input and output, and a number behind draws, which may be left out. InvalidArgument: a
// part that is missing, unknown or given twice, or no list of numbers. Ranges are the coordinator's to say.
[[nodiscard]] absl::StatusOr<v1::TrafficGrid> ParseGrid(const std::string& text);

// Of each --traffic: numbers behind batch, input, output and share, which may be left out where there is one.
[[nodiscard]] absl::StatusOr<std::vector<v1::TrafficShare>> ParseTraffic(const std::vector<std::string>& texts);

// "70 % 8 x 512/64, 30 % 1 x 128/64".
std::string MixText(const v1::Profile& profile);

}  // namespace uaqf::client
