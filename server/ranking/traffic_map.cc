#include "server/ranking/traffic_map.h"

#include <algorithm>
#include <cmath>

#include "server/ranking/measures.h"

namespace uaqf::ranking {
namespace {

// Less than this share of a limit is not what holds a batch back.
constexpr double kHalf = 0.5;

Phase PhaseOf(double share, const DeviceShares& of_limit) {
  Phase phase{share, of_limit, Bound::kUnknown};
  const double most = std::max(of_limit.read, of_limit.compute);
  if (most > 0) {
    phase.bound = most < kHalf ? Bound::kNeither : of_limit.read >= of_limit.compute ? Bound::kMemory : Bound::kCompute;
  }
  return phase;
}

class Mapper {
 public:
  Mapper(const TrafficTimes& times, const std::vector<VariantFacts>& variants)
      : times_(times), grid_(times.grid()), variants_(variants) {
    for (std::size_t v = 0; v < variants.size(); ++v) {
      if (variants[v].name == kBaseline) baseline_ = v;
    }
  }

  TrafficMap Map() {
    map_.draws = static_cast<std::int32_t>(times_.draws());
    for (std::size_t b = 0; b < grid_.batches.size(); ++b) {
      for (std::size_t i = 0; i < grid_.input_tokens.size(); ++i) {
        for (std::size_t o = 0; o < grid_.output_tokens.size(); ++o) AddCell(b, i, o);
      }
    }
    for (std::size_t v = 0; baseline_ && v < variants_.size(); ++v) {
      if (v == *baseline_) continue;
      for (std::size_t i = 0; i < grid_.input_tokens.size(); ++i) {
        for (std::size_t o = 0; o < grid_.output_tokens.size(); ++o) AddCrossovers(v, i, o);
      }
    }
    return std::move(map_);
  }

 private:
  void AddCell(std::size_t b, std::size_t i, std::size_t o) {
    const std::size_t cell = grid_.Cell(b, i, o);
    TrafficCellFigures& out = map_.cells.emplace_back();
    out.shape = {grid_.batches[b], grid_.input_tokens[i], grid_.output_tokens[o]};
    for (std::size_t v = 0; v < variants_.size(); ++v) {
      if (!times_.Has(v, cell)) continue;
      TrafficFigure& figure = out.variants.emplace_back();
      figure.variant = variants_[v].name;
      figure.batch_s = times_.Seconds(TrafficTimes::kAllDraws, v, cell);
      figure.tokens_per_s = static_cast<double>(out.shape.batch) * out.shape.output_tokens / figure.batch_s;
      const CellPhases& phases = times_.Phases(v, cell);
      figure.prefill = PhaseOf(phases.prefill_share, phases.prefill);
      figure.decode = PhaseOf(phases.decode_share, phases.decode);
      if (!baseline_ || v == *baseline_ || !times_.Has(*baseline_, cell)) continue;
      const auto ratio = [&](std::int32_t r) {
        return times_.Seconds(r, *baseline_, cell) / times_.Seconds(r, v, cell);
      };
      figure.ratio = ratio(TrafficTimes::kAllDraws);
      if (times_.resamples() > 0) figure.interval = IntervalOf(times_.resamples(), ratio);
    }
  }

  // Seconds that the variant takes less than fp16.
  double Lead(std::int32_t r, std::size_t v, std::size_t b, std::size_t i, std::size_t o) const {
    const std::size_t cell = grid_.Cell(b, i, o);
    return times_.Seconds(r, *baseline_, cell) - times_.Seconds(r, v, cell);
  }

  // Between batch sizes `b` and `b + 1`: absent where neither passes the other.
  std::optional<double> Crossing(std::int32_t r, std::size_t v, std::size_t b, std::size_t i, std::size_t o,
                                 bool faster_above) const {
    const double below = Lead(r, v, b, i, o), above = Lead(r, v, b + 1, i, o);
    const bool passes = faster_above ? below <= 0 && above > 0 : below >= 0 && above < 0;
    if (!passes) return std::nullopt;
    return grid_.batches[b] + below / (below - above) * (grid_.batches[b + 1] - grid_.batches[b]);
  }

  void AddCrossovers(std::size_t v, std::size_t i, std::size_t o) {
    for (std::size_t b = 0; b < grid_.batches.size(); ++b) {
      if (!times_.Has(v, grid_.Cell(b, i, o)) || !times_.Has(*baseline_, grid_.Cell(b, i, o))) return;
    }
    for (std::size_t b = 0; b + 1 < grid_.batches.size(); ++b) {
      for (const bool faster_above : {true, false}) {
        const auto batch = Crossing(TrafficTimes::kAllDraws, v, b, i, o, faster_above);
        if (!batch) continue;
        Crossover& out = map_.crossovers.emplace_back();
        out.variant = variants_[v].name;
        out.input_tokens = grid_.input_tokens[i];
        out.output_tokens = grid_.output_tokens[o];
        out.batch = *batch;
        out.faster_above = faster_above;
        if (times_.resamples() > 0) FillSpread(v, i, o, &out);
      }
    }
  }

  // Of each resample the crossing in that direction that is nearest.
  void FillSpread(std::size_t v, std::size_t i, std::size_t o, Crossover* out) const {
    std::vector<double> found;
    for (std::int32_t r = 0; r < times_.resamples(); ++r) {
      std::optional<double> nearest;
      for (std::size_t b = 0; b + 1 < grid_.batches.size(); ++b) {
        const auto batch = Crossing(r, v, b, i, o, out->faster_above);
        if (batch && (!nearest || std::abs(*batch - out->batch) < std::abs(*nearest - out->batch))) nearest = batch;
      }
      if (nearest) found.push_back(*nearest);
    }
    out->probability = static_cast<double>(found.size()) / times_.resamples();
    if (!found.empty()) out->interval = CentralInterval(found);
  }

  const TrafficTimes& times_;
  const TrafficGrid& grid_;
  const std::vector<VariantFacts>& variants_;
  std::optional<std::size_t> baseline_;
  TrafficMap map_;
};

}  // namespace

TrafficMap MapTraffic(const TrafficTimes& times, const std::vector<VariantFacts>& variants) {
  return Mapper(times, variants).Map();
}

}  // namespace uaqf::ranking
