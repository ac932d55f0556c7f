#include "server/ranking/terms.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace uaqf::ranking {
namespace {

std::string WhyUnstable(const VariantMeasures& m) {
  if (!m.timing_problem.empty()) return m.timing_problem;
  if (m.timing_records == 0) return "no timing records to compare";
  return absl::StrFormat(
      "stability needs at least 2 runs of a prompt and there %s %d (R = %d): measure with --repeats 3, or rank with a "
      "profile whose stability weight is 0",
      m.repeats == 1 ? "is" : "are", m.repeats, m.repeats);
}

std::string WhyNoQuality(const VariantMeasures& m) {
  if (!m.quality_problem.empty()) return m.quality_problem;
  if (m.windows == 0) {
    return "no quality records: measure on a text set (jobs submit --quality-text), or rank with a profile whose "
           "quality weight is 0";
  }
  return "no window was scored on both it and fp16";
}

std::string WhyNoBehaviour(const VariantMeasures& m) {
  if (!m.behaviour) {
    return "no agreement records: measure with --agreement (jobs submit --agreement 32), or rank with a profile whose "
           "behaviour weight is 0";
  }
  return absl::StrCat("it lacks a run that fp16 has", m.behaviour->problem.empty() ? "" : ": ", m.behaviour->problem,
                      "; measure with --agreement-batches none, or rank with a profile whose behaviour weight is 0");
}

// What a published table lacks.
std::string WhyNotPublished(TermKind kind, const Profile& profile) {
  switch (kind) {
    case TermKind::kSpeed:
      return "the imported table gives no throughput of it";
    case TermKind::kQuality:
      if (UsesPerplexity(profile)) return "the imported table gives no change of perplexity of it";
      return "an imported table gives changes of perplexity and no log-likelihoods, which this profile weighs or "
             "limits: "
             "rank with a regime of the paper (latency-critical, accuracy-critical, memory-constrained)";
    case TermKind::kStability:
      return "an imported table gives no runs, which stability is told from: rank with a profile whose stability "
             "weight "
             "is 0";
    case TermKind::kBehaviour:
      return "an imported table gives no outputs, which behaviour is told from: rank with a profile whose behaviour "
             "weight is 0";
    case TermKind::kMemory:
      break;
  }
  return "the imported table gives no memory of it";
}

}  // namespace

const char* TermName(TermKind kind) {
  switch (kind) {
    case TermKind::kSpeed:
      return "speed";
    case TermKind::kQuality:
      return "quality";
    case TermKind::kStability:
      return "stability";
    case TermKind::kBehaviour:
      return "behaviour";
    case TermKind::kMemory:
      break;
  }
  return "memory";
}

double WeightOf(const Weights& weights, TermKind kind) {
  switch (kind) {
    case TermKind::kSpeed:
      return weights.speed;
    case TermKind::kQuality:
      return weights.quality;
    case TermKind::kStability:
      return weights.stability;
    case TermKind::kBehaviour:
      return weights.behaviour;
    case TermKind::kMemory:
      break;
  }
  return weights.memory;
}

bool HasTerm(Formula formula, TermKind kind) {
  if (kind == TermKind::kBehaviour) return formula == Formula::kFull;
  if (kind == TermKind::kMemory) return formula != Formula::kUtility;
  return kind != TermKind::kStability || formula != Formula::kRegime;
}

double SignOf(TermKind kind) { return kind == TermKind::kSpeed || kind == TermKind::kMemory ? 1 : -1; }

bool UsesPerplexity(const Profile& profile) {
  return profile.normalization == Normalization::kMinMax && profile.formula != Formula::kFull;
}

const char* UnitOf(TermKind kind, const Profile& profile) {
  switch (kind) {
    case TermKind::kSpeed:
      return "tokens/s";
    case TermKind::kQuality:
      return UsesPerplexity(profile) ? "perplexity" : "nats/token";
    case TermKind::kStability:
    case TermKind::kBehaviour:
      return "1";
    case TermKind::kMemory:
      break;
  }
  return "bytes";
}

std::optional<double> RawValue(TermKind kind, const VariantMeasures& m, const Profile& profile) {
  switch (kind) {
    case TermKind::kSpeed: {
      // log2 of no speed at all is not a number that can be weighed.
      const bool usable =
          m.tokens_per_s && (m.tokens_per_s->value > 0 || profile.normalization == Normalization::kMinMax);
      return usable ? std::optional<double>(m.tokens_per_s->value) : std::nullopt;
    }
    case TermKind::kQuality:
      if (UsesPerplexity(profile)) return m.delta_perplexity;
      return m.delta_nll ? std::optional<double>(m.delta_nll->value) : std::nullopt;
    case TermKind::kStability:
      if (profile.stability_form == StabilityForm::kRelative) return m.relative_stability;
      if (!m.latency_deviation_s || !m.throughput_deviation) return std::nullopt;
      return profile.stability_alpha * *m.latency_deviation_s + profile.stability_beta * *m.throughput_deviation;
    case TermKind::kBehaviour:
      return m.behaviour ? m.behaviour->penalty : std::nullopt;
    case TermKind::kMemory:
      break;
  }
  return m.memory_bytes ? std::optional<double>(static_cast<double>(*m.memory_bytes)) : std::nullopt;
}

