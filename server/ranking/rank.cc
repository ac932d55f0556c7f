#include "server/ranking/rank.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/ranking/rank_text.h"
#include "server/ranking/terms.h"

namespace uaqf::ranking {
namespace {

struct Evaluation {
  std::vector<RankedVariant> variants;  // best first
  std::vector<EvaluatedTerm> terms;     // those with a weight above 0
  std::vector<std::size_t> evaluated;   // indices into the measures
};

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
  std::vector<std::string> reasons;
  for (const TermKind kind : kinds) {
    if (!RawValue(kind, m, profile))
      reasons.push_back(absl::StrCat(TermName(kind), ": ", WhyMissing(kind, m, profile)));
  }
  const bool weighed = std::find(kinds.begin(), kinds.end(), TermKind::kQuality) != kinds.end();
  if (profile.max_delta_nll && !ignore_sanity && !m.delta_nll && !weighed) {
    reasons.push_back(absl::StrCat("the sanity constraint: ", WhyMissing(TermKind::kQuality, m, profile)));
  }
  return absl::StrJoin(reasons, "; ");
}

std::string WhyNotFeasible(const VariantMeasures& m, const Profile& profile, bool ignore_sanity) {
  if (!profile.max_delta_nll || ignore_sanity || !m.delta_nll) return "";
  const double limit = *profile.max_delta_nll, loss = m.delta_nll->value;
  if (loss <= limit) return "";
  return absl::StrFormat("loses %.3f nats/token against fp16, %.3f above the limit of %g", loss, loss - limit, limit);
}

bool Better(const RankedVariant& a, const RankedVariant& b) {
  const bool a_ranked = a.status == RankStatus::kRanked, b_ranked = b.status == RankStatus::kRanked;
  if (a_ranked != b_ranked) return a_ranked;
  if (!a_ranked) return false;  // keeps the order given
  if (*a.utility != *b.utility) return *a.utility > *b.utility;
  const bool a_baseline = a.variant == kBaseline, b_baseline = b.variant == kBaseline;
  if (a_baseline != b_baseline) return a_baseline;
  return a.variant < b.variant;
}

// Raw values, normalized values and contributions of the evaluated variants.
void FillTerms(const std::vector<VariantMeasures>& measures, const std::vector<TermKind>& kinds, const Profile& profile,
               Evaluation* evaluation) {
  for (const TermKind kind : kinds) {
    EvaluatedTerm term;
    term.kind = kind;
    for (const std::size_t v : evaluation->evaluated) {
      term.variants.push_back(measures[v].variant);
      term.raw.push_back(*RawValue(kind, measures[v], profile));
      if (measures[v].variant == kBaseline) term.baseline = term.raw.back();
    }
    const std::vector<double> normalized = Normalize(kind, profile.normalization, term.raw, term.baseline);
    const double weight = WeightOf(profile.weights, kind);
    for (std::size_t k = 0; k < normalized.size(); ++k) {
      RankedVariant& out = evaluation->variants[evaluation->evaluated[k]];
      // + 0.0 turns the -0 of a cost that is nothing into 0.
      out.terms.push_back({.name = TermName(kind),
                           .weight = weight,
                           .raw = term.raw[k],
                           .unit = UnitOf(kind, profile),
                           .normalized = normalized[k],
                           .contribution = SignOf(kind) * weight * normalized[k] + 0.0});
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

absl::StatusOr<Evaluation> Evaluate(const std::vector<VariantMeasures>& measures, const Profile& profile,
                                    bool ignore_sanity) {
  Evaluation evaluation;
  const std::vector<TermKind> kinds = WeighedTerms(profile);
  for (std::size_t v = 0; v < measures.size(); ++v) {
    RankedVariant out;
    out.variant = measures[v].variant;
    out.reason = WhyNotMeasured(measures[v], kinds, profile, ignore_sanity);
    if (out.reason.empty()) {
      evaluation.evaluated.push_back(v);
      out.reason = WhyNotFeasible(measures[v], profile, ignore_sanity);
      out.status = out.reason.empty() ? RankStatus::kRanked : RankStatus::kNotFeasible;
    }
    evaluation.variants.push_back(std::move(out));
  }
  if (auto status = CheckDecidable(evaluation); !status.ok()) return status;
  // Also over those that are not feasible: normalization is over all evaluated variants.
  FillTerms(measures, kinds, profile, &evaluation);
  for (RankedVariant& variant : evaluation.variants) {
    if (variant.status != RankStatus::kRanked) continue;
    variant.utility = 0;
    for (const Term& term : variant.terms) *variant.utility += term.contribution;
  }
  std::stable_sort(evaluation.variants.begin(), evaluation.variants.end(), Better);
  std::int32_t rank = 0;
  for (RankedVariant& variant : evaluation.variants) {
    if (variant.status == RankStatus::kRanked) variant.rank = ++rank;
  }
  return evaluation;
}

// fp16 loses nothing against itself, so a decidable ranking always has a first.
std::string Winner(const Evaluation& evaluation) { return evaluation.variants.front().variant; }

std::vector<std::string> TieWarnings(const Evaluation& evaluation) {
  std::vector<std::string> warnings;
  for (std::size_t k = 1; k < evaluation.variants.size(); ++k) {
    const RankedVariant &above = evaluation.variants[k - 1], &below = evaluation.variants[k];
    if (below.status != RankStatus::kRanked || *above.utility != *below.utility) continue;
    warnings.push_back(absl::StrFormat("%s and %s have the same utility: ordered fp16 first, then by name",
                                       above.variant, below.variant));
  }
  return warnings;
}

}  // namespace

absl::StatusOr<Ranking> Rank(const std::vector<VariantMeasures>& measures, const Profile& profile, const JobFacts& job,
                             const RankOptions& options) {
  if (auto status = Validate(profile); !status.ok()) return status;
  if (auto status = CheckMeasures(measures); !status.ok()) return status;
  auto evaluation = Evaluate(measures, profile, options.ignore_sanity);
  if (!evaluation.ok()) return evaluation.status();

  Ranking ranking;
  ranking.job = job.job;
  ranking.profile = profile;
  ranking.formula = FormulaText(profile, evaluation->terms);
  ranking.winner = Winner(*evaluation);
  ranking.conditions = ConditionsText(job);
  for (const std::size_t v : evaluation->evaluated)
    ranking.records_used += measures[v].timing_records + measures[v].windows;

  const auto warn = [&ranking](std::vector<std::string> warnings) {
    for (std::string& warning : warnings) ranking.warnings.push_back(std::move(warning));
  };
  warn(options.notes);
  warn(CollapseWarnings(profile, evaluation->terms));
  warn(ConstraintWarnings(measures, profile, options.ignore_sanity));
  warn(TieWarnings(*evaluation));
  warn(JobWarnings(measures, job));

  Profile other = profile;
  const bool minmax = profile.normalization == Normalization::kMinMax;
  other.normalization = minmax ? Normalization::kBaseline : Normalization::kMinMax;
  const auto turned = Evaluate(measures, other, options.ignore_sanity);
  if (turned.ok() && Winner(*turned) != ranking.winner) {
    ranking.other_normalization_winner = Winner(*turned);
    ranking.warnings.push_back(
        absl::StrFormat("normalized %s the winner would be %s, not %s: the choice hangs on the normalization",
                        minmax ? "against fp16" : "by min-max", ranking.other_normalization_winner, ranking.winner));
  }
  ranking.variants = std::move(evaluation->variants);
  return ranking;
}

}  // namespace uaqf::ranking
