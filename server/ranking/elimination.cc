#include "server/ranking/elimination.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "server/ranking/confidence_sequence.h"
#include "server/ranking/paired_units.h"
#include "server/ranking/statistics.h"
#include "server/ranking/tables.h"
#include "server/ranking/terms.h"

namespace uaqf::ranking {
namespace {

// What lies further from the first units than so many of their standard deviations is cut off there.
constexpr double kReach = 10;

constexpr Interval kAnywhere = {-HUGE_VAL, HUGE_VAL};

// Where the mean of all units lies, as long as they come in a random order.
Interval MeanOf(const std::vector<double>& units, double error) {
  if (units.size() < kScaleUnits) return kAnywhere;
  Moments first;
  for (std::size_t i = 0; i < kScaleUnits; ++i) first.Add(units[i]);
  const double reach = kReach * *first.Deviation();
  if (reach == 0 && std::any_of(units.begin(), units.end(), [&](double unit) { return unit != units[0]; })) {
    return kAnywhere;
  }
  ConfidenceSequence mean(error);
  for (const double unit : units) mean.Add(std::clamp(unit, first.mean() - reach, first.mean() + reach));
  return mean.interval();
}

// Rows of active variants whose unit all active variants have as often as fp16.
std::vector<bool> Complete(const std::vector<std::int32_t>& variant, const std::vector<std::int32_t>& unit,
                           const std::vector<bool>& active, std::int32_t baseline) {
  absl::flat_hash_map<std::int32_t, std::vector<std::int32_t>> counts;
  std::int32_t runs = 0;
  for (std::size_t k = 0; k < variant.size(); ++k) {
    std::vector<std::int32_t>& count = counts.try_emplace(unit[k], active.size()).first->second;
    ++count[variant[k]];
    if (variant[k] == baseline) runs = std::max(runs, count[variant[k]]);
  }
  std::vector<bool> keep(variant.size());
  for (std::size_t k = 0; k < variant.size(); ++k) {
    const std::vector<std::int32_t>& count = counts.at(unit[k]);
    keep[k] = active[variant[k]];
    for (std::size_t v = 0; v < active.size(); ++v) keep[k] = keep[k] && (!active[v] || count[v] == runs);
  }
  return keep;
}

Measurements KeepComplete(Measurements m, const std::vector<bool>& active) {
  const std::int32_t baseline = BaselineIndex(m);
  KeepRows(Complete(m.timings.variant, m.timings.item, active, baseline), &m.timings);
  KeepRows(Complete(m.windows.variant, m.windows.window, active, baseline), &m.windows);
  return m;
}

class Contest {
 public:
  Contest(const Measurements& so_far, const std::vector<bool>& active, const Profile& profile, double error,
          const std::optional<NoiseFloor>& floor)
      : active_(active),
        profile_(profile),
        m_(KeepComplete(so_far, active)),
        units_(PairUnits(m_)),
        noise_(floor ? NoiseOf(*floor) : 0) {
    baseline_ = static_cast<std::size_t>(BaselineIndex(m_));
    const std::size_t limits = profile.constraints.size() + (profile.max_delta_nll ? 1 : 0);
    const std::size_t rivals = std::max<std::size_t>(active.size(), 2) - 1;
    // The best is not taken out unless one of its rivals' sequences fails; those of limits are on either side.
    error_of_pair_ = (limits > 0 ? error / 2 : error) / static_cast<double>(rivals);
    if (limits > 0) error_of_limit_ = error / 2 / static_cast<double>(2 * limits * active.size());
    for (std::size_t v = 0; v < active.size(); ++v) worth_.push_back(WorthOf(v));
  }

