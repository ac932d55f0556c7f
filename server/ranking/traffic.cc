#include "server/ranking/traffic.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/str_format.h"
#include "server/ranking/generator.h"
#include "server/ranking/measures.h"
#include "server/ranking/sum_resamples.h"

namespace uaqf::ranking {
namespace {

constexpr double kSumTolerance = 1e-9;
// As in resample.cc: moved sums of times stay above this share of what all draws sum to.
constexpr double kLeastShare = 1e-3;

// Between axis[low] and axis[low + 1], `weight` of the second.
struct Bracket {
  std::size_t low = 0;
  double weight = 0;
};

Bracket Find(const std::vector<std::int32_t>& axis, std::int32_t value) {
  if (axis.size() == 1) return {0, 0};
  const auto above = std::upper_bound(axis.begin(), axis.end() - 1, value);
  const auto low = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, above - axis.begin() - 1));
  return {low, static_cast<double>(value - axis[low]) / static_cast<double>(axis[low + 1] - axis[low])};
}

bool Within(const std::vector<std::int32_t>& axis, std::int32_t value) {
  return value >= axis.front() && value <= axis.back();
}

// The inverse of TrafficGrid::Cell.
TrafficShape ShapeOf(const TrafficGrid& grid, std::size_t cell) {
  const std::size_t inputs = grid.input_tokens.size(), outputs = grid.output_tokens.size();
  return {grid.batches[cell / outputs / inputs], grid.input_tokens[cell / outputs % inputs],
          grid.output_tokens[cell % outputs]};
}

std::string Range(const std::vector<std::int32_t>& axis) {
  return axis.size() == 1 ? absl::StrFormat("%d alone", axis.front())
                          : absl::StrFormat("%d to %d", axis.front(), axis.back());
}

}  // namespace

absl::Status Validate(const TrafficMix& mix) {
  double sum = 0;
  for (const TrafficShare& part : mix) {
    const TrafficShape& s = part.shape;
    if (s.batch < 1 || s.input_tokens < 1 || s.output_tokens < 1) {
      return absl::InvalidArgumentError(
          absl::StrFormat("traffic of batch %d, %d tokens in and %d out, expected at least 1 each", s.batch,
                          s.input_tokens, s.output_tokens));
    }
    if (!(std::isfinite(part.share) && part.share > 0)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the share of traffic %s is %g, expected a number above 0", ShapeText(s), part.share));
    }
    sum += part.share;
  }
  if (mix.empty() || std::abs(sum - 1) <= kSumTolerance) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("the shares of the traffic sum to %.10g, expected 1: divide each by %.10g", sum, sum));
}

bool TrafficTimes::HasAll(std::size_t variant) const {
  for (std::size_t cell = 0; cell < grid_.Count(); ++cell) {
    if (!Has(variant, cell)) return false;
  }
  return true;
}

// Fills a TrafficTimes.
class TrafficResampler {
 public:
  TrafficResampler(const Measurements& m, const ResampleOptions& options)
      : m_(m), options_(options), cells_(m.grid.Count()) {
    out_.grid_ = m.grid;
    out_.variants_ = m.variants.size();
    out_.column_.assign(out_.variants_ * cells_, -1);
  }

  std::optional<TrafficTimes> Run() {
    IndexBaseline();
    Collect();
    KeepCommonDraws();
    if (out_.draws_ == 0) return std::nullopt;
    Draw();
    FillPhases();
    return std::move(out_);
  }

 private:
  using Place = std::tuple<std::int32_t, std::int32_t, std::int32_t>;  // group, cell, draw

  bool Known(std::size_t row) const {
    const TrafficColumns& t = m_.traffic;
    return t.variant[row] >= 0 && static_cast<std::size_t>(t.variant[row]) < out_.variants_ && t.cell[row] >= 0 &&
           static_cast<std::size_t>(t.cell[row]) < cells_ && t.latency_ns[row] > 0;
  }
  std::int32_t GroupOf(std::size_t row) const { return m_.traffic.group.empty() ? 0 : m_.traffic.group[row]; }

  void IndexBaseline() {
    const TrafficColumns& t = m_.traffic;
    for (std::size_t k = 0; k < t.variant.size(); ++k) {
      if (!Known(k) || m_.variants[t.variant[k]].name != kBaseline) continue;
      baseline_[{GroupOf(k), t.cell[k], t.draw[k]}] = static_cast<double>(t.latency_ns[k]) / 1e9;
    }
  }

