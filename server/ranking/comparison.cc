#include "server/ranking/comparison.h"

#include <cmath>
#include <cstdint>

namespace uaqf::ranking {

Comparison CompareFigure(const Resampled& resampled, std::size_t variant, std::size_t reference,
                         double (*figure)(const ResampledFigures&)) {
  const auto own = [&](std::int32_t r) { return figure(resampled.At(r, variant)); };
  const auto other = [&](std::int32_t r) { return figure(resampled.At(r, reference)); };
  Comparison out;
  out.value = own(Resampled::kAllUnits) - other(Resampled::kAllUnits);
  out.interval = IntervalOf(resampled.resamples(), [&](std::int32_t r) { return own(r) - other(r); });
  const double apart = std::hypot(IntervalOf(resampled.resamples(), own).width() / 2,
                                  IntervalOf(resampled.resamples(), other).width() / 2);
  out.unpaired = {out.value - apart, out.value + apart};
  out.smallest_detectable = SmallestDetectable(out.interval);
  return out;
}

Comparison CompareSpeed(const Resampled& resampled, std::size_t variant, std::size_t reference) {
  const Comparison log =
      CompareFigure(resampled, variant, reference, [](const ResampledFigures& f) { return std::log(f.tokens_per_s); });
  const auto ratio = [](const Interval& i) { return Interval{std::exp(i.low), std::exp(i.high)}; };
  return {std::exp(log.value), ratio(log.interval), ratio(log.unpaired), std::expm1(log.smallest_detectable)};
}

}  // namespace uaqf::ranking