  std::vector<Eliminated> Run() {
    std::vector<Eliminated> out(active_.size());
    for (std::size_t v = 0; v < active_.size(); ++v) {
      if (active_[v]) JudgeLimits(v, &out[v]);
    }
    for (std::size_t v = 0; v < active_.size(); ++v) {
      if (!active_[v] || out[v].kind != Elimination::kNone) continue;
      for (std::size_t rival = 0; rival < active_.size(); ++rival) {
        if (rival == v || !out[rival].keeps_limits || out[rival].kind == Elimination::kInfeasible) continue;
        const double ahead = SurelyAhead(rival, v);
        if (!(ahead > noise_)) continue;
        out[v].kind = Elimination::kBeaten;
        out[v].reason =
            absl::StrFormat("%s is surely better, by %.3f or more of the utility, over %d prompts and %d windows",
                            m_.variants[rival].name, ahead, units_.runs.size(), units_.windows.size());
        break;
      }
    }
    return out;
  }

 private:
  // What each prompt and each window adds to the utility, and what is the same for all.
  struct Worth {
    bool known = false;
    std::vector<double> prompts;
    std::vector<double> windows;
    double fixed = 0;
  };

  // The most of a utility that noise alone puts between two variants: at worst it adds up over the terms.
  double NoiseOf(const NoiseFloor& floor) const {
    double noise = 0;
    for (const TermKind kind : {TermKind::kSpeed, TermKind::kStability}) {
      if (!Weighs(kind)) continue;
      noise += WeightOf(profile_.weights, kind) * TermFloor(kind, floor, Normalization::kBaseline, {1}, 1, 1);
    }
    return noise;
  }

  bool Weighs(TermKind kind) const { return HasTerm(profile_.formula, kind) && WeightOf(profile_.weights, kind) > 0; }

  Worth WorthOf(std::size_t v) const {
    Worth worth;
    const VariantUnits& own = units_.variants[v];
    const Weights& weights = profile_.weights;
    if (Weighs(TermKind::kSpeed) || Weighs(TermKind::kStability)) {
      // Of one run there is no deviation.
      const bool once = std::any_of(units_.runs.begin(), units_.runs.end(), [](double runs) { return runs < 2; });
      if (Weighs(TermKind::kStability) && once) return worth;
      for (std::size_t i = 0; i < own.tokens_per_s.size(); ++i) {
        double value = 0;
        if (Weighs(TermKind::kSpeed)) value += weights.speed * std::log2(own.tokens_per_s[i] / units_.runs[i]);
        if (Weighs(TermKind::kStability)) value -= weights.stability / kStabilityUnit * DeviationOf(own, i);
        if (!std::isfinite(value)) return worth;
        worth.prompts.push_back(value);
      }
      if (worth.prompts.empty()) return worth;
    }
    if (Weighs(TermKind::kQuality)) {
      for (const double nll : own.nll) worth.windows.push_back(-weights.quality / kNllUnit * nll);
      if (worth.windows.empty()) return worth;
    }
    if (Weighs(TermKind::kMemory)) {
      const std::optional<Memory>& memory = m_.variants[v].memory;
      const std::optional<Memory>& reference = m_.variants[baseline_].memory;
      if (!memory || !reference) return worth;
      worth.fixed =
          weights.memory * (1 - static_cast<double>(memory->Ranked()) / static_cast<double>(reference->Ranked()));
    }
    worth.known = true;
    return worth;
  }

  // Of prompt i's runs, as the profile forms the penalty. A standard deviation of few runs is too small on the average:
  // by (4 R - 4) / (4 R - 3) of R runs.
  double DeviationOf(const VariantUnits& own, std::size_t i) const {
    const double runs = units_.runs[i];
    const double mend = (4 * runs - 3) / (4 * runs - 4);
    const double seconds = std::sqrt(own.latency_variance[i]) * mend;
    if (profile_.stability_form == StabilityForm::kRelative) return seconds / (own.latency_s[i] / runs);
    return profile_.stability_alpha * seconds + profile_.stability_beta * std::sqrt(own.throughput_variance[i]) * mend;
  }