  // To the scale of the first group; absent where its fp16 tells none.
  std::optional<double> ScaleOf(std::size_t row) const {
    const std::int32_t group = GroupOf(row), cell = m_.traffic.cell[row], draw = m_.traffic.draw[row];
    if (group == 0) return 1;
    const auto own = baseline_.find({group, cell, draw}), first = baseline_.find({0, cell, draw});
    if (own == baseline_.end() || first == baseline_.end()) return std::nullopt;
    return first->second / own->second;
  }

  void Collect() {
    const TrafficColumns& t = m_.traffic;
    for (std::size_t k = 0; k < t.variant.size(); ++k) {
      if (!Known(k) || (GroupOf(k) > 0 && m_.variants[t.variant[k]].name == kBaseline)) continue;
      const std::optional<double> scale = ScaleOf(k);
      if (!scale) continue;
      times_[static_cast<std::size_t>(t.variant[k]) * cells_ + static_cast<std::size_t>(t.cell[k])][t.draw[k]] =
          *scale * static_cast<double>(t.latency_ns[k]) / 1e9;
    }
  }

  std::size_t LeastDraws() const {
    std::size_t baseline = 0, any = 0;
    for (const auto& [place, draws] : times_) {
      std::size_t& most = m_.variants[place / cells_].name == kBaseline ? baseline : any;
      most = std::max(most, draws.size());
    }
    const std::size_t most = baseline > 0 ? baseline : any;
    const std::size_t half = (most + 1) / 2;
    return most > kLeastUnits ? std::max(half, kLeastUnits) : half;
  }

  // Those with the most draws first, so that what lacks draws is what goes.
  void KeepCommonDraws() {
    out_.least_draws_ = LeastDraws();
    std::vector<std::size_t> places;
    for (const auto& [place, draws] : times_) places.push_back(place);
    std::stable_sort(places.begin(), places.end(),
                     [this](std::size_t a, std::size_t b) { return times_.at(a).size() > times_.at(b).size(); });
    std::set<std::int32_t> common;
    for (const std::size_t place : places) {
      std::set<std::int32_t> both;
      for (const auto& [draw, seconds] : times_.at(place)) {
        if (common.empty() || common.count(draw) > 0) both.insert(draw);
      }
      if (both.size() < out_.least_draws_) {
        LeaveOut(place, both.size());
      } else {
        common = std::move(both);
      }
    }
    out_.draws_ = common.size();
    for (const auto& [place, draws] : times_) {
      out_.column_[place] = static_cast<std::int32_t>(columns_.size());
      std::vector<double>& column = columns_.emplace_back();
      for (const std::int32_t draw : common) column.push_back(draws.at(draw));
    }
    out_.columns_ = columns_.size();
    Explain();
  }

  void LeaveOut(std::size_t place, std::size_t draws) {
    LeftOut& of = left_out_[place / cells_];
    if (of.combinations++ == 0 || draws < of.draws) {
      of.cell = place % cells_;
      of.draws = draws;
    }
    times_.erase(place);
  }

  void Explain() {
    for (const auto& [variant, of] : left_out_) {
      out_.notes_.push_back(
          absl::StrFormat("%s: %d of the %d combinations of the traffic grid are left out, timed in too few of the "
                          "draws of the others, "
                          "expected at least %d: %s in %d",
                          m_.variants[variant].name, of.combinations, cells_, out_.least_draws_,
                          ShapeText(ShapeOf(m_.grid, of.cell)), of.draws));
    }
  }

