// Limits as a person gives them: "latency-p95=2s", "memory=8GB", "nll-loss=0.05".
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "uaqf/v1/ranking_service.pb.h"

namespace uaqf::client {

// One constraint. Times take s or ms (s when nothing is said), memory B, MB, GB, MiB or GiB (bytes),
// energy J or mJ (J).
// InvalidArgument: an unknown figure, no number, a unit that the figure does not have.
[[nodiscard]] absl::StatusOr<v1::Constraint> ParseConstraint(const std::string& text);

// All that can be limited, with units, for help texts.
std::string LimitedFigures();

// "latency_p95", "memory".
std::string FigureName(v1::LimitedFigure figure);
// A value of it as people read it: "1.04 s", "8 GB", "0.05 nats/token".
std::string FigureText(v1::LimitedFigure figure, double value);

}  // namespace uaqf::client
