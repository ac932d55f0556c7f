#include "server/ranking/certainty.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/ranking/comparison.h"
#include "server/ranking/stability.h"

namespace uaqf::ranking {
namespace {

// RawValue of terms.h over the figures of one resample.
double RawValue(TermKind kind, const ResampledFigures& own, const ResampledFigures& baseline,
                const VariantMeasures& measures, const Profile& profile) {
  switch (kind) {
    case TermKind::kSpeed:
      return own.tokens_per_s;
    case TermKind::kQuality:
      return UsesPerplexity(profile) ? std::exp(own.nll) - std::exp(baseline.nll) : own.nll - baseline.nll;
    case TermKind::kStability:
      return StabilityOf(own, profile);
    case TermKind::kBehaviour:
      return own.behaviour;
    case TermKind::kMemory:
      break;
  }
  return static_cast<double>(*measures.memory_bytes);
}

std::string TooFew(const char* what, std::size_t have) {
  return absl::StrFormat("how sure this is cannot be told: %d %s, expected at least %d to draw from", have, what,
                         kLeastUnits);
}

// Why the resamples lack what the terms are made of.
std::string WhyNot(const Resampled& resampled, const Evaluation& evaluation) {
  for (const EvaluatedTerm& term : evaluation.terms) {
    for (const std::size_t v : evaluation.evaluated) {
      const Resampled::Has& has = resampled.has(v);
      if (term.kind == TermKind::kQuality && !has.nll) return TooFew("windows", resampled.windows());
      if (term.kind == TermKind::kBehaviour && !has.behaviour) {
        return TooFew("prompts generated again", resampled.outputs());
      }
      if (term.kind == TermKind::kSpeed && !has.speed) {
        return TooFew(resampled.speed_units().c_str(), resampled.speed_unit_count());
      }
      if (term.kind == TermKind::kStability && !has.timings) return TooFew("prompts", resampled.prompts());
      if (term.kind == TermKind::kStability && !has.deviations) {
        return absl::StrFormat(
            "how sure this is cannot be told: fewer than %d prompts have two runs, which stability is drawn from",
            kLeastUnits);
      }
    }
  }
  return "";
}

class Certainty {
 public:
  Certainty(const Resampled& resampled, const std::vector<VariantMeasures>& measures, const Profile& profile,
            Evaluation* evaluation)
      : resampled_(resampled), measures_(measures), profile_(profile), evaluation_(*evaluation) {
    for (const std::size_t v : evaluation_.evaluated) {
      if (measures[v].variant == kBaseline) baseline_ = v;
    }
  }

  void Fill() {
    Draw();
    if (evaluation_.winner) FillStandings();
    FillTermIntervals();
    FillComparisons();
  }

 private:
  std::size_t evaluated() const { return evaluation_.evaluated.size(); }
  std::size_t resamples() const { return static_cast<std::size_t>(resampled_.resamples()); }

  // Normalized terms of every evaluated variant in every resample.
  void Draw() {
    normalized_.resize(evaluation_.terms.size() * evaluated() * resamples());
    std::vector<double> raw(evaluated());
    for (std::size_t t = 0; t < evaluation_.terms.size(); ++t) {
      const TermKind kind = evaluation_.terms[t].kind;
      for (std::size_t r = 0; r < resamples(); ++r) {
        const auto& reference = resampled_.At(static_cast<std::int32_t>(r), baseline_);
        double baseline = 0;
        for (std::size_t k = 0; k < evaluated(); ++k) {
          const std::size_t v = evaluation_.evaluated[k];
          raw[k] = RawValue(kind, resampled_.At(static_cast<std::int32_t>(r), v), reference, measures_[v], profile_);
          if (v == baseline_) baseline = raw[k];
        }
        std::vector<double> normalized = Normalize(kind, profile_.normalization, raw, baseline);
        // As the terms themselves: what counts is fixed before resampling.
        if (evaluation_.terms[t].within_noise) std::fill(normalized.begin(), normalized.end(), 0);
        for (std::size_t k = 0; k < evaluated(); ++k) At(t, k, r) = normalized[k];
      }
    }
  }

  double& At(std::size_t term, std::size_t k, std::size_t resample) {
    return normalized_[(term * evaluated() + k) * resamples() + resample];
  }

