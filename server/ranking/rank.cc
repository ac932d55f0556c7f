#include "server/ranking/rank.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/ranking/certainty.h"
#include "server/ranking/evaluation.h"
#include "server/ranking/pareto.h"
#include "server/ranking/rank_text.h"
#include "server/ranking/terms.h"
#include "server/ranking/traffic_speed.h"

namespace uaqf::ranking {
namespace {

// Sorts and numbers them.
void Order(std::vector<RankedVariant>* variants) {
  std::stable_sort(variants->begin(), variants->end(), Better);
  std::int32_t rank = 0;
  for (RankedVariant& variant : *variants) {
    if (variant.status == RankStatus::kRanked) variant.rank = ++rank;
  }
}

std::vector<std::string> TieWarnings(const std::vector<RankedVariant>& variants) {
  std::vector<std::string> warnings;
  for (std::size_t k = 1; k < variants.size(); ++k) {
    const RankedVariant &above = variants[k - 1], &below = variants[k];
    if (below.status != RankStatus::kRanked || *above.utility != *below.utility) continue;
    warnings.push_back(absl::StrFormat("%s and %s have the same utility: ordered fp16 first, then by name",
                                       above.variant, below.variant));
  }
  return warnings;
}

// The winner by the other normalization when it is another one; empty otherwise.
std::string OtherWinner(const std::vector<VariantMeasures>& measures, Profile profile, const RankOptions& options,
                        const std::string& winner) {
  const bool minmax = profile.normalization == Normalization::kMinMax;
  profile.normalization = minmax ? Normalization::kBaseline : Normalization::kMinMax;
  const auto turned = Evaluate(measures, profile, options);
  if (!turned.ok() || !turned->winner) return "";
  const std::string& other = turned->variants[*turned->winner].variant;
  return other == winner ? "" : other;
}

// Of the variants in the order of an answer, none of them ranked: the first that a relaxation makes feasible.
std::optional<Relaxation> LeastRelaxation(const std::vector<RankedVariant>& variants) {
  for (const RankedVariant& variant : variants) {
    // A limit that is allowed more does not help one that fails the sanity constraint.
    if (variant.status != RankStatus::kNotFeasible || variant.sanity_excess > 0) continue;
    if (!RelaxationOf(variant.checks)) continue;
    Relaxation relaxation{variant.variant, {}};
    for (const Check& check : variant.checks) {
      if (check.verdict != Verdict::kMet) relaxation.limits.push_back({check.constraint.figure, *check.needed_limit});
    }
    return relaxation;
  }
  return std::nullopt;
}

std::string NothingFeasible(const Ranking& ranking) {
  std::string text = "no variant is feasible";
  if (!ranking.relaxation) return text;
  absl::StrAppend(&text, ": the least that helps ", ranking.relaxation->variant, " is to allow ");
  absl::StrAppend(&text, absl::StrJoin(ranking.relaxation->limits, ", ", [](std::string* out, const Constraint& limit) {
    absl::StrAppend(out, NameOf(limit.figure), " ", LimitText(limit.figure, limit.limit));
  }));
  return text;
}

// By every term of the formula that was measured, whatever its weight.
void FillFront(Evaluation* evaluation) {
  std::vector<std::vector<double>> columns;
  for (const auto* terms : {&evaluation->terms, &evaluation->unweighed}) {
    for (const EvaluatedTerm& term : *terms) {
      std::vector<double>& column = columns.emplace_back();
      for (const double value : term.normalized) column.push_back(SignOf(term.kind) * value);
    }
  }
  const std::vector<std::int32_t> dominated_by = DominatedBy(columns, evaluation->evaluated.size());
  for (std::size_t k = 0; k < dominated_by.size(); ++k) {
    if (dominated_by[k] < 0) continue;
    evaluation->variants[evaluation->evaluated[k]].dominated_by =
        evaluation->variants[evaluation->evaluated[static_cast<std::size_t>(dominated_by[k])]].variant;
  }
}

std::vector<std::string> TermsWithinNoise(const Evaluation& evaluation) {
  std::vector<std::string> names;
  for (const EvaluatedTerm& term : evaluation.terms) {
    if (term.within_noise) names.emplace_back(TermName(term.kind));
  }
  return names;
}

void FillEnergy(const std::vector<ResampledEnergy>& energy, std::vector<RankedVariant>* variants) {
  for (std::size_t v = 0; v < energy.size(); ++v) {
    (*variants)[v].energy_per_token = energy[v].value;
    (*variants)[v].energy_interval = energy[v].Bounds();
  }
}

void FillCapacity(const std::vector<VariantMeasures>& measures, const Profile& profile,
                  std::vector<RankedVariant>* variants) {
  for (std::size_t v = 0; v < measures.size(); ++v) {
    (*variants)[v].capacity = CapacityOf(measures[v].memory, profile.context_tokens, profile.device_memory_bytes);
  }
}

std::vector<WeightSweep> Sweep(const Evaluation& evaluation, const Profile& profile) {
  // Equal utilities go to the first: in the order of the answer.
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < evaluation.evaluated.size(); ++k) {
    if (evaluation.variants[evaluation.evaluated[k]].status == RankStatus::kRanked) order.push_back(k);
  }
  const auto variant = [&](std::size_t k) -> const RankedVariant& {
    return evaluation.variants[evaluation.evaluated[k]];
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return Better(variant(a), variant(b)); });
  std::vector<std::string> names;
  for (const std::size_t k : order) names.push_back(variant(k).variant);
  std::vector<SweptTerm> swept;
  for (const auto* terms : {&evaluation.terms, &evaluation.unweighed}) {
    for (const EvaluatedTerm& term : *terms) {
      SweptTerm& out = swept.emplace_back(SweptTerm{TermName(term.kind), WeightOf(profile.weights, term.kind), {}});
      for (const std::size_t k : order) out.values.push_back(SignOf(term.kind) * term.normalized[k]);
    }
  }
  return SweepWeights(names, swept);
}

