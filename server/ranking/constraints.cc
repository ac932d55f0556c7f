#include "server/ranking/constraints.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/ranking/binomial.h"
#include "server/ranking/decision_data.h"
#include "server/ranking/measures.h"

namespace uaqf::ranking {
namespace {

constexpr double kConfidence = 0.95;
constexpr double kTokensPerMillion = 1e6;
constexpr double kSecondsPerHour = 3600;

// The percentile that a figure is, and of which times; 0 for a figure that is none.
double PercentileOf(LimitedFigure figure) {
  switch (figure) {
    case LimitedFigure::kLatencyP50:
      return 0.5;
    case LimitedFigure::kLatencyP95:
    case LimitedFigure::kTtftP95:
      return 0.95;
    case LimitedFigure::kLatencyP99:
      return 0.99;
    default:
      return 0;
  }
}

std::string WithUnit(LimitedFigure figure, std::string number) {
  if (*UnitOf(figure) != '\0') absl::StrAppend(&number, " ", UnitOf(figure));
  return number;
}

// Two values that are not the same look apart: of bytes each counts, of others as many digits as that takes.
std::string Shown(LimitedFigure figure, double value, double beside) {
  if (figure == LimitedFigure::kMemory) return WithUnit(figure, absl::StrFormat("%.0f", value));
  const auto digits = [](double number, int count) { return absl::StrFormat("%.*g", count, number); };
  int count = 4;
  while (count < 17 && value != beside && digits(value, count) == digits(beside, count)) ++count;
  return WithUnit(figure, digits(value, count));
}

// Fewest prompts that decide a percentile p with 95 % confidence: p^n < 0.05.
std::int64_t FewestFor(double p) {
  return static_cast<std::int64_t>(std::ceil(std::log(1 - kConfidence) / std::log(p)));
}

// Verdict and reason from value, interval and probability.
void Judge(Check* check) {
  const LimitedFigure figure = check->constraint.figure;
  const double limit = check->constraint.limit, value = *check->value;
  const double high = check->interval ? check->interval->high : value;
  check->margin = limit - value;
  check->needed_limit = std::max(high, value);
  if (high <= limit && value <= limit) {
    check->verdict = Verdict::kMet;
    check->probability_met = check->probability_met.value_or(1);
  } else if (value <= limit) {
    check->verdict = Verdict::kUnsure;
    check->reason =
        absl::StrFormat("%s is %s, within the limit of %s, but may be %s", NameOf(figure), Shown(figure, value, limit),
                        Shown(figure, limit, high), Shown(figure, high, limit));
  } else {
    check->verdict = Verdict::kNotMet;
    check->probability_met = check->probability_met.value_or(0);
    check->reason = absl::StrFormat("%s is %s, above the limit of %s", NameOf(figure), Shown(figure, value, limit),
                                    Shown(figure, limit, value));
  }
}

class Checker {
 public:
  Checker(double price_per_hour, const DecisionData& data, std::size_t variant, std::ptrdiff_t baseline,
          const VariantMeasures& measures)
      : price_per_hour_(price_per_hour), data_(data), variant_(variant), baseline_(baseline), measures_(measures) {}

  Check Run(const Constraint& constraint) const {
    Check check;
    check.constraint = constraint;
    if (constraint.figure == LimitedFigure::kMemory) {
      CheckMemory(&check);
    } else if (constraint.figure == LimitedFigure::kEnergyPerToken) {
      CheckEnergy(&check);
    } else if (PercentileOf(constraint.figure) > 0) {
      CheckPercentile(&check);
    } else {
      CheckMean(&check);
    }
    return check;
  }

 private:
  void CheckMemory(Check* check) const {
    if (!measures_.memory_bytes) {
      check->reason = "memory is not known: no chunk of it was accepted";
      return;
    }
    check->value = static_cast<double>(*measures_.memory_bytes);
    Judge(check);
  }

