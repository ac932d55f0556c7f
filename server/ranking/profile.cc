#include "server/ranking/profile.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace uaqf::ranking {
namespace {

constexpr char kPrefix[] = "profiles/";
constexpr double kSumTolerance = 1e-9;
// Our presets refuse a variant that lost more than this against fp16, nats per token.
constexpr double kSaneDeltaNll = 0.3;

Profile Paper(std::string name, std::string description, Formula formula, Weights weights) {
  Profile profile;
  profile.name = kPrefix + std::move(name);
  profile.description = std::move(description);
  profile.formula = formula;
  profile.normalization = Normalization::kMinMax;
  profile.weights = weights;
  profile.built_in = true;
  return profile;
}

Profile Ours(std::string name, std::string description, Weights weights) {
  Profile profile;
  profile.name = kPrefix + std::move(name);
  profile.description = std::move(description);
  profile.weights = weights;
  profile.max_delta_nll = kSaneDeltaNll;
  profile.built_in = true;
  return profile;
}

absl::Status CheckWeight(const char* name, double weight) {
  if (std::isfinite(weight) && weight >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("weights.%s is %g, expected a number from 0 to 1: give 0 to leave the term out", name, weight));
}

absl::Status CheckStabilityForm(const Profile& profile) {
  // Far more than any unit needs, far less than makes a penalty infinite.
  constexpr double kMostFactor = 1e9;
  const double alpha = profile.stability_alpha, beta = profile.stability_beta;
  const auto fits = [](double factor) { return factor >= 0 && factor <= kMostFactor; };
  if (!fits(alpha) || !fits(beta)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "stability_alpha is %g and stability_beta %g, expected numbers from 0 to %g", alpha, beta, kMostFactor));
  }
  const bool given = alpha > 0 || beta > 0;
  if (profile.stability_form == StabilityForm::kRelative && given) {
    return absl::InvalidArgumentError(
        absl::StrFormat("stability_alpha is %g and stability_beta %g, but stability_form RELATIVE uses neither: "
                        "set stability_form to COMBINED, or both to 0",
                        alpha, beta));
  }
  if (profile.stability_form == StabilityForm::kCombined && !given) {
    return absl::InvalidArgumentError(
        "stability_form COMBINED with stability_alpha and stability_beta both 0 makes every variant equally stable: "
        "give at least one above 0");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const Profile& profile) {
  const Weights& w = profile.weights;
  for (const auto& status :
       {CheckWeight("speed", w.speed), CheckWeight("quality", w.quality), CheckWeight("stability", w.stability),
        CheckWeight("memory", w.memory), CheckWeight("behaviour", w.behaviour)}) {
    if (!status.ok()) return status;
  }
  const double sum = w.speed + w.quality + w.stability + w.memory + w.behaviour;
  if (sum == 0) {
    return absl::InvalidArgumentError(
        "every weight is 0, expected weights that sum to 1: give at least one of speed, quality, stability, memory and "
        "behaviour");
  }
  if (std::abs(sum - 1) > kSumTolerance) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "weights sum to %.10g (speed %g, quality %g, stability %g, memory %g, behaviour %g), expected 1: "
        "divide each by %.10g",
        sum, w.speed, w.quality, w.stability, w.memory, w.behaviour, sum));
  }
  if (profile.formula == Formula::kUtility && w.memory != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "weights.memory is %g, but formula UTILITY has no memory term: set it to 0, or use REGIME or FULL", w.memory));
  }
  if (profile.formula == Formula::kRegime && w.stability != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("weights.stability is %g, but formula REGIME has no stability term: set it to 0, or use "
                        "UTILITY or FULL",
                        w.stability));
  }
  if (profile.formula != Formula::kFull && w.behaviour != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "weights.behaviour is %g, but only formula FULL has a behaviour term: set it to 0, or use FULL", w.behaviour));
  }
  if (profile.max_delta_nll && !(std::isfinite(*profile.max_delta_nll) && *profile.max_delta_nll >= 0)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("max_delta_nll is %g, expected nats per token of 0 or more: leave it out for no constraint",
                        *profile.max_delta_nll));
  }
  if (auto status = Validate(profile.traffic); !status.ok()) return status;
  if (profile.context_tokens < 0 || profile.device_memory_bytes < 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "context_tokens is %d and device_memory_bytes %d, expected 0 or more: leave them out where they do not matter",
        profile.context_tokens, profile.device_memory_bytes));
  }
  if (auto status = Validate(profile.constraints, profile.price_per_hour); !status.ok()) return status;
  return CheckStabilityForm(profile);
}

absl::Status ValidateProfileName(const std::string& name) {
  const std::string id = absl::StartsWith(name, kPrefix) ? name.substr(sizeof(kPrefix) - 1) : "";
  const bool known = std::all_of(id.begin(), id.end(),
                                 [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  if (!id.empty() && id.size() <= 64 && known) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("profile name is \"%s\", expected \"profiles/\" and 1 to 64 of a-z, 0-9 and -, e.g. "
                      "\"profiles/chat-server\"",
                      name.substr(0, 100)));
}

const std::vector<Profile>& BuiltInProfiles() {
  static const auto& profiles = *new std::vector<Profile>{
      Paper("paper-utility", "The paper's utility (3.1.1): speed, quality and stability alike, min-max",
            Formula::kUtility, {.speed = 1.0 / 3, .quality = 1.0 / 3, .stability = 1.0 / 3}),
      Paper("latency-critical", "The paper's latency-critical regime (4.5), min-max", Formula::kRegime,
            {.speed = 0.6, .quality = 0.2, .memory = 0.2}),
      Paper("accuracy-critical", "The paper's accuracy-critical regime (4.5), min-max", Formula::kRegime,
            {.speed = 0.2, .quality = 0.6, .memory = 0.2}),
      Paper("memory-constrained", "The paper's memory-constrained regime (4.5), min-max", Formula::kRegime,
            {.speed = 0.2, .quality = 0.2, .memory = 0.6}),
      Ours("balanced", "Speed and quality alike, some stability, against fp16",
           {.speed = 0.4, .quality = 0.4, .stability = 0.2}),
      Ours("latency", "Answers fast, against fp16", {.speed = 0.6, .quality = 0.2, .stability = 0.1, .memory = 0.1}),
      Ours("quality", "Loses as little as it can, against fp16",
           {.speed = 0.2, .quality = 0.6, .stability = 0.1, .memory = 0.1}),
      Ours("memory", "Fits small devices, against fp16",
           {.speed = 0.2, .quality = 0.2, .stability = 0.1, .memory = 0.5}),
  };
  return profiles;
}

const Profile* FindBuiltInProfile(const std::string& name) {
  for (const Profile& profile : BuiltInProfiles()) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

}  // namespace uaqf::ranking
