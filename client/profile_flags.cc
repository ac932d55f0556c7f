#include "client/profile_flags.h"

#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/constraint_flags.h"
#include "client/failure.h"
#include "client/traffic_flags.h"

namespace uaqf::client {
namespace {

// METHODS: the constraint of our own presets, nats per token.
constexpr double kSanityDeltaNll = 0.3;

absl::Status ParseWeights(const std::string& text, v1::Weights* weights) {
  constexpr char kExpected[] = ", expected for example --weights speed=0.4,quality=0.4,stability=0.2";
  std::set<std::string> given;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::vector<std::string> sides = absl::StrSplit(absl::StripAsciiWhitespace(part), absl::MaxSplits('=', 1));
    double value = 0;
    if (sides.size() != 2 || !absl::SimpleAtod(sides[1], &value)) {
      return UsageError(absl::StrCat("got the weight \"", part, "\"", kExpected));
    }
    if (!given.insert(sides[0]).second)
      return UsageError(absl::StrCat("got the weight ", sides[0], " twice", kExpected));
    if (sides[0] == "speed") {
      weights->set_speed(value);
    } else if (sides[0] == "quality") {
      weights->set_quality(value);
    } else if (sides[0] == "stability") {
      weights->set_stability(value);
    } else if (sides[0] == "memory") {
      weights->set_memory(value);
    } else {
      return UsageError(
          absl::StrCat("got a weight of \"", sides[0], "\", expected speed, quality, stability or memory"));
    }
  }
  if (given.empty()) return UsageError(absl::StrCat("got no weights", kExpected));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<v1::Constraint>> BuildConstraints(const ProfileFlags& flags) {
  std::vector<v1::Constraint> constraints;
  for (const std::string& limit : flags.limits) {
    auto constraint = ParseConstraint(limit);
    if (!constraint.ok()) return constraint.status();
    constraints.push_back(*std::move(constraint));
  }
  return constraints;
}

absl::StatusOr<DeploymentFlags> BuildDeployment(const ProfileFlags& flags) {
  DeploymentFlags deployment;
  auto traffic = ParseTraffic(flags.traffic);
  if (!traffic.ok()) return traffic.status();
  deployment.traffic = *std::move(traffic);
  deployment.context_tokens = flags.context_tokens;
  if (flags.device_memory.empty()) return deployment;
  const auto memory = ParseConstraint(absl::StrCat("memory=", flags.device_memory));
  if (!memory.ok() || memory->limit() < 1) {
    return UsageError(
        absl::StrCat("got --device-memory ", flags.device_memory, ", expected for example 80GB or 24GiB"));
  }
  deployment.device_memory_bytes = static_cast<std::int64_t>(memory->limit());
  return deployment;
}

absl::StatusOr<v1::Profile> BuildProfile(const ProfileFlags& flags) {
  v1::Profile profile;
  if (absl::Status weights = ParseWeights(flags.weights, profile.mutable_weights()); !weights.ok()) return weights;
  const bool full = flags.formula == "full";
  profile.set_formula(full                        ? v1::UTILITY_FORMULA_FULL
                      : flags.formula == "regime" ? v1::UTILITY_FORMULA_REGIME
                                                  : v1::UTILITY_FORMULA_UTILITY);
  const std::string normalization = flags.normalization.value_or(full ? "baseline" : "minmax");
  profile.set_normalization(normalization == "baseline" ? v1::NORMALIZATION_BASELINE : v1::NORMALIZATION_MINMAX);
  profile.set_stability_form(flags.stability_form.value_or("relative") == "combined" ? v1::STABILITY_FORM_COMBINED
                                                                                     : v1::STABILITY_FORM_RELATIVE);
  profile.set_stability_alpha(flags.stability_alpha);
  profile.set_stability_beta(flags.stability_beta);
  if (flags.max_delta_nll) {
    profile.set_max_delta_nll(*flags.max_delta_nll);
  } else if (full && !flags.no_sanity) {
    profile.set_max_delta_nll(kSanityDeltaNll);
  }
  return profile;
}

}  // namespace uaqf::client
