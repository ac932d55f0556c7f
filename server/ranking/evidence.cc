#include "server/ranking/evidence.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "server/ranking/statistics.h"

namespace uaqf::ranking {
namespace {

// From 0 to 1.
double PlaceOf(std::size_t k, std::size_t attempts) {
  return attempts < 2 ? 0.5 : static_cast<double>(k) / static_cast<double>(attempts - 1);
}

struct Sums {
  Moments clock, place;
  double low_mhz = 0, high_mhz = 0;
  double wall_s = 0, power_capped_s = 0, thermal_s = 0;
  std::set<std::string> slowdowns;
};

void Add(const TimedAttempt& attempt, double place, Sums* sums, VariantEvidence* out) {
  ++out->chunks;
  sums->place.Add(place);
  if (attempt.clock_mhz > 0) {
    sums->low_mhz = sums->clock.count() == 0 ? attempt.clock_mhz : std::min(sums->low_mhz, attempt.clock_mhz);
    sums->high_mhz = std::max(sums->high_mhz, attempt.clock_mhz);
    sums->clock.Add(attempt.clock_mhz);
  }
  sums->wall_s += attempt.wall_s;
  sums->power_capped_s += attempt.power_capped_s;
  sums->thermal_s += attempt.thermal_s;
  sums->slowdowns.insert(attempt.slowdowns.begin(), attempt.slowdowns.end());
  if (attempt.temperature_c > 0) {
    out->highest_temperature_c = std::max(out->highest_temperature_c.value_or(0), attempt.temperature_c);
  }
  out->highest_foreign_load = std::max(out->highest_foreign_load, attempt.foreign_load);
  out->involuntary_switches += attempt.involuntary_switches;
}

void Finish(const Sums& sums, VariantEvidence* out) {
  if (sums.clock.count() > 0) out->clock = VariantEvidence::Clock{sums.clock.mean(), sums.low_mhz, sums.high_mhz};
  if (sums.wall_s > 0) {
    out->power_capped = sums.power_capped_s / sums.wall_s;
    out->thermal = sums.thermal_s / sums.wall_s;
  }
  out->slowdowns.assign(sums.slowdowns.begin(), sums.slowdowns.end());
  if (sums.place.count() > 0) out->mean_place = sums.place.mean();
}

// Slope of the logarithm of times on places, both taken from the means of their cell.
std::optional<Estimate> DriftOf(const std::vector<TimedAttempt>& attempts) {
  struct Cell {
    Moments place, log_time;
  };
  using Key = std::tuple<std::string, std::int32_t, std::int32_t, std::int32_t>;
  const auto key = [](const TimedAttempt& a) { return Key(a.device, a.variant, a.first, a.count); };
  std::map<Key, Cell> cells;
  std::int64_t used = 0;
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    if (!(attempts[k].latency_s > 0)) continue;
    Cell& cell = cells[key(attempts[k])];
    cell.place.Add(PlaceOf(k, attempts.size()));
    cell.log_time.Add(std::log(attempts[k].latency_s));
    ++used;
  }
  double xx = 0, xy = 0, yy = 0;
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    if (!(attempts[k].latency_s > 0)) continue;
    const Cell& cell = cells.at(key(attempts[k]));
    const double x = PlaceOf(k, attempts.size()) - cell.place.mean();
    const double y = std::log(attempts[k].latency_s) - cell.log_time.mean();
    xx += x * x;
    xy += x * y;
    yy += y * y;
  }
  const std::int64_t degrees = used - static_cast<std::int64_t>(cells.size()) - 1;
  if (degrees < 1 || !(xx > 0)) return std::nullopt;
  const double slope = xy / xx;
  const double residual = std::max(0.0, yy - slope * xy) / static_cast<double>(degrees);
  // Of the exponential, to first order.
  return Estimate{std::expm1(slope), StudentT975(degrees) * std::sqrt(residual / xx) * std::exp(slope)};
}

}  // namespace

EvidenceSummary SummarizeEvidence(const std::vector<TimedAttempt>& attempts, std::size_t variants) {
  EvidenceSummary summary;
  summary.variants.resize(variants);
  std::vector<Sums> sums(variants);
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    const auto v = static_cast<std::size_t>(attempts[k].variant);
    if (v < variants) Add(attempts[k], PlaceOf(k, attempts.size()), &sums[v], &summary.variants[v]);
  }
  for (std::size_t v = 0; v < variants; ++v) {
    Finish(sums[v], &summary.variants[v]);
    if (summary.variants[v].chunks == 0) continue;
    summary.imbalance = std::max(summary.imbalance, std::abs(summary.variants[v].mean_place - 0.5));
  }
  summary.interleaved = summary.imbalance <= kMostImbalance;
  summary.drift = DriftOf(attempts);
  return summary;
}

}  // namespace uaqf::ranking
