// A profile as a person gives it with flags.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "uaqf/v1/ranking_service.pb.h"

namespace uaqf::client {

struct ProfileFlags {
  std::string weights;  // "speed=.4,quality=.4,stability=.2"
  std::string formula = "full";
  std::optional<std::string> normalization;   // default: baseline for full, minmax for the paper's formulas
  std::optional<std::string> stability_form;  // default: relative
  double stability_alpha = 0;
  double stability_beta = 0;
  std::optional<double> max_delta_nll;  // default: 0.3 for full, none for the paper's formulas
  bool no_sanity = false;
  std::vector<std::string> limits;  // "latency-p95=2s"
  double price_per_hour = 0;
  std::vector<std::string> traffic;  // as ParseTraffic of traffic_flags.h
  std::int32_t context_tokens = 0;
  std::string device_memory;  // "80GB"
};

// The constraints of `flags.limits`, as ParseConstraint has them.
[[nodiscard]] absl::StatusOr<std::vector<v1::Constraint>> BuildConstraints(const ProfileFlags& flags);

// What `flags` say of traffic and capacity, in place of the profile's. InvalidArgument: what ParseTraffic refuses, or a
// memory that is none.
struct DeploymentFlags {
  std::vector<v1::TrafficShare> traffic;
  std::int32_t context_tokens = 0;
  std::int64_t device_memory_bytes = 0;
};
[[nodiscard]] absl::StatusOr<DeploymentFlags> BuildDeployment(const ProfileFlags& flags);

// The profile of `flags`, without a name and without constraints. InvalidArgument: a weight that has no number or an
// unknown name. Whether the weights fit the formula and sum to 1 is the coordinator's to say.
[[nodiscard]] absl::StatusOr<v1::Profile> BuildProfile(const ProfileFlags& flags);

}  // namespace uaqf::client