  // The least by which the utility of `a` surely exceeds that of `b`.
  double SurelyAhead(std::size_t a, std::size_t b) const {
    const Worth& left = worth_[a];
    const Worth& right = worth_[b];
    if (!left.known || !right.known) return -HUGE_VAL;
    const int sources = (left.prompts.empty() ? 0 : 1) + (left.windows.empty() ? 0 : 1);
    double ahead = left.fixed - right.fixed;
    for (const auto part : {&Worth::prompts, &Worth::windows}) {
      std::vector<double> difference;
      for (std::size_t i = 0; i < (left.*part).size(); ++i) difference.push_back((left.*part)[i] - (right.*part)[i]);
      if (!difference.empty()) ahead += MeanOf(difference, error_of_pair_ / sources).low;
    }
    return ahead;
  }

  // Whether the variant surely keeps all limits, or surely breaks one.
  void JudgeLimits(std::size_t v, Eliminated* out) const {
    out->keeps_limits = true;
    const auto judge = [&](const std::string& name, const Interval& beyond) {
      out->keeps_limits = out->keeps_limits && beyond.high <= 0;
      if (!(beyond.low > 0)) return;
      out->kind = Elimination::kInfeasible;
      out->reason = absl::StrFormat("it surely breaks the limit of %s", name);
    };
    if (profile_.max_delta_nll) judge("the loss of quality", LossBeyond(v, *profile_.max_delta_nll));
    for (const Constraint& constraint : profile_.constraints) judge(NameOf(constraint.figure), Beyond(v, constraint));
  }

  Interval LossBeyond(std::size_t v, double limit) const {
    if (v == baseline_) return {-limit, -limit};
    const std::vector<double>& own = units_.variants[v].nll;
    const std::vector<double>& reference = units_.variants[baseline_].nll;
    if (own.empty() || reference.empty()) return kAnywhere;
    std::vector<double> loss;
    for (std::size_t i = 0; i < own.size(); ++i) loss.push_back(own[i] - reference[i] - limit);
    return MeanOf(loss, error_of_limit_);
  }

  // By how much the figure exceeds its limit, in units of its own: only the sign counts.
  Interval Beyond(std::size_t v, const Constraint& c) const {
    switch (c.figure) {
      case LimitedFigure::kLatencyP50:
        return ShareBeyond(v, m_.timings.latency_ns, c.limit, 0.5);
      case LimitedFigure::kLatencyP95:
        return ShareBeyond(v, m_.timings.latency_ns, c.limit, 0.05);
      case LimitedFigure::kLatencyP99:
        return ShareBeyond(v, m_.timings.latency_ns, c.limit, 0.01);
      case LimitedFigure::kTtftP95:
        return ShareBeyond(v, m_.timings.prefill_ns, c.limit, 0.05);
      case LimitedFigure::kTtftMean:
        return SumBeyond(v, &VariantUnits::ttft_s, nullptr, c.limit);
      case LimitedFigure::kInterTokenMean:
        return SumBeyond(v, &VariantUnits::decode_s, &VariantUnits::gaps, c.limit);
      case LimitedFigure::kPricePerMillion:
        return SumBeyond(v, &VariantUnits::latency_s, &VariantUnits::output_tokens,
                         c.limit * 3600 / (1e6 * profile_.price_per_hour));
      case LimitedFigure::kNllLoss:
        return LossBeyond(v, c.limit);
      case LimitedFigure::kMemory: {
        if (!m_.variants[v].memory) return kAnywhere;
        const double beyond = static_cast<double>(m_.variants[v].memory->Ranked()) - c.limit;
        return {beyond, beyond};
      }
      // Neither goes by the unit.
      case LimitedFigure::kPerplexityLoss:
      case LimitedFigure::kEnergyPerToken:
        break;
    }
    return kAnywhere;
  }

