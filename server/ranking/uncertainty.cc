#include "server/ranking/uncertainty.h"

#include <algorithm>
#include <cmath>

#include "server/ranking/statistics.h"

namespace uaqf::ranking {
namespace {

constexpr double kZ975 = 1.959963984540054;
constexpr double kZ80 = 0.8416212335729143;

// Quantile `p` of `values`, which are reordered; those before `sorted` are in place already.
double Quantile(std::vector<double>& values, double p, std::size_t sorted) {
  const double position = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin() + static_cast<std::ptrdiff_t>(sorted), at, values.end());
  if (at + 1 == values.end()) return *at;
  const double next = *std::min_element(at + 1, values.end());
  return *at + (position - static_cast<double>(below)) * (next - *at);
}

// Wins and ranks of one resample.
class Tally {
 public:
  explicit Tally(std::size_t variants) : wins_(variants), regret_(variants), ranks_(variants * variants) {}

  void Add(const double* utilities) {
    const std::size_t n = wins_.size();
    const double best = *std::max_element(utilities, utilities + n);
    const auto winners = static_cast<double>(std::count(utilities, utilities + n, best));
    for (std::size_t v = 0; v < n; ++v) {
      if (utilities[v] == best) wins_[v] += 1 / winners;
      regret_[v] += best - utilities[v];
      const auto above = std::count_if(utilities, utilities + n, [&](double u) { return u > utilities[v]; });
      ++ranks_[v * n + static_cast<std::size_t>(above)];
    }
    ++resamples_;
  }

  void Fill(std::size_t v, Standing* out) const {
    const auto count = static_cast<double>(resamples_);
    out->probability_best = wins_[v] / count;
    out->expected_regret = regret_[v] / count;
    out->rank_low = RankAt(v, 0.025 * count);
    out->rank_high = RankAt(v, 0.975 * count);
  }

 private:
  // The least rank that more than `share` resamples reach or pass.
  std::int32_t RankAt(std::size_t v, double share) const {
    const std::size_t n = wins_.size();
    double seen = 0;
    for (std::size_t rank = 0; rank < n; ++rank) {
      seen += ranks_[v * n + rank];
      if (seen > share) return static_cast<std::int32_t>(rank) + 1;
    }
    return static_cast<std::int32_t>(n);
  }

  std::size_t resamples_ = 0;
  std::vector<double> wins_, regret_;
  std::vector<std::int32_t> ranks_;  // [variant * variants + rank from 0]
};

// How far out each value is: how many of all are on its shorter side, itself included. `sorted` are all of them.
std::int32_t Depth(const std::vector<double>& sorted, double value) {
  const auto below = std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
  const auto above = sorted.end() - std::lower_bound(sorted.begin(), sorted.end(), value);
  return static_cast<std::int32_t>(std::min(below, above));
}

// Differences of the winner to each variant, with intervals that hold for all of them at once: each from the k-th value
// of its own resamples to the k-th last, with the largest k that leaves 95 % of the resamples within all intervals.
void FillBehind(const Utilities& u, std::size_t winner, std::vector<Standing>* standings) {
  const std::size_t n = u.variants, resamples = u.resamples();
  std::vector<std::vector<double>> sorted(n, std::vector<double>(resamples));
  std::vector<double> depth(resamples, static_cast<double>(resamples));
  for (std::size_t v = 0; v < n; ++v) {
    if (v == winner) continue;
    const auto behind = [&](std::size_t r) { return u.resampled[r * n + winner] - u.resampled[r * n + v]; };
    for (std::size_t r = 0; r < resamples; ++r) sorted[v][r] = behind(r);
    std::sort(sorted[v].begin(), sorted[v].end());
    for (std::size_t r = 0; r < resamples; ++r) {
      depth[r] = std::min(depth[r], static_cast<double>(Depth(sorted[v], behind(r))));
    }
  }
  const auto k = static_cast<std::size_t>(OrderStatistic(depth, 0.05));
  for (std::size_t v = 0; v < n; ++v) {
    Standing& out = (*standings)[v];
    if (v != winner) out.behind = {sorted[v][k - 1], sorted[v][resamples - k]};
    out.tied = out.behind.low <= 0;
  }
}

}  // namespace

Interval CentralInterval(std::vector<double>& values) {
  const double low = Quantile(values, 0.025, 0);
  const auto below = static_cast<std::size_t>(0.025 * static_cast<double>(values.size() - 1));
  return {low, Quantile(values, 0.975, below)};
}

Interval IntervalOf(std::int32_t resamples, const std::function<double(std::int32_t)>& figure) {
  std::vector<double> values(static_cast<std::size_t>(resamples));
  for (std::int32_t r = 0; r < resamples; ++r) values[static_cast<std::size_t>(r)] = figure(r);
  return CentralInterval(values);
}

double SmallestDetectable(const Interval& interval) { return (kZ975 + kZ80) * interval.width() / 2 / kZ975; }

std::vector<Standing> Stand(const Utilities& utilities, std::size_t winner, const std::vector<double>& noise) {
  const std::size_t n = utilities.variants, resamples = utilities.resamples();
  std::vector<Standing> standings(n);
  if (resamples == 0) return standings;
  Tally tally(n);
  for (std::size_t r = 0; r < resamples; ++r) tally.Add(&utilities.resampled[r * n]);
  std::vector<double> values(resamples);
  for (std::size_t v = 0; v < n; ++v) {
    tally.Fill(v, &standings[v]);
    for (std::size_t r = 0; r < resamples; ++r) values[r] = utilities.resampled[r * n + v];
    standings[v].utility = CentralInterval(values);
  }
  FillBehind(utilities, winner, &standings);
  for (std::size_t v = 0; v < noise.size(); ++v) {
    standings[v].noise = noise[v];
    standings[v].tied |= utilities.observed[winner] - utilities.observed[v] <= noise[v];
  }
  return standings;
}

}  // namespace uaqf::ranking