  void FillStandings() {
    Utilities utilities;
    std::vector<std::size_t> ranked;  // places in `evaluated`
    std::size_t winner = 0;
    for (std::size_t k = 0; k < evaluated(); ++k) {
      const RankedVariant& variant = evaluation_.variants[evaluation_.evaluated[k]];
      if (variant.status != RankStatus::kRanked) continue;
      if (evaluation_.evaluated[k] == *evaluation_.winner) winner = ranked.size();
      ranked.push_back(k);
      utilities.observed.push_back(*variant.utility);
    }
    utilities.variants = ranked.size();
    utilities.resampled.resize(resamples() * ranked.size());
    for (std::size_t t = 0; t < evaluation_.terms.size(); ++t) {
      const TermKind kind = evaluation_.terms[t].kind;
      const double weight = SignOf(kind) * WeightOf(profile_.weights, kind);
      for (std::size_t i = 0; i < ranked.size(); ++i) {
        for (std::size_t r = 0; r < resamples(); ++r) {
          utilities.resampled[r * ranked.size() + i] += weight * At(t, ranked[i], r);
        }
      }
    }
    std::vector<Standing> standings = Stand(utilities, winner, NoiseOf(ranked, winner));
    for (std::size_t i = 0; i < ranked.size(); ++i) {
      evaluation_.variants[evaluation_.evaluated[ranked[i]]].standing = standings[i];
    }
  }

  // What noise may put between each of the ranked and the winner: at worst it adds up over the terms. Empty without a
  // floor.
  std::vector<double> NoiseOf(const std::vector<std::size_t>& ranked, std::size_t winner) const {
    if (!evaluation_.floor) return {};
    std::vector<double> noise(ranked.size());
    for (const EvaluatedTerm& term : evaluation_.terms) {
      if (term.within_noise) continue;
      for (std::size_t i = 0; i < ranked.size(); ++i) {
        if (i == winner) continue;
        noise[i] +=
            WeightOf(profile_.weights, term.kind) * TermFloor(term.kind, *evaluation_.floor, profile_.normalization,
                                                              term.raw, term.raw[ranked[i]], term.raw[ranked[winner]]);
      }
    }
    return noise;
  }

  void FillTermIntervals() {
    for (std::size_t t = 0; t < evaluation_.terms.size(); ++t) {
      for (std::size_t k = 0; k < evaluated(); ++k) {
        evaluation_.variants[evaluation_.evaluated[k]].terms[t].interval =
            IntervalOf(resampled_.resamples(), [&](std::int32_t r) { return At(t, k, static_cast<std::size_t>(r)); });
      }
    }
  }

  void FillComparisons() {
    for (const std::size_t v : evaluation_.evaluated) {
      if (v == baseline_) continue;
      RankedVariant& out = evaluation_.variants[v];
      if (resampled_.has(v).nll && resampled_.has(baseline_).nll) {
        out.nll_loss = CompareFigure(resampled_, v, baseline_, [](const ResampledFigures& f) { return f.nll; });
      }
      if (!resampled_.has(v).speed || !Emits(v) || !Emits(baseline_)) continue;
      out.speedup = CompareSpeed(resampled_, v, baseline_);
      const std::optional<NoiseFloor>& floor = evaluation_.floor;
      out.speedup->within_noise =
          floor && floor->problem.empty() && std::abs(std::log(out.speedup->value)) <= floor->speed.Floor();
    }
  }

  // Of no token there is no ratio.
  bool Emits(std::size_t v) const { return resampled_.At(Resampled::kAllUnits, v).tokens_per_s > 0; }

  const Resampled& resampled_;
  const std::vector<VariantMeasures>& measures_;
  const Profile& profile_;
  Evaluation& evaluation_;
  std::size_t baseline_ = 0;
  std::vector<double> normalized_;  // [(term * evaluated + place) * resamples + resample]
};

}  // namespace

std::string AddCertainty(const Resampled& resampled, const std::vector<VariantMeasures>& measures,
                         const Profile& profile, Evaluation* evaluation) {
  std::string why = WhyNot(resampled, *evaluation);
  if (why.empty()) Certainty(resampled, measures, profile, evaluation).Fill();
  return why;
}

}  // namespace uaqf::ranking