  void CheckPercentile(Check* check) const {
    const LimitedFigure figure = check->constraint.figure;
    const TimeSample& times = data_.times[variant_];
    const std::vector<double>& sample = figure == LimitedFigure::kTtftP95 ? times.ttft_s : times.latency_s;
    if (sample.empty()) {
      check->reason = absl::StrFormat("%s: no timing records", NameOf(figure));
      return;
    }
    const double p = PercentileOf(figure), limit = check->constraint.limit;
    const PercentileBounds bounds = BoundPercentile(sample, times.prompts, p);
    check->value = bounds.value;
    check->margin = limit - bounds.value;
    if (!bounds.high) {
      check->reason = absl::StrFormat("%s: %d prompts do not decide it, expected at least %d: measure more prompts",
                                      NameOf(figure), times.prompts, FewestFor(p));
      return;
    }
    check->interval = Interval{bounds.low.value_or(sample.front()), *bounds.high};
    check->probability_met = ConfidenceAtMost(sample, times.prompts, p, limit);
    Judge(check);
  }

  void CheckEnergy(Check* check) const {
    const char* name = NameOf(check->constraint.figure);
    if (variant_ >= data_.energy.size() || !data_.energy[variant_].value) {
      check->reason = absl::StrFormat("%s is not measured: the device counts no energy", name);
      return;
    }
    const ResampledEnergy& energy = data_.energy[variant_];
    check->value = energy.value;
    check->interval = energy.Bounds();
    if (!check->interval) {
      check->margin = check->constraint.limit - *check->value;
      check->reason =
          absl::StrFormat("%s: %d blocks of prompts do not decide it, expected at least %d: measure more prompts", name,
                          energy.blocks, kLeastUnits);
      return;
    }
    FillProbability(energy.resampled, check);
    Judge(check);
  }

  static void FillProbability(const std::vector<double>& values, Check* check) {
    const auto met =
        std::count_if(values.begin(), values.end(), [&](double v) { return v <= check->constraint.limit; });
    check->probability_met = static_cast<double>(met) / static_cast<double>(values.size());
  }

  // A figure that resamples have.
  void CheckMean(Check* check) const {
    const auto figure = FigureOf(check->constraint.figure);
    const Resampled& resampled = data_.resampled;
    if (!figure) {
      check->reason = absl::StrFormat("%s is not measured, or on fewer than %d prompts or windows",
                                      NameOf(check->constraint.figure), kLeastUnits);
      return;
    }
    check->value = figure(Resampled::kAllUnits);
    std::vector<double> values(static_cast<std::size_t>(resampled.resamples()));
    for (std::int32_t r = 0; r < resampled.resamples(); ++r) values[static_cast<std::size_t>(r)] = figure(r);
    FillProbability(values, check);
    check->interval = CentralInterval(values);
    Judge(check);
  }

  // Empty where the variant, or fp16, has no such figure.
  std::function<double(std::int32_t)> FigureOf(LimitedFigure figure) const {
    const Resampled& resampled = data_.resampled;
    const auto at = [&resampled, v = variant_](std::int32_t r) -> const ResampledFigures& {
      return resampled.At(r, v);
    };
    const bool timings = resampled.has(variant_).timings;
    // Of an fp16 whose windows are broken nothing is lost.
    const bool losses =
        resampled.has(variant_).nll && baseline_ >= 0 && resampled.has(static_cast<std::size_t>(baseline_)).nll;
    const auto reference = [&resampled, b = baseline_](std::int32_t r) {
      return resampled.At(r, static_cast<std::size_t>(b)).nll;
    };
    switch (figure) {
      case LimitedFigure::kTtftMean:
        if (timings) return [at](std::int32_t r) { return at(r).ttft_s; };
        break;
      case LimitedFigure::kInterTokenMean:
        if (timings && at(Resampled::kAllUnits).inter_token_s > 0) {
          return [at](std::int32_t r) { return at(r).inter_token_s; };
        }
        break;
      case LimitedFigure::kPricePerMillion:
        if (timings && at(Resampled::kAllUnits).seconds_per_token > 0) {
          const double price = price_per_hour_ / kSecondsPerHour * kTokensPerMillion;
          return [at, price](std::int32_t r) { return at(r).seconds_per_token * price; };
        }
        break;
      case LimitedFigure::kNllLoss:
        if (losses) return [at, reference](std::int32_t r) { return at(r).nll - reference(r); };
        break;
      case LimitedFigure::kPerplexityLoss:
        if (losses) return [at, reference](std::int32_t r) { return std::exp(at(r).nll) - std::exp(reference(r)); };
        break;
      default:
        break;
    }
    return nullptr;
  }

