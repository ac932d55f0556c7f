// What a deployment cannot do without: limits on figures, and whether a variant surely keeps them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

struct DecisionData;
struct VariantMeasures;

// Figures that can be limited; all are better when they are smaller.
enum class LimitedFigure {
  kLatencyP50,       // s, end to end, over all records
  kLatencyP95,       // s
  kLatencyP99,       // s
  kTtftMean,         // s
  kTtftP95,          // s
  kInterTokenMean,   // s
  kMemory,           // bytes, weights + KV cache + workspace
  kNllLoss,          // nats per token against fp16
  kPerplexityLoss,   // perplexity less fp16's
  kPricePerMillion,  // of output tokens one by one on the device, in the currency of the profile's price per hour
  kEnergyPerToken,   // J, by the device's counter
};

const char* NameOf(LimitedFigure figure);  // "latency_p95"
const char* UnitOf(LimitedFigure figure);  // "s"

// A limit with its unit for people who shall set it: rounded up, so that what keeps the limit keeps what is shown.
std::string LimitText(LimitedFigure figure, double limit);

struct Constraint {
  LimitedFigure figure = LimitedFigure::kLatencyP95;
  double limit = 0;
};

enum class Verdict {
  kMet,          // surely: its interval lies within the limit
  kUnsure,       // its value does, its interval does not
  kNotMet,       // its value lies beyond the limit
  kUndecidable,  // not measured, or by too few records
};

// A constraint and a variant.
struct Check {
  Constraint constraint;
  Verdict verdict = Verdict::kUndecidable;
  std::optional<double> value;
  // What the verdict is by: 95 % of the figure over resamples, or between order statistics that each hold with 95 %.
  // Absent for what has no uncertainty (memory).
  std::optional<Interval> interval;
  std::optional<double> margin;           // limit - value
  std::optional<double> probability_met;  // 0 to 1
  // The least limit under which the verdict is kMet; absent where no limit is.
  std::optional<double> needed_limit;
  std::string reason;  // why it is not met; empty when it is
};

// InvalidArgument: a limit that is negative or not finite, a figure limited twice, a price limited without a price.
[[nodiscard]] absl::Status Validate(const std::vector<Constraint>& constraints, double price_per_hour);

// Checks of the variant `measures`, which is number `variant` of `data`; `baseline` is fp16's number, -1 without.
[[nodiscard]] std::vector<Check> CheckConstraints(const std::vector<Constraint>& constraints, double price_per_hour,
                                                  const DecisionData& data, std::size_t variant,
                                                  std::ptrdiff_t baseline, const VariantMeasures& measures);

// By what share of its limit the worst check must be relaxed to be met, 0 when all are; absent where no relaxation
// helps. A limit of 0 that is not met is relaxed by no share: absent.
[[nodiscard]] std::optional<double> RelaxationOf(const std::vector<Check>& checks);

}  // namespace uaqf::ranking