  void Draw() {
    out_.resamples_ = out_.draws_ >= kLeastUnits ? options_.resamples : 0;
    out_.seconds_.resize((static_cast<std::size_t>(out_.resamples_) + 1) * out_.columns_);
    const auto n = static_cast<double>(out_.draws_);
    std::vector<const std::vector<double>*> columns;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      for (const double seconds : columns_[c]) out_.seconds_[c] += seconds / n;
      columns.push_back(&columns_[c]);
    }
    if (out_.resamples_ == 0) return;
    Generator generator(options_.seed);
    SumResamples(out_.draws_, columns, out_.resamples_, &generator, [&](std::int32_t r, const double* sums) {
      double* row = &out_.seconds_[(static_cast<std::size_t>(r) + 1) * out_.columns_];
      for (std::size_t c = 0; c < out_.columns_; ++c) {
        row[c] = std::max(sums[c * kResampleBatch] / n, kLeastShare * out_.seconds_[c]);
      }
    });
  }

  // Over all batches timed: a batch or two more than the common draws do no harm to a mean of shares.
  void FillPhases() {
    const TrafficColumns& t = m_.traffic;
    out_.phases_.resize(out_.columns_);
    std::vector<double> batches(out_.columns_);
    const auto column = [&](std::size_t row) {
      return Known(row) ? out_.column_[static_cast<std::size_t>(t.variant[row]) * cells_ +
                                       static_cast<std::size_t>(t.cell[row])]
                        : -1;
    };
    for (std::size_t k = 0; k < t.variant.size(); ++k) {
      if (column(k) >= 0) ++batches[static_cast<std::size_t>(column(k))];
    }
    for (std::size_t k = 0; k < t.variant.size(); ++k) {
      if (column(k) < 0) continue;
      CellPhases& to = out_.phases_[static_cast<std::size_t>(column(k))];
      const double n = batches[static_cast<std::size_t>(column(k))], whole = n * static_cast<double>(t.latency_ns[k]);
      to.prefill_share += static_cast<double>(t.prefill_ns[k]) / whole;
      to.decode_share += static_cast<double>(t.decode_ns[k]) / whole;
      to.prefill.read += t.prefill_shares[k].read / n;
      to.prefill.compute += t.prefill_shares[k].compute / n;
      to.decode.read += t.decode_shares[k].read / n;
      to.decode.compute += t.decode_shares[k].compute / n;
    }
  }

  const Measurements& m_;
  const ResampleOptions options_;
  const std::size_t cells_;
  std::map<Place, double> baseline_;
  std::map<std::size_t, std::map<std::int32_t, double>> times_;  // [variant * cells + cell][draw]
  // Of one variant: how many, and the one with the fewest draws.
  struct LeftOut {
    std::size_t combinations = 0;
    std::size_t cell = 0;
    std::size_t draws = 0;
  };
  std::map<std::size_t, LeftOut> left_out_;  // by variant
  std::vector<std::vector<double>> columns_;
  TrafficTimes out_;
};

std::optional<TrafficTimes> ResampleTraffic(const Measurements& measurements, const ResampleOptions& options) {
  if (measurements.grid.Count() == 0) return std::nullopt;
  return TrafficResampler(measurements, options).Run();
}

double SecondsAt(const TrafficTimes& times, std::int32_t resample, std::size_t variant, const TrafficShape& shape) {
  const TrafficGrid& grid = times.grid();
  const Bracket b = Find(grid.batches, shape.batch), i = Find(grid.input_tokens, shape.input_tokens),
                o = Find(grid.output_tokens, shape.output_tokens);
  double seconds = 0;
  for (int corner = 0; corner < 8; ++corner) {
    const auto part = [corner](const Bracket& bracket, int bit) {
      return (corner >> bit & 1) != 0 ? bracket.weight : 1 - bracket.weight;
    };
    const double weight = part(b, 0) * part(i, 1) * part(o, 2);
    if (weight == 0) continue;  // behind the end of an axis there is no point
    const auto at = [corner](const Bracket& bracket, int bit) {
      return bracket.low + static_cast<std::size_t>(corner >> bit & 1);
    };
    seconds += weight * times.Seconds(resample, variant, grid.Cell(at(b, 0), at(i, 1), at(o, 2)));
  }
  return seconds;
}

double MixTokensPerS(const TrafficTimes& times, std::int32_t resample, std::size_t variant, const TrafficMix& mix) {
  double tokens = 0, seconds = 0;
  for (const TrafficShare& part : mix) {
    tokens += part.share * part.shape.output_tokens;
    seconds += part.share * SecondsAt(times, resample, variant, part.shape) / part.shape.batch;
  }
  return tokens / seconds;
}

std::string WhyNoMix(const TrafficTimes* times, const TrafficMix& mix) {
  if (times == nullptr) {
    return "the profile has a traffic mix, and no batch of a grid was timed: wait for the first where the job has a "
           "grid, submit one with --grid batch=1,8,32:input=128,512:output=64,256 that spans the mix, or rank by a "
           "profile without traffic";
  }
  for (const TrafficShare& part : mix) {
    const TrafficGrid& grid = times->grid();
    if (Within(grid.batches, part.shape.batch) && Within(grid.input_tokens, part.shape.input_tokens) &&
        Within(grid.output_tokens, part.shape.output_tokens)) {
      continue;
    }
    return absl::StrFormat(
        "the profile's traffic has %s, outside of the grid that was timed (batch %s, input %s, output %s): submit a "
        "job with a grid that spans it",
        ShapeText(part.shape), Range(grid.batches), Range(grid.input_tokens), Range(grid.output_tokens));
  }
  return "";
}

std::string ShapeText(const TrafficShape& shape) {
  return absl::StrFormat("%d x %d/%d", shape.batch, shape.input_tokens, shape.output_tokens);
}

}  // namespace uaqf::ranking
