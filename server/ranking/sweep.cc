#include "server/ranking/sweep.h"

#include <algorithm>
#include <cstddef>

namespace uaqf::ranking {
namespace {

// A variant's utility over a weight w: at_zero + slope * w.
struct Line {
  double at_zero = 0;
  double slope = 0;
};

std::vector<Line> LinesOver(std::size_t swept, const std::vector<SweptTerm>& terms) {
  const std::size_t variants = terms[swept].values.size();
  double others = 0;
  for (std::size_t t = 0; t < terms.size(); ++t) others += t == swept ? 0 : terms[t].weight;
  std::vector<Line> lines(variants);
  for (std::size_t v = 0; v < variants; ++v) {
    double rest = 0;
    for (std::size_t t = 0; t < terms.size(); ++t) {
      if (t == swept) continue;
      const double share = others > 0 ? terms[t].weight / others : 1.0 / static_cast<double>(terms.size() - 1);
      rest += share * terms[t].values[v];
    }
    lines[v] = {rest, terms[swept].values[v] - rest};
  }
  return lines;
}

// The line that is highest just right of 0, the first of equals.
std::size_t HighestAtZero(const std::vector<Line>& lines) {
  std::size_t best = 0;
  for (std::size_t v = 1; v < lines.size(); ++v) {
    const bool higher = lines[v].at_zero > lines[best].at_zero;
    const bool steeper = lines[v].at_zero == lines[best].at_zero && lines[v].slope > lines[best].slope;
    if (higher || steeper) best = v;
  }
  return best;
}

std::vector<SweepSegment> Envelope(const std::vector<std::string>& names, const std::vector<Line>& lines) {
  std::vector<SweepSegment> segments;
  std::size_t best = HighestAtZero(lines);
  double from = 0;
  while (true) {
    double to = 1;
    std::size_t next = best;
    for (std::size_t v = 0; v < lines.size(); ++v) {
      if (lines[v].slope <= lines[best].slope) continue;
      // Lines that differ by rounding alone may seem to cross where the best has been left behind.
      const double crossing =
          std::max(from, (lines[best].at_zero - lines[v].at_zero) / (lines[v].slope - lines[best].slope));
      const bool steeper = crossing == to && next != best && lines[v].slope > lines[next].slope;
      if (crossing < to || steeper) {
        to = crossing;
        next = v;
      }
    }
    if (to > from) segments.push_back({from, to, names[best]});
    if (next == best) return segments;
    from = to;
    best = next;
  }
}

}  // namespace

std::vector<WeightSweep> SweepWeights(const std::vector<std::string>& names, const std::vector<SweptTerm>& terms) {
  std::vector<WeightSweep> sweeps;
  if (terms.size() < 2 || names.empty()) return sweeps;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    sweeps.push_back({terms[t].name, terms[t].weight, Envelope(names, LinesOver(t, terms))});
  }
  return sweeps;
}

}  // namespace uaqf::ranking
