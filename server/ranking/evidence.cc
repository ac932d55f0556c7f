#include "server/ranking/evidence.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "server/ranking/statistics.h"

namespace uaqf::ranking {
namespace {

// From 0 to 1.
double PlaceOf(std::size_t k, std::size_t attempts) {
  return attempts < 2 ? 0.5 : static_cast<double>(k) / static_cast<double>(attempts - 1);
}

struct Sums {
  Moments clock;
  double low_mhz = 0, high_mhz = 0;
  double wall_s = 0, power_capped_s = 0, thermal_s = 0;
  std::set<std::string> slowdowns;
};

void Add(const TimedAttempt& attempt, Sums* sums, VariantEvidence* out) {
  ++out->chunks;
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
}

// From 0 to 1 of its group's run, of each attempt.
std::vector<double> PlacesInGroups(const std::vector<TimedAttempt>& attempts) {
  std::map<std::int32_t, std::vector<std::size_t>> groups;
  for (std::size_t k = 0; k < attempts.size(); ++k) groups[attempts[k].group].push_back(k);
  std::vector<double> places(attempts.size());
  for (const auto& [group, members] : groups) {
    for (std::size_t k = 0; k < members.size(); ++k) places[members[k]] = PlaceOf(k, members.size());
  }
  return places;
}

// Fills the mean places, and the imbalance. A chunk is held against those of the same prompts and run alone: then it
// does not matter that a variant was stopped, or that others were.
void Place(const std::vector<TimedAttempt>& attempts, EvidenceSummary* summary) {
  using Key = std::tuple<std::int32_t, std::int32_t, std::int32_t, std::int32_t>;
  const auto key = [](const TimedAttempt& a) { return Key(a.group, a.repeat, a.first, a.count); };
  const std::vector<double> places = PlacesInGroups(attempts);
  std::map<Key, Moments> same;
  for (std::size_t k = 0; k < attempts.size(); ++k) same[key(attempts[k])].Add(places[k]);
  std::vector<Moments> later(summary->variants.size());
  std::map<std::pair<std::int32_t, std::int32_t>, Moments> later_in_group;
  for (std::size_t k = 0; k < attempts.size(); ++k) {
    const TimedAttempt& a = attempts[k];
    if (static_cast<std::size_t>(a.variant) >= later.size()) continue;
    const double than_mean = places[k] - same.at(key(a)).mean();
    later[static_cast<std::size_t>(a.variant)].Add(than_mean);
    later_in_group[{a.group, a.variant}].Add(than_mean);
  }
  for (std::size_t v = 0; v < later.size(); ++v) {
    if (later[v].count() > 0) summary->variants[v].mean_place = 0.5 + later[v].mean();
  }
  for (const auto& [member, moments] : later_in_group) {
    summary->imbalance = std::max(summary->imbalance, std::abs(moments.mean()));
  }
  summary->interleaved = summary->imbalance <= kMostImbalance;
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
    if (v < variants) Add(attempts[k], &sums[v], &summary.variants[v]);
  }
  for (std::size_t v = 0; v < variants; ++v) Finish(sums[v], &summary.variants[v]);
  Place(attempts, &summary);
  summary.drift = DriftOf(attempts);
  return summary;
}

}  // namespace uaqf::ranking
