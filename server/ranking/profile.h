// Profiles: what a deployment cares about, as weights of the terms of a utility.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/ranking/constraints.h"
#include "server/ranking/traffic.h"

namespace uaqf::ranking {

// How the terms become one number; `~` is the normalized term.
enum class Formula {
  kUtility,  // w_s S~ - w_q QL~ - w_p SP~            (paper 3.1.1)
  kRegime,   // w_s S~ - w_q QL~ + w_m M~             (paper 4.5)
  kFull,     // w_s S~ - w_q Q~ - w_p P~ + w_m M~     (ours)
};

// What the terms are compared with.
enum class Normalization {
  kMinMax,    // all evaluated variants, fp16 included; a term without spread is 0
  kBaseline,  // fp16 alone: a score does not depend on who else is in the list
};

// How the stability penalty is formed.
enum class StabilityForm {
  kRelative,  // S_L / L
  kCombined,  // alpha S_L + beta S_T, seconds and tokens/s added as the paper has it
};

struct Weights {
  double speed = 0;
  double quality = 0;
  double stability = 0;
  double memory = 0;
};

struct Profile {
  std::string name;  // "profiles/{profile}"
  std::string description;
  Formula formula = Formula::kFull;
  Normalization normalization = Normalization::kBaseline;
  Weights weights;
  StabilityForm stability_form = StabilityForm::kRelative;
  double stability_alpha = 0;  // 1/s
  double stability_beta = 0;   // s/token
  // A variant whose delta NLL to fp16 (nats per token) exceeds it is not feasible.
  std::optional<double> max_delta_nll;
  // What a variant must surely keep to be feasible.
  std::vector<Constraint> constraints{};
  // Of an hour of the device, in any currency; 0: not known.
  double price_per_hour = 0;
  // What the deployment serves; not empty: speed is that of this mix. Shapes lie within the grid that a job timed.
  TrafficMix traffic{};
  // Tokens that a sequence may grow to, for how many a device holds; 0: not asked.
  std::int32_t context_tokens = 0;
  // Memory of the deployment's device, bytes; 0: that of the one measured on.
  std::int64_t device_memory_bytes = 0;
  bool built_in = false;
};

// InvalidArgument with what was got, what was expected and what to do: a weight below 0 or not a number, weights that
// do not sum to 1 within 1e-9, a weight of a term that the formula lacks, alpha and beta of COMBINED that are negative
// or both 0, a constraint below 0, constraints that Validate of
// constraints.h refuses, traffic that Validate of traffic.h refuses, or a context or memory below 0. Does not look at
// the name: an inline profile has none.
[[nodiscard]] absl::Status Validate(const Profile& profile);

// "profiles/" and 1 to 64 characters of [a-z0-9-]. InvalidArgument otherwise.
[[nodiscard]] absl::Status ValidateProfileName(const std::string& name);

// Those that ship with the program: the paper's utility and its three regimes, literal, then ours.
const std::vector<Profile>& BuiltInProfiles();
// Null when no built-in profile has this name ("profiles/balanced").
const Profile* FindBuiltInProfile(const std::string& name);

}  // namespace uaqf::ranking
