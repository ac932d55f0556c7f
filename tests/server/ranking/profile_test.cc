#include "server/ranking/profile.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/server/ranking/fixtures.h"

namespace uaqf::ranking {
namespace {

using ::testing::HasSubstr;

Profile Full(double speed, double quality, double stability, double memory) {
  Profile profile;
  profile.weights = {speed, quality, stability, memory};
  return profile;
}

std::string Refusal(const Profile& profile) {
  const absl::Status status = Validate(profile);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(Profile, ShipsThePapersAndOurs) {
  ASSERT_EQ(BuiltInProfiles().size(), 8u);
  for (const Profile& profile : BuiltInProfiles()) {
    EXPECT_TRUE(Validate(profile).ok()) << profile.name << ": " << Validate(profile);
    EXPECT_TRUE(ValidateProfileName(profile.name).ok()) << profile.name;
    EXPECT_TRUE(profile.built_in);
    EXPECT_FALSE(profile.description.empty());
  }
  // The paper's are literal: min-max and no constraint.
  for (const char* name : {"paper-utility", "latency-critical", "accuracy-critical", "memory-constrained"}) {
    EXPECT_EQ(BuiltIn(name).normalization, Normalization::kMinMax);
    EXPECT_FALSE(BuiltIn(name).max_delta_nll.has_value());
  }
  for (const char* name : {"balanced", "latency", "quality", "memory"}) {
    EXPECT_EQ(BuiltIn(name).normalization, Normalization::kBaseline);
    EXPECT_EQ(BuiltIn(name).max_delta_nll, 0.3);
  }
  EXPECT_EQ(BuiltIn("paper-utility").formula, Formula::kUtility);
  EXPECT_EQ(BuiltIn("accuracy-critical").weights.quality, 0.6);
  EXPECT_EQ(BuiltIn("memory").weights.memory, 0.5);
  EXPECT_EQ(FindBuiltInProfile("profiles/none"), nullptr);
}

TEST(Profile, RefusesWeightsThatDoNotSumToOne) {
  EXPECT_THAT(Refusal(Full(0.5, 0.4, 0, 0)), HasSubstr("sum to 0.9 (speed 0.5"));
  EXPECT_THAT(Refusal(Full(0, 0, 0, 0)), HasSubstr("every weight is 0, expected weights that sum to 1"));
  EXPECT_THAT(Refusal(Full(0.5, 0.5 + 2e-9, 0, 0)), HasSubstr("expected 1"));
  EXPECT_TRUE(Validate(Full(0.5, 0.5 + 5e-10, 0, 0)).ok());
  EXPECT_TRUE(Validate(Full(1.0 / 3, 1.0 / 3, 1.0 / 3, 0)).ok());
}

TEST(Profile, RefusesWeightsThatAreNotNumbersFromZeroToOne) {
  EXPECT_THAT(Refusal(Full(1.5, -0.5, 0, 0)), HasSubstr("weights.quality is -0.5"));
  EXPECT_THAT(Refusal(Full(std::nan(""), 1, 0, 0)), HasSubstr("weights.speed is nan"));
  EXPECT_THAT(Refusal(Full(0, 0, 0, std::numeric_limits<double>::infinity())), HasSubstr("weights.memory is inf"));
}

TEST(Profile, RefusesAWeightThatItsFormulaLacks) {
  Profile utility = Full(0.5, 0.2, 0.2, 0.1);
  utility.formula = Formula::kUtility;
  EXPECT_THAT(Refusal(utility), HasSubstr("UTILITY has no memory term"));
  Profile regime = Full(0.5, 0.2, 0.2, 0.1);
  regime.formula = Formula::kRegime;
  EXPECT_THAT(Refusal(regime), HasSubstr("REGIME has no stability term"));
}

TEST(Profile, RefusesAlphaAndBetaThatDoNotFitItsForm) {
  Profile profile = Full(0.5, 0, 0.5, 0);
  profile.stability_alpha = 1;
  EXPECT_THAT(Refusal(profile), HasSubstr("RELATIVE uses neither"));
  profile.stability_form = StabilityForm::kCombined;
  EXPECT_TRUE(Validate(profile).ok());
  profile.stability_alpha = 0;
  EXPECT_THAT(Refusal(profile), HasSubstr("at least one above 0"));
  profile.stability_beta = std::nan("");
  EXPECT_THAT(Refusal(profile), HasSubstr("expected numbers from 0 to 1e+09"));
}

TEST(Profile, RefusesAConstraintBelowZero) {
  Profile profile = Full(0.5, 0.5, 0, 0);
  profile.max_delta_nll = -0.1;
  EXPECT_THAT(Refusal(profile), HasSubstr("max_delta_nll is -0.1"));
  profile.max_delta_nll = std::nan("");
  EXPECT_THAT(Refusal(profile), HasSubstr("max_delta_nll is nan"));
}

TEST(Profile, HasANameOfPlainCharacters) {
  EXPECT_TRUE(ValidateProfileName("profiles/a-1").ok());
  EXPECT_TRUE(ValidateProfileName("profiles/" + std::string(64, 'a')).ok());
  for (const std::string name : {"balanced", "profiles/", "profiles/A", "profiles/a/b", "profiles/a b", "jobs/a", ""}) {
    EXPECT_EQ(ValidateProfileName(name).code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(ValidateProfileName("profiles/" + std::string(65, 'a')).ok());
}

TEST(Profile, WeighsBehaviourInTheFullFormulaAlone) {
  Profile profile = Full(0.4, 0.3, 0.1, 0.1);
  EXPECT_THAT(Refusal(profile), HasSubstr("behaviour 0), expected 1"));
  profile.weights.behaviour = 0.1;
  EXPECT_TRUE(Validate(profile).ok());
  profile.weights.behaviour = -0.1;
  EXPECT_THAT(Refusal(profile), HasSubstr("weights.behaviour is -0.1"));
  profile.weights = {.speed = 0.5, .quality = 0.4, .behaviour = 0.1};
  for (const Formula formula : {Formula::kUtility, Formula::kRegime}) {
    profile.formula = formula;
    EXPECT_THAT(Refusal(profile), HasSubstr("only formula FULL has a behaviour term"));
  }
}

}  // namespace
}  // namespace uaqf::ranking