// By their own records, each among those that were measured as far. Of one that breaks a limit there are figures and
// checks, but no utility.
void FillStopped(const Profile& profile, const JobFacts& job, const RankOptions& options,
                 std::vector<RankedVariant>* variants) {
  if (options.stopped == nullptr) return;
  for (const StoppedVariant& stopped : *options.stopped) {
    RankedVariant& out = (*variants)[stopped.variant];
    RankOptions own = options;
    own.data = &stopped.data;
    own.stopped = nullptr;
    const auto ranking = Rank(stopped.measures, profile, job, own);
    if (!ranking.ok()) continue;
    const auto same = [&](const RankedVariant& variant) { return variant.variant == out.variant; };
    const RankedVariant& as_far = *std::find_if(ranking->variants.begin(), ranking->variants.end(), same);
    if (as_far.status == RankStatus::kNotMeasured) continue;
    const std::string why = std::move(out.reason);
    out = as_far;
    out.status = RankStatus::kStopped;
    out.reason = why;
    out.rank = 0;
    out.dominated_by.clear();
    // Surely not the best: by the profile that stopped it, and by no other.
    if (profile.name != job.decided_by) out.standing.reset();
    if (!out.standing) continue;
    out.standing->probability_best = 0;
    out.standing->tied = false;
  }
}

// Who was stopped by another profile than this one, by which it may be the best.
std::vector<std::string> StoppedWarnings(const std::vector<RankedVariant>& variants, const Profile& profile,
                                         const JobFacts& job) {
  std::vector<std::string> stopped;
  if (profile.name == job.decided_by) return {};
  for (const RankedVariant& variant : variants) {
    if (variant.status == RankStatus::kStopped) stopped.push_back(variant.variant);
  }
  if (stopped.empty()) return {};
  return {
      absl::StrFormat("%s stopped early by %s, and may be better by this profile: measure without an early end, or "
                      "decide by this profile",
                      absl::StrJoin(stopped, ", ") + (stopped.size() == 1 ? " was" : " were"), job.decided_by)};
}

absl::StatusOr<Ranking> RankFigures(const std::vector<VariantMeasures>& measures, const Profile& profile,
                                    const JobFacts& job, const RankOptions& options) {
  auto evaluation = Evaluate(measures, profile, options);
  if (!evaluation.ok()) return evaluation.status();

  Ranking ranking;
  ranking.job = job.job;
  ranking.profile = profile;
  ranking.formula = FormulaText(profile, evaluation->terms);
  if (evaluation->winner) ranking.winner = evaluation->variants[*evaluation->winner].variant;
  ranking.conditions = ConditionsText(job);
  ranking.point_values = job.point_values;
  ranking.sweeps = Sweep(*evaluation, profile);
  ranking.floor = evaluation->floor;
  for (const std::size_t v : evaluation->evaluated)
    ranking.records_used += measures[v].timing_records + measures[v].windows;

  const auto warn = [&ranking](std::vector<std::string> warnings) {
    for (std::string& warning : warnings) ranking.warnings.push_back(std::move(warning));
  };
  warn(options.notes);
  FillFront(&*evaluation);
  if (options.data != nullptr) {
    FillEnergy(options.data->energy, &evaluation->variants);
    ranking.traffic = options.data->map;
  }
  FillCapacity(measures, profile, &evaluation->variants);
  if (options.data != nullptr && !job.point_values) {
    const std::string why = AddCertainty(options.data->resampled, measures, profile, &*evaluation);
    if (why.empty()) {
      ranking.resamples = options.data->resampled.resamples();
      ranking.seed = options.data->resampled.seed();
    } else {
      warn({why});
    }
  }
  if (ranking.floor) warn(FloorWarnings(*ranking.floor, TermsWithinNoise(*evaluation)));
  ranking.variants = std::move(evaluation->variants);
  FillStopped(profile, job, options, &ranking.variants);
  Order(&ranking.variants);
  if (ranking.winner.empty()) ranking.relaxation = LeastRelaxation(ranking.variants);
  warn(CollapseWarnings(profile, evaluation->terms));
  warn(ConstraintWarnings(measures, profile, options.ignore_sanity));
  warn(TieWarnings(ranking.variants));
  warn(StoppedWarnings(ranking.variants, profile, job));
  warn(JobWarnings(measures, job));
  if (ranking.winner.empty()) warn({NothingFeasible(ranking)});
  ranking.other_normalization_winner = OtherWinner(measures, profile, options, ranking.winner);
  if (!ranking.other_normalization_winner.empty()) {
    const bool minmax = profile.normalization == Normalization::kMinMax;
    warn({absl::StrFormat("normalized %s the winner would be %s, not %s: the choice hangs on the normalization",
                          minmax ? "against fp16" : "by min-max", ranking.other_normalization_winner, ranking.winner)});
  }
  return ranking;
}

}  // namespace

absl::StatusOr<Ranking> Rank(const std::vector<VariantMeasures>& measures, const Profile& profile, const JobFacts& job,
                             const RankOptions& options) {
  if (auto status = Validate(profile); !status.ok()) return status;
  if (auto status = CheckMeasures(measures); !status.ok()) return status;
  if (profile.traffic.empty()) return RankFigures(measures, profile, job, options);
  const DecisionData none;
  const MixedFigures mixed = WithTraffic(measures, options.data == nullptr ? none : *options.data, profile.traffic);
  RankOptions own = options;
  if (options.data != nullptr) own.data = &mixed.data;
  return RankFigures(mixed.measures, profile, job, own);
}

}  // namespace uaqf::ranking
