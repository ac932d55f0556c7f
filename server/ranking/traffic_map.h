// Where each variant overtakes fp16: its speed at every combination of a traffic grid, beside fp16's, and the batch
// size at which one of the two passes the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/ranking/measurements.h"
#include "server/ranking/traffic.h"
#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

// What holds a batch back: of the two, what it uses more of; neither where it uses less than half of both.
enum class Bound { kUnknown, kMemory, kCompute, kNeither };

struct Phase {
  double share = 0;  // of the batch's time
  DeviceShares of_limit;
  Bound bound = Bound::kUnknown;
};

// One variant at one combination.
struct TrafficFigure {
  std::string variant;
  double batch_s = 0;       // from text to text
  double tokens_per_s = 0;  // all sequences' output by that time
  // Tokens/s by fp16's, and its 95 %; absent for fp16 and without it, the interval with fewer than 5 draws.
  std::optional<double> ratio{};
  std::optional<Interval> interval{};
  Phase prefill, decode;
};

struct TrafficCellFigures {
  TrafficShape shape;
  std::vector<TrafficFigure> variants;  // those measured there, in the order of the job
};

// A variant that passes fp16 between two batch sizes of the grid.
struct Crossover {
  std::string variant;
  std::int32_t input_tokens = 0;
  std::int32_t output_tokens = 0;
  double batch = 0;           // at which both take as long, linear between the two
  bool faster_above = false;  // the variant is the faster one in larger batches
  // Of all resamples, how many pass fp16 in this direction somewhere in the row, and where 95 % of those do. Absent
  // with fewer than 5 draws.
  std::optional<double> probability{};
  std::optional<Interval> interval{};
};

struct TrafficMap {
  std::int32_t draws = 0;
  std::vector<TrafficCellFigures> cells;  // in the order of the grid
  std::vector<Crossover> crossovers;      // by variant, input, output and batch
};

// `variants` are those of `times`. Sorts the resamples of every combination and variant.
[[nodiscard]] TrafficMap MapTraffic(const TrafficTimes& times, const std::vector<VariantFacts>& variants);

}  // namespace uaqf::ranking
