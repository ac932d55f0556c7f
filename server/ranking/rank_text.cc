#include "server/ranking/rank_text.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace uaqf::ranking {
namespace {

// "; T over the traffic 70 % 8 x 512/64, 30 % 1 x 128/64"; nothing without traffic.
std::string TrafficClause(const Profile& profile) {
  if (profile.traffic.empty()) return "";
  return absl::StrCat("; T over the traffic ",
                      absl::StrJoin(profile.traffic, ", ", [](std::string* out, const TrafficShare& part) {
                        absl::StrAppendFormat(out, "%.3g %% %s", 100 * part.share, ShapeText(part.shape));
                      }));
}

std::string Symbol(TermKind kind, const Profile& profile) {
  const bool ours = profile.formula == Formula::kFull;
  switch (kind) {
    case TermKind::kSpeed:
      return "S~";
    case TermKind::kQuality:
      return ours ? "Q~" : "QL~";
    case TermKind::kStability:
      return ours ? "P~" : "SP~";
    case TermKind::kBehaviour:
      return "B~";
    case TermKind::kMemory:
      break;
  }
  return "M~";
}

std::string StabilityText(const Profile& profile) {
  if (profile.stability_form == StabilityForm::kRelative) return "S_L / L";
  return absl::StrFormat("%g S_L + %g S_T", profile.stability_alpha, profile.stability_beta);
}

constexpr char kBehaviourText[] = "unlike tokens + loops + not finite";

std::string MinMaxText(const EvaluatedTerm& term, const Profile& profile) {
  const auto [low, high] = std::minmax_element(term.raw.begin(), term.raw.end());
  std::string what;
  switch (term.kind) {
    case TermKind::kSpeed:
      what = "T / T_fp16";
      break;
    case TermKind::kQuality:
      what = UsesPerplexity(profile) ? "PPL - PPL_fp16" : "NLL - NLL_fp16";
      break;
    case TermKind::kStability:
      what = StabilityText(profile);
      break;
    case TermKind::kBehaviour:
      what = kBehaviourText;
      break;
    case TermKind::kMemory:
      what = "1 - m / m_fp16";
      break;
  }
  const std::string from = term.kind == TermKind::kSpeed || term.kind == TermKind::kMemory
                               ? absl::StrFormat("%s from %.6g to %.6g %s", term.kind == TermKind::kSpeed ? "T" : "m",
                                                 *low, *high, UnitOf(term.kind, profile))
                               : absl::StrFormat("from %.6g to %.6g", *low, *high);
  return absl::StrFormat("%s = %s, min-max over %d variants (%s)", Symbol(term.kind, profile), what, term.raw.size(),
                         from);
}

std::string BaselineText(const EvaluatedTerm& term, const Profile& profile) {
  const std::string symbol = Symbol(term.kind, profile);
  if (term.within_noise) return absl::StrFormat("%s = 0, since all lie within the noise floor", symbol);
  switch (term.kind) {
    case TermKind::kSpeed:
      return absl::StrFormat("%s = log2(T / %.6g tokens/s)", symbol, term.baseline);
    case TermKind::kQuality:
      return absl::StrFormat("%s = (NLL - NLL_fp16) / %g", symbol, kNllUnit);
    case TermKind::kStability:
      return absl::StrFormat("%s = (%s - %.6g) / %g", symbol, StabilityText(profile), term.baseline, kStabilityUnit);
    case TermKind::kBehaviour:
      return absl::StrFormat("%s = (%s - %.6g) / %g", symbol, kBehaviourText, term.baseline, kBehaviourUnit);
    case TermKind::kMemory:
      break;
  }
  return absl::StrFormat("%s = 1 - m / %.0f bytes", symbol, term.baseline);
}

}  // namespace

std::string FormulaText(const Profile& profile, const std::vector<EvaluatedTerm>& terms) {
  std::string text = "U =";
  bool first = true;
  for (const EvaluatedTerm& term : terms) {
    const bool plus = SignOf(term.kind) > 0;
    const std::string sign = first ? (plus ? "" : "-") : (plus ? "+ " : "- ");
    absl::StrAppend(&text, " ", sign, absl::StrFormat("%.4g ", WeightOf(profile.weights, term.kind)),
                    Symbol(term.kind, profile));
    first = false;
  }
  for (const EvaluatedTerm& term : terms) {
    absl::StrAppend(
        &text, "; ",
        profile.normalization == Normalization::kMinMax ? MinMaxText(term, profile) : BaselineText(term, profile));
  }
  text += TrafficClause(profile);
  if (profile.max_delta_nll) {
    absl::StrAppend(&text, absl::StrFormat("; feasible when NLL - NLL_fp16 <= %g nats/token", *profile.max_delta_nll));
  }
  return text;
}

std::vector<std::string> CollapseWarnings(const Profile& profile, const std::vector<EvaluatedTerm>& terms) {
  std::vector<std::string> warnings;
  if (profile.normalization != Normalization::kMinMax) return warnings;
  for (const EvaluatedTerm& term : terms) {
    const auto alone = MakesMostOfRange(term.raw);
    if (!alone) continue;
    warnings.push_back(absl::StrFormat(
        "%s (%.6g %s) alone makes more than 0.9 of the range of the %s term: the other variants look nearly equal in "
        "it; leave it out of the job, or rank with a profile against fp16",
        term.variants[*alone], term.raw[*alone], UnitOf(term.kind, profile), TermName(term.kind)));
  }
  return warnings;
}

