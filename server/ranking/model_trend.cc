#include "server/ranking/model_trend.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "server/ranking/statistics.h"

namespace uaqf::ranking {

std::optional<Trend> FitTrend(std::vector<TrendPoint> points) {
  const bool known = std::all_of(points.begin(), points.end(), [](const TrendPoint& p) {
    return p.parameters > 0 && std::isfinite(p.value) && std::isfinite(p.half_width);
  });
  if (!known || points.empty()) return std::nullopt;
  // Sums of floating-point numbers depend on their order.
  std::sort(points.begin(), points.end(), [](const TrendPoint& a, const TrendPoint& b) {
    return std::tie(a.parameters, a.value, a.half_width) < std::tie(b.parameters, b.value, b.half_width);
  });
  if (points.front().parameters == points.back().parameters) return std::nullopt;
  Moments size, value;
  for (const TrendPoint& p : points) {
    size.Add(std::log10(p.parameters));
    value.Add(p.value);
  }
  double spread = 0, slope = 0;
  for (const TrendPoint& p : points) {
    const double distance = std::log10(p.parameters) - size.mean();
    spread += distance * distance;
    slope += distance * (p.value - value.mean());
  }
  slope /= spread;
  double residuals = 0, measurement = 0;
  for (const TrendPoint& p : points) {
    const double distance = std::log10(p.parameters) - size.mean();
    const double residual = p.value - value.mean() - slope * distance;
    residuals += residual * residual;
    measurement += distance * distance * p.half_width * p.half_width;
  }
  const auto models = static_cast<std::int32_t>(points.size());
  Trend trend;
  trend.slope = slope;
  trend.models = models;
  trend.covers_models = models > 2;
  trend.level = value.mean();
  trend.level_parameters = std::pow(10, size.mean());
  double half_width = std::sqrt(measurement) / spread;
  if (trend.covers_models) {
    trend.scatter = std::sqrt(residuals / (models - 2));
    half_width = std::max(half_width, StudentT975(models - 2) * *trend.scatter / std::sqrt(spread));
  }
  trend.interval = {slope - half_width, slope + half_width};
  return trend;
}

}  // namespace uaqf::ranking
