#include "server/ranking/evaluation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace uaqf::ranking {
namespace {

std::vector<TermKind> WeighedTerms(const Profile& profile) {
  std::vector<TermKind> kinds;
  for (const TermKind kind : kTerms) {
    if (WeightOf(profile.weights, kind) > 0) kinds.push_back(kind);
  }
  return kinds;
}

// Why the variant cannot be evaluated under the profile; empty when it can.
std::string WhyNotMeasured(const VariantMeasures& m, const std::vector<TermKind>& kinds, const Profile& profile,
                           bool ignore_sanity) {
  if (!m.stopped.empty()) return m.stopped;
  std::vector<std::string> reasons;
  for (const TermKind kind : kinds) {
    if (!RawValue(kind, m, profile))
      reasons.push_back(absl::StrCat(TermName(kind), ": ", WhyMissing(kind, m, profile)));
  }
  const bool weighed = std::find(kinds.begin(), kinds.end(), TermKind::kQuality) != kinds.end();
  if (profile.max_delta_nll && !ignore_sanity && !m.delta_nll && !weighed) {
    reasons.push_back(m.windows == 0 && m.quality_problem.empty()
                          ? "quality records, which the sanity constraint needs: measure on a text set (jobs submit "
                            "--quality-text), or rank without that constraint (--no-sanity)"
                          : absl::StrCat("the sanity constraint: ", WhyMissing(TermKind::kQuality, m, profile)));
  }
  // What is missing is no choice that was made at submission.
  if (!reasons.empty() && !m.failed.empty()) return absl::StrCat("what is weighed, since it failed: ", m.failed);
  return absl::StrJoin(reasons, "; ");
}

// By what share of the sanity limit the loss lies beyond it; 0 where it does not.
double SanityExcess(const VariantMeasures& m, const Profile& profile, bool ignore_sanity) {
  if (!profile.max_delta_nll || ignore_sanity || !m.delta_nll) return 0;
  const double limit = *profile.max_delta_nll, loss = m.delta_nll->value;
  if (loss <= limit) return 0;
  return limit > 0 ? loss / limit - 1 : HUGE_VAL;
}

std::string WhyNotFeasible(const VariantMeasures& m, const RankedVariant& variant, const Profile& profile) {
  std::vector<std::string> reasons;
  if (variant.sanity_excess > 0) {
    const double limit = *profile.max_delta_nll, loss = m.delta_nll->value;
    reasons.push_back(
        absl::StrFormat("loses %.3f nats/token against fp16, %.3f above the limit of %g", loss, loss - limit, limit));
  }
  for (const Check& check : variant.checks) {
    if (!check.reason.empty()) reasons.push_back(check.reason);
  }
  return absl::StrJoin(reasons, "; ");
}

// Raw and normalized values of the evaluated variants, which all have the term.
EvaluatedTerm TermOf(TermKind kind, const std::vector<VariantMeasures>& measures, const Profile& profile,
                     const Evaluation& evaluation) {
  EvaluatedTerm term;
  term.kind = kind;
  for (const std::size_t v : evaluation.evaluated) {
    term.variants.push_back(measures[v].variant);
    term.raw.push_back(*RawValue(kind, measures[v], profile));
    if (measures[v].variant == kBaseline) term.baseline = term.raw.back();
  }
  term.normalized = Normalize(kind, profile.normalization, term.raw, term.baseline);
  if (profile.normalization == Normalization::kBaseline && evaluation.floor &&
      AllWithin(kind, *evaluation.floor, term.raw, term.baseline, term.normalized)) {
    term.within_noise = true;
    std::fill(term.normalized.begin(), term.normalized.end(), 0);
  }
  return term;
}

void FillTerms(const std::vector<VariantMeasures>& measures, const Profile& profile, Evaluation* evaluation) {
  for (const TermKind kind : kTerms) {
    const double weight = WeightOf(profile.weights, kind);
    const auto has = [&](std::size_t v) { return RawValue(kind, measures[v], profile).has_value(); };
    const std::vector<std::size_t>& evaluated = evaluation->evaluated;
    if (!HasTerm(profile.formula, kind) || !std::all_of(evaluated.begin(), evaluated.end(), has)) continue;
    EvaluatedTerm term = TermOf(kind, measures, profile, *evaluation);
    if (weight == 0) {
      evaluation->unweighed.push_back(std::move(term));
      continue;
    }
    for (std::size_t k = 0; k < evaluated.size(); ++k) {
      // + 0.0 turns the -0 of a cost that is nothing into 0.
      evaluation->variants[evaluated[k]].terms.push_back(
          {.name = TermName(kind),
           .weight = weight,
           .raw = term.raw[k],
           .unit = UnitOf(kind, profile),
           .normalized = term.normalized[k],
           .within_noise = term.within_noise,
           .contribution = SignOf(kind) * weight * term.normalized[k] + 0.0});
    }
    evaluation->terms.push_back(std::move(term));
  }
}

absl::Status CheckDecidable(const Evaluation& evaluation) {
  std::vector<std::string> missing;
  bool baseline = false, other = false;
  for (const RankedVariant& variant : evaluation.variants) {
    const bool is_baseline = variant.variant == kBaseline;
    if (variant.status != RankStatus::kNotMeasured) {
      (is_baseline ? baseline : other) = true;
    } else if (is_baseline) {
      return absl::FailedPreconditionError(
          absl::StrFormat("not decidable: fp16, which every variant is compared with, lacks %s", variant.reason));
    } else if (missing.size() < 3) {
      missing.push_back(absl::StrCat(variant.variant, " lacks ", variant.reason));
    }
  }
  if (!baseline) {
    return absl::FailedPreconditionError(
        "not decidable: the job has no fp16, which every variant is compared with: submit one with fp16 among its "
        "variants");
  }
  if (other) return absl::OkStatus();
  if (missing.empty()) {
    return absl::FailedPreconditionError(
        "not decidable: the job has fp16 alone: submit one with at least one variant beside it");
  }
  return absl::FailedPreconditionError(
      absl::StrFormat("not decidable: no variant beside fp16 is measured: %s", absl::StrJoin(missing, ". ")));
}

}  // namespace

