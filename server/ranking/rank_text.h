// The words of an answer: formula, warnings, conditions. Internal to server/ranking.
#pragma once

#include <string>
#include <vector>

#include "server/ranking/rank.h"
#include "server/ranking/terms.h"

namespace uaqf::ranking {

// The raw values of one term over the evaluated variants, fp16's among them.
struct EvaluatedTerm {
  TermKind kind = TermKind::kSpeed;
  std::vector<std::string> variants;
  std::vector<double> raw;
  double baseline = 0;
  std::vector<double> normalized;
  bool within_noise = false;  // all differences to fp16 lie within the noise floor: `normalized` is 0 throughout
};

// The utility with its weights, then each term with the figures it is normalized by.
std::string FormulaText(const Profile& profile, const std::vector<EvaluatedTerm>& terms);
// Variants that alone make most of a term's range under min-max.
std::vector<std::string> CollapseWarnings(const Profile& profile, const std::vector<EvaluatedTerm>& terms);
// What the job and its records make less than they seem.
std::vector<std::string> JobWarnings(const std::vector<VariantMeasures>& measures, const JobFacts& job);
// Variants that pass the constraint by less than its uncertainty, or that are ranked in spite of it.
std::vector<std::string> ConstraintWarnings(const std::vector<VariantMeasures>& measures, const Profile& profile,
                                            bool ignore_sanity);
// How output lengths were chosen and what quality was measured on.
std::string ConditionsText(const JobFacts& job);

}  // namespace uaqf::ranking