  const double price_per_hour_;
  const DecisionData& data_;
  const std::size_t variant_;
  const std::ptrdiff_t baseline_;
  const VariantMeasures& measures_;
};

}  // namespace

const char* NameOf(LimitedFigure figure) {
  switch (figure) {
    case LimitedFigure::kLatencyP50:
      return "latency_p50";
    case LimitedFigure::kLatencyP95:
      return "latency_p95";
    case LimitedFigure::kLatencyP99:
      return "latency_p99";
    case LimitedFigure::kTtftMean:
      return "ttft";
    case LimitedFigure::kTtftP95:
      return "ttft_p95";
    case LimitedFigure::kInterTokenMean:
      return "inter_token";
    case LimitedFigure::kMemory:
      return "memory";
    case LimitedFigure::kNllLoss:
      return "nll_loss";
    case LimitedFigure::kPerplexityLoss:
      return "perplexity_loss";
    case LimitedFigure::kEnergyPerToken:
      return "energy_per_token";
    case LimitedFigure::kPricePerMillion:
      break;
  }
  return "price";
}

const char* UnitOf(LimitedFigure figure) {
  switch (figure) {
    case LimitedFigure::kMemory:
      return "bytes";
    case LimitedFigure::kNllLoss:
      return "nats/token";
    case LimitedFigure::kPerplexityLoss:
      return "";
    case LimitedFigure::kPricePerMillion:
      return "per million tokens";
    case LimitedFigure::kEnergyPerToken:
      return "J/token";
    default:
      break;
  }
  return "s";
}

absl::Status Validate(const std::vector<Constraint>& constraints, double price_per_hour) {
  absl::flat_hash_set<LimitedFigure> limited;
  for (const Constraint& constraint : constraints) {
    const char* name = NameOf(constraint.figure);
    if (!std::isfinite(constraint.limit) || constraint.limit < 0) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the limit of %s is %g, expected a number of 0 or more", name, constraint.limit));
    }
    if (!limited.insert(constraint.figure).second) {
      return absl::InvalidArgumentError(absl::StrFormat("%s is limited twice, expected each figure once", name));
    }
  }
  if (!std::isfinite(price_per_hour) || price_per_hour < 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("price_per_hour is %g, expected a number of 0 or more", price_per_hour));
  }
  if (limited.contains(LimitedFigure::kPricePerMillion) && price_per_hour == 0) {
    return absl::InvalidArgumentError(
        "price is limited, but price_per_hour is 0: say what an hour of the device costs");
  }
  return absl::OkStatus();
}

std::vector<Check> CheckConstraints(const std::vector<Constraint>& constraints, double price_per_hour,
                                    const DecisionData& data, std::size_t variant, std::ptrdiff_t baseline,
                                    const VariantMeasures& measures) {
  const Checker checker(price_per_hour, data, variant, baseline, measures);
  std::vector<Check> checks;
  for (const Constraint& constraint : constraints) checks.push_back(checker.Run(constraint));
  return checks;
}

std::string LimitText(LimitedFigure figure, double limit) {
  if (figure == LimitedFigure::kMemory || !(limit > 0)) return WithUnit(figure, absl::StrFormat("%.0f", limit));
  const double step = std::pow(10, std::floor(std::log10(limit)) - 3);
  return WithUnit(figure, absl::StrFormat("%.4g", std::ceil(limit / step) * step));
}

std::optional<double> RelaxationOf(const std::vector<Check>& checks) {
  double worst = 0;
  for (const Check& check : checks) {
    if (check.verdict == Verdict::kMet) continue;
    if (!check.needed_limit || check.constraint.limit <= 0) return std::nullopt;
    worst = std::max(worst, *check.needed_limit / check.constraint.limit - 1);
  }
  return worst;
}

}  // namespace uaqf::ranking