namespace {

// How far a variant that is not feasible is beyond its worst limit, as a share of it; far where that cannot be told.
double Violation(const RankedVariant& variant) {
  return std::max(variant.sanity_excess, RelaxationOf(variant.checks).value_or(HUGE_VAL));
}

}  // namespace

bool Better(const RankedVariant& a, const RankedVariant& b) {
  if (a.status != b.status) return a.status < b.status;
  if (a.status == RankStatus::kNotFeasible) return Violation(a) < Violation(b);
  // Those without a utility keep the order given, after those with one.
  if (a.utility.has_value() != b.utility.has_value()) return a.utility.has_value();
  if (!a.utility) return false;
  if (*a.utility != *b.utility) return *a.utility > *b.utility;
  const bool a_baseline = a.variant == kBaseline, b_baseline = b.variant == kBaseline;
  if (a_baseline != b_baseline) return a_baseline;
  return a.variant < b.variant;
}

absl::StatusOr<Evaluation> Evaluate(const std::vector<VariantMeasures>& measures, const Profile& profile,
                                    const RankOptions& options) {
  if (!profile.constraints.empty() && options.data == nullptr) {
    return absl::FailedPreconditionError("not decidable: the profile has constraints, which need the job's records");
  }
  Evaluation evaluation;
  if (options.data != nullptr && options.data->twin) evaluation.floor = FloorOf(*options.data->twin, profile);
  const std::vector<TermKind> kinds = WeighedTerms(profile);
  const auto baseline =
      std::find_if(measures.begin(), measures.end(), [](const VariantMeasures& m) { return m.variant == kBaseline; });
  const std::ptrdiff_t baseline_index = baseline == measures.end() ? -1 : baseline - measures.begin();
  for (std::size_t v = 0; v < measures.size(); ++v) {
    RankedVariant out;
    out.variant = measures[v].variant;
    out.behaviour = measures[v].behaviour;
    out.reason = WhyNotMeasured(measures[v], kinds, profile, options.ignore_sanity);
    if (out.reason.empty()) {
      evaluation.evaluated.push_back(v);
      if (!profile.constraints.empty()) {
        out.checks = CheckConstraints(profile.constraints, profile.price_per_hour, *options.data, v, baseline_index,
                                      measures[v]);
      }
      out.sanity_excess = SanityExcess(measures[v], profile, options.ignore_sanity);
      out.reason = WhyNotFeasible(measures[v], out, profile);
      out.status = out.reason.empty() ? RankStatus::kRanked : RankStatus::kNotFeasible;
    }
    evaluation.variants.push_back(std::move(out));
  }
  if (auto status = CheckDecidable(evaluation); !status.ok()) return status;
  // Also over those that are not feasible: normalization is over all evaluated variants.
  FillTerms(measures, profile, &evaluation);
  for (RankedVariant& variant : evaluation.variants) {
    if (variant.status != RankStatus::kRanked) continue;
    variant.utility = 0;
    for (const Term& term : variant.terms) *variant.utility += term.contribution;
  }
  const auto best = std::min_element(evaluation.variants.begin(), evaluation.variants.end(), Better);
  if (best->status == RankStatus::kRanked) {
    evaluation.winner = static_cast<std::size_t>(best - evaluation.variants.begin());
  }
  return evaluation;
}

}  // namespace uaqf::ranking
