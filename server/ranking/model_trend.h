// How a figure of a variant changes with the size of the model: a line over the logarithm of the parameter count.
//
// The line is that of least squares, all models alike. Its slope is off by what each job's measurement is off, and by
// what models of one size differ in. Half the width of its interval is the larger of two:
// - t(0.975, n - 2) standard errors by the models' distances from the line, which both make; three models or more;
// - what the jobs' own intervals come to alone: by luck models lie closer to a line than they can have been measured,
//   and a model that lies far from the others pulls the line to itself.
// A line weighted by precision (Paule-Mandel with Knapp and Hartung's variance) was tried: of models that are measured
// unequally well and scatter, its 95 % intervals held the slope in 91 % of simulated sets, since the weights of so few
// models are themselves a guess.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

// One model.
struct TrendPoint {
  double parameters = 0;  // above 0
  double value = 0;
  double half_width = 0;  // of the value's 95 % interval, by the measurement alone
};

struct Trend {
  double slope = 0;   // for each tenfold of parameters
  Interval interval;  // of it, 95 %
  std::int32_t models = 0;
  // The interval holds what models differ in beside their size. Two models lie on a line whatever they are: then it is
  // of the measurement alone.
  bool covers_models = false;
  // A place on the line: the mean of the values, at the geometric mean of the parameters.
  double level = 0;
  double level_parameters = 0;
  // Standard deviation of the models from the line, measurement included; absent with two.
  std::optional<double> scatter;
};

// Does not depend on the order of the points. Nothing with fewer than two sizes, or with a value that is not finite.
[[nodiscard]] std::optional<Trend> FitTrend(std::vector<TrendPoint> points);

}  // namespace uaqf::ranking