  // A quantile exceeds the limit when more records than `allowed` of all do: of each prompt, the share of its runs.
  Interval ShareBeyond(std::size_t v, const std::vector<std::int64_t>& times_ns, double limit_s, double allowed) const {
    absl::flat_hash_map<std::int32_t, std::size_t> place;
    std::vector<std::pair<std::int32_t, Moments>> prompts;
    for (std::size_t k = 0; k < times_ns.size(); ++k) {
      if (m_.timings.variant[k] != static_cast<std::int32_t>(v)) continue;
      const auto [at, added] = place.try_emplace(m_.timings.item[k], prompts.size());
      if (added) prompts.emplace_back(m_.timings.item[k], Moments());
      prompts[at->second].second.Add(static_cast<double>(times_ns[k]) / 1e9 > limit_s ? 1 : 0);
    }
    if (prompts.empty()) return kAnywhere;
    std::sort(prompts.begin(), prompts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    ShareSequence share(error_of_limit_);
    for (const auto& [item, runs] : prompts) share.Add(runs.mean());
    const Interval beyond = share.interval();
    return {beyond.low - allowed, beyond.high - allowed};
  }

  // A ratio of sums exceeds the limit when the mean of (numerator - limit * denominator) is positive.
  Interval SumBeyond(std::size_t v, std::vector<double> VariantUnits::*numerator,
                     std::vector<double> VariantUnits::*denominator, double limit) const {
    const VariantUnits& own = units_.variants[v];
    if ((own.*numerator).empty()) return kAnywhere;
    std::vector<double> beyond;
    for (std::size_t i = 0; i < (own.*numerator).size(); ++i) {
      const double by = denominator == nullptr ? units_.runs[i] : (own.*denominator)[i];
      beyond.push_back((own.*numerator)[i] - limit * by);
    }
    return MeanOf(beyond, error_of_limit_);
  }

  const std::vector<bool>& active_;
  const Profile& profile_;
  const Measurements m_;
  const PairedUnits units_;
  const double noise_;
  std::size_t baseline_ = 0;
  double error_of_pair_ = 0;
  double error_of_limit_ = 0;
  std::vector<Worth> worth_;
};

}  // namespace

absl::Status CanEliminate(const Profile& profile) {
  if (!profile.traffic.empty()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s has a traffic mix, whose speed is told by a grid of batches that is measured last: nothing "
                        "can be told before; "
                        "expected a profile without traffic",
                        profile.name.empty() ? "the profile" : profile.name));
  }
  if (profile.weights.behaviour > 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s weighs behaviour, of which nothing is told before all is measured; expected a profile "
                        "whose behaviour weight "
                        "is 0",
                        profile.name.empty() ? "the profile" : profile.name));
  }
  if (profile.normalization == Normalization::kBaseline) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("%s normalizes by minmax, under which the worth of a variant depends on the others: nothing can "
                      "be told before all are measured; expected a profile that normalizes by fp16",
                      profile.name.empty() ? "the profile" : profile.name));
}

absl::Status CanDecide(const Profile& profile, std::int32_t repeats, bool measures_quality) {
  if (absl::Status status = CanEliminate(profile); !status.ok()) return status;
  const char* name = profile.name.empty() ? "the profile" : profile.name.c_str();
  if (profile.weights.stability > 0 && HasTerm(profile.formula, TermKind::kStability) && repeats < 2) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s weighs stability, which one run of each prompt does not tell: nothing would ever be "
                        "decided; expected 2 repeats or more, or a profile whose stability weight is 0",
                        name));
  }
  if ((profile.weights.quality > 0 || profile.max_delta_nll) && !measures_quality) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s weighs or limits the loss of quality, and the job scores no text: nothing would ever be "
                        "decided; expected a text set (--quality-text), or a profile without either",
                        name));
  }
  return absl::OkStatus();
}

std::vector<Eliminated> Eliminate(const Measurements& so_far, const std::vector<bool>& active, const Profile& profile,
                                  double error, const std::optional<NoiseFloor>& floor) {
  if (BaselineIndex(so_far) < 0 || !CanEliminate(profile).ok()) return std::vector<Eliminated>(active.size());
  return Contest(so_far, active, profile, error, floor).Run();
}

}  // namespace uaqf::ranking