std::vector<std::string> JobWarnings(const std::vector<VariantMeasures>& measures, const JobFacts& job) {
  std::vector<std::string> warnings;
  if (job.point_values) {
    return {
        "the figures were imported as single values: nothing is known of their uncertainty, so there is neither a "
        "P(best) nor an interval"};
  }
  if (!job.ended) warnings.push_back("the job has not ended: figures are of the records accepted so far");
  const bool one_run = std::any_of(measures.begin(), measures.end(),
                                   [](const VariantMeasures& m) { return m.timing_records > 0 && m.repeats < 2; });
  if (one_run)
    warnings.push_back("one run of each prompt (R = 1): neither stability nor the interval of a speed can be told");
  if (job.output_length == OutputLength::kNatural) {
    warnings.push_back("output lengths are natural: a variant that stops early wins latency by saying less");
  }
  if (!job.baseline_release.empty()) {
    warnings.push_back(
        absl::StrFormat("the loss is relative to %s: no unquantized release was measured", job.baseline_release));
  }
  for (const VariantMeasures& m : measures) {
    if (m.tainted_chunks > 0) {
      warnings.push_back(absl::StrFormat("%s: %d chunk%s stayed tainted and %s kept", m.variant, m.tainted_chunks,
                                         m.tainted_chunks == 1 ? "" : "s", m.tainted_chunks == 1 ? "was" : "were"));
    }
    if (m.behaviour && m.behaviour->not_finite > 0) {
      warnings.push_back(
          absl::StrFormat("%s: outputs of %.0f %% of the prompts have tokens chosen from logits that are "
                          "not finite",
                          m.variant, 100 * m.behaviour->not_finite));
    }
    if (m.quarantined > 0) {
      warnings.push_back(absl::StrFormat("%s: %d record%s could not be measured%s%s", m.variant, m.quarantined,
                                         m.quarantined == 1 ? "" : "s", m.failure.empty() ? "" : ": ", m.failure));
    }
  }
  return warnings;
}

std::vector<std::string> ConstraintWarnings(const std::vector<VariantMeasures>& measures, const Profile& profile,
                                            bool ignore_sanity) {
  std::vector<std::string> warnings;
  if (!profile.max_delta_nll) return warnings;
  const double limit = *profile.max_delta_nll;
  for (const VariantMeasures& m : measures) {
    if (!m.delta_nll) continue;
    const double value = m.delta_nll->value, half = m.delta_nll->half_width.value_or(0);
    if (value > limit && ignore_sanity) {
      warnings.push_back(absl::StrFormat("%s is ranked although it loses %.3f nats/token, above the limit of %g",
                                         m.variant, value, limit));
    } else if (value <= limit && value + half > limit) {
      warnings.push_back(
          absl::StrFormat("%s loses %.3f +- %.3f nats/token: whether it is within the limit of %g is not sure",
                          m.variant, value, half, limit));
    }
  }
  return warnings;
}

std::string ConditionsText(const JobFacts& job) {
  if (job.point_values) {
    return absl::StrFormat("imported from %s, whose row %s is fp16; how it was measured is not known", job.table,
                           job.baseline_label);
  }
  std::string text;
  switch (job.output_length) {
    case OutputLength::kMatched:
      text = absl::StrFormat("output lengths matched to fp16's natural ones, at most %d tokens", job.max_output_tokens);
      break;
    case OutputLength::kFixed:
      text = absl::StrFormat("output lengths fixed at %d tokens", job.max_output_tokens);
      break;
    case OutputLength::kNatural:
      text = absl::StrFormat("output lengths natural, at most %d tokens", job.max_output_tokens);
      break;
  }
  absl::StrAppend(&text, job.input_tokens > 0 ? absl::StrFormat("; inputs of %d tokens", job.input_tokens)
                                              : std::string("; inputs as they are"));
  absl::StrAppend(&text, "; batch 1, greedy, R = ", job.repeats);
  if (!job.measures_quality) return text + "; quality not measured";
  return text + absl::StrFormat("; quality on disjoint windows of %d tokens", job.context_tokens);
}

std::vector<std::string> Notes(const std::vector<VariantMeasures>& measures, const JobFacts& job) {
  std::vector<std::string> notes = JobWarnings(measures, job);
  for (const VariantMeasures& m : measures) {
    for (const std::string& problem : {m.quality_problem, m.timing_problem, m.length_problem, m.memory_problem}) {
      if (!problem.empty()) notes.push_back(absl::StrCat(m.variant, ": ", problem));
    }
    if (m.behaviour && !m.behaviour->problem.empty()) {
      notes.push_back(absl::StrCat(m.variant, ": its agreement is over repeats alone, ", m.behaviour->problem));
    }
  }
  return notes;
}

}  // namespace uaqf::ranking