std::string WhyMissing(TermKind kind, const VariantMeasures& m, const Profile& profile) {
  if (m.published) return WhyNotPublished(kind, profile);
  switch (kind) {
    case TermKind::kSpeed:
      if (!m.timing_problem.empty()) return m.timing_problem;
      return m.timing_records == 0 ? "no timing records to compare" : "it emitted no token: its throughput is 0";
    case TermKind::kQuality:
      return WhyNoQuality(m);
    case TermKind::kStability:
      return WhyUnstable(m);
    case TermKind::kBehaviour:
      return WhyNoBehaviour(m);
    case TermKind::kMemory:
      break;
  }
  return m.memory_problem.empty() ? "its memory is not known: no chunk of it was accepted" : m.memory_problem;
}

std::vector<double> Normalize(TermKind kind, Normalization normalization, const std::vector<double>& raw,
                              double baseline) {
  std::vector<double> out(raw.size());
  if (raw.empty()) return out;
  if (normalization == Normalization::kMinMax) {
    const auto [low, high] = std::minmax_element(raw.begin(), raw.end());
    const double spread = *high - *low;
    for (std::size_t k = 0; k < raw.size(); ++k) {
      // Memory is turned round: the term is what is saved.
      const double above = kind == TermKind::kMemory ? *high - raw[k] : raw[k] - *low;
      out[k] = spread > 0 ? above / spread : 0;
    }
    return out;
  }
  for (std::size_t k = 0; k < raw.size(); ++k) {
    switch (kind) {
      case TermKind::kSpeed:
        out[k] = std::log2(raw[k] / baseline);
        break;
      case TermKind::kQuality:
        out[k] = raw[k] / kNllUnit;
        break;
      case TermKind::kStability:
        out[k] = (raw[k] - baseline) / kStabilityUnit;
        break;
      case TermKind::kBehaviour:
        out[k] = (raw[k] - baseline) / kBehaviourUnit;
        break;
      case TermKind::kMemory:
        out[k] = 1 - raw[k] / baseline;
        break;
    }
  }
  return out;
}

std::optional<std::size_t> MakesMostOfRange(const std::vector<double>& values) {
  if (values.size() < 3) return std::nullopt;
  std::vector<std::size_t> order(values.size());
  for (std::size_t k = 0; k < order.size(); ++k) order[k] = k;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  const auto at = [&](std::size_t position) { return values[order[position]]; };
  const std::size_t last = values.size() - 1;
  const double range = at(last) - at(0);
  if (!(range > 0)) return std::nullopt;
  if (at(last) - at(last - 1) > 0.9 * range) return order[last];
  if (at(1) - at(0) > 0.9 * range) return order[0];
  return std::nullopt;
}

absl::Status CheckMeasures(const std::vector<VariantMeasures>& measures) {
  absl::flat_hash_set<std::string> names;
  for (const VariantMeasures& m : measures) {
    if (!names.insert(m.variant).second) {
      return absl::InvalidArgumentError(
          absl::StrFormat("variant \"%s\" is there twice, expected each name once", m.variant));
    }
    const double kAny = -HUGE_VAL;
    const auto value = [](const std::optional<Estimate>& e) {
      return e ? std::optional<double>(e->value) : std::nullopt;
    };
    struct Figure {
      const char* name;
      std::optional<double> value;
      double least;
    };
    const Figure figures[] = {
        {"tokens_per_s", value(m.tokens_per_s), 0},
        {"latency_s", value(m.latency_s), 0},
        {"relative_stability", m.relative_stability, 0},
        {"latency_deviation_s", m.latency_deviation_s, 0},
        {"throughput_deviation", m.throughput_deviation, 0},
        {"delta_perplexity", m.delta_perplexity, kAny},
        {"delta_nll", value(m.delta_nll), kAny},
        {"behaviour.penalty", m.behaviour ? m.behaviour->penalty : std::nullopt, 0},
        {"memory_bytes", m.memory_bytes ? std::optional<double>(static_cast<double>(*m.memory_bytes)) : std::nullopt,
         1},
    };
    for (const Figure& figure : figures) {
      if (!figure.value || (std::isfinite(*figure.value) && *figure.value >= figure.least)) continue;
      return absl::InvalidArgumentError(absl::StrFormat(
          "%s of %s is %g, expected a finite number%s; leave out what was not measured", figure.name, m.variant,
          *figure.value, figure.least == kAny ? "" : absl::StrFormat(" of %g or more", figure.least)));
    }
  }
  return absl::OkStatus();
}

}  // namespace uaqf::ranking
