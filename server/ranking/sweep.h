// When the answer would change: the winner as a function of each weight (METHODS.md, section 2, break-even).
//
// With the terms fixed, a utility is linear in the weights. While one weight w goes from 0 to 1, the others keep their
// proportions and share 1 - w, so every variant is a straight line and the winners are the upper envelope of the lines.
#pragma once

#include <string>
#include <vector>

namespace uaqf::ranking {

// The winner from one weight to another.
struct SweepSegment {
  double from = 0;
  double to = 0;
  std::string winner;
};

struct WeightSweep {
  std::string term;
  double weight = 0;                   // in the profile
  std::vector<SweepSegment> segments;  // from 0 to 1 without gaps, each longer than 0, neighbours with other winners
};

// One term over the variants that are ranked: signed normalized values, so that utility = sum of weight * value.
struct SweptTerm {
  std::string name;
  double weight = 0;
  std::vector<double> values;  // [variant]
};

// One sweep for each term, in their order. `names` are in the order that equal utilities are ranked in. Exact: the ends
// of segments are the crossings of lines. Weights sum to 1. A weight of 1 leaves the others nothing to keep proportions
// of: they share alike then. Fewer than two terms or no variants: nothing to sweep.
[[nodiscard]] std::vector<WeightSweep> SweepWeights(const std::vector<std::string>& names,
                                                    const std::vector<SweptTerm>& terms);

}  // namespace uaqf::ranking
