#include "server/ranking/energy.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "server/ranking/generator.h"
#include "server/ranking/measures.h"
#include "server/ranking/statistics.h"
#include "server/ranking/sum_resamples.h"

namespace uaqf::ranking {
namespace {

// Resampled tokens stay above this share of all: they are positive by nature.
constexpr double kLeastShare = 1e-3;

bool Counted(const EnergyColumns& e, std::size_t k) {
  return std::isfinite(e.energy_j[k]) && e.energy_j[k] > 0 && e.output_tokens[k] > 0;
}

// The block of each row: ranges of prompts that overlap, over all variants, are one.
std::vector<std::size_t> BlocksOf(const EnergyColumns& e, std::size_t* blocks) {
  std::vector<std::size_t> order(e.variant.size());
  for (std::size_t k = 0; k < order.size(); ++k) order[k] = k;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return e.first[a] < e.first[b]; });
  std::vector<std::size_t> block(order.size());
  std::int64_t end = -1;
  *blocks = 0;
  for (const std::size_t k : order) {
    if (e.first[k] >= end) ++*blocks;
    block[k] = *blocks - 1;
    end = std::max(end, std::int64_t{e.first[k]} + e.count[k]);
  }
  return block;
}

// Of `units` units dealt out one by one into at most kMostUnits.
std::vector<double> Dealt(const std::vector<double>& units) {
  if (units.size() <= kMostUnits) return units;
  std::vector<double> bundles(kMostUnits);
  for (std::size_t i = 0; i < units.size(); ++i) bundles[i % kMostUnits] += units[i];
  return bundles;
}

// Half width of the 95 % interval of sum(joules) / sum(tokens) over the blocks that have tokens.
double HalfWidth(const VariantEnergy& energy, double ratio) {
  double squares = 0, tokens = 0;
  for (std::size_t b = 0; b < energy.block_j.size(); ++b) {
    const double residual = energy.block_j[b] - ratio * energy.block_tokens[b];
    squares += residual * residual;
    tokens += energy.block_tokens[b];
  }
  const double n = energy.blocks;
  return StudentT975(energy.blocks - 1) * std::sqrt(n / (n - 1) * squares) / tokens;
}

}  // namespace

std::optional<double> VariantEnergy::JoulesPerToken() const {
  if (chunks == 0 || output_tokens == 0) return std::nullopt;
  return energy_j / static_cast<double>(output_tokens);
}

std::vector<VariantEnergy> EnergyOf(const Measurements& measurements) {
  const EnergyColumns& e = measurements.energies;
  std::vector<VariantEnergy> energy(measurements.variants.size());
  std::size_t blocks = 0;
  const std::vector<std::size_t> block = BlocksOf(e, &blocks);
  for (std::size_t k = 0; k < block.size(); ++k) {
    if (!Counted(e, k)) continue;
    VariantEnergy& out = energy[e.variant[k]];
    out.block_j.resize(blocks);
    out.block_tokens.resize(blocks);
    if (out.block_tokens[block[k]] == 0) ++out.blocks;
    out.block_j[block[k]] += e.energy_j[k];
    out.block_tokens[block[k]] += static_cast<double>(e.output_tokens[k]);
    out.energy_j += e.energy_j[k];
    out.output_tokens += e.output_tokens[k];
    ++out.chunks;
  }
  return energy;
}

void MeasureEnergy(const Measurements& measurements, std::vector<VariantMeasures>* measures) {
  const std::vector<VariantEnergy> energy = EnergyOf(measurements);
  for (std::size_t v = 0; v < energy.size(); ++v) {
    const auto ratio = energy[v].JoulesPerToken();
    if (!ratio) continue;
    EnergyMeasure& out = (*measures)[v].energy.emplace();
    out.joules_per_token.value = *ratio;
    if (energy[v].blocks >= static_cast<std::int32_t>(kLeastUnits)) {
      out.joules_per_token.half_width = HalfWidth(energy[v], *ratio);
    }
    out.chunks = energy[v].chunks;
    out.energy_j = energy[v].energy_j;
    out.output_tokens = energy[v].output_tokens;
  }
}

std::optional<Interval> ResampledEnergy::Bounds() const {
  if (resampled.empty()) return std::nullopt;
  std::vector<double> values = resampled;
  return CentralInterval(values);
}

std::vector<ResampledEnergy> ResampleEnergy(const std::vector<VariantEnergy>& energy, const ResampleOptions& options) {
  std::vector<ResampledEnergy> out(energy.size());
  std::vector<std::vector<double>> sums;  // joules and tokens of each variant that is drawn
  std::vector<std::size_t> drawn;
  for (std::size_t v = 0; v < energy.size(); ++v) {
    out[v].value = energy[v].JoulesPerToken();
    out[v].blocks = energy[v].blocks;
    if (energy[v].blocks < static_cast<std::int32_t>(kLeastUnits)) continue;
    drawn.push_back(v);
    sums.push_back(Dealt(energy[v].block_j));
    sums.push_back(Dealt(energy[v].block_tokens));
    out[v].resampled.resize(static_cast<std::size_t>(options.resamples));
  }
  if (drawn.empty()) return out;
  std::vector<const std::vector<double>*> columns;
  for (const std::vector<double>& column : sums) columns.push_back(&column);
  Generator generator(options.seed);
  SumResamples(sums[0].size(), columns, options.resamples, &generator, [&](std::int32_t r, const double* at) {
    for (std::size_t k = 0; k < drawn.size(); ++k) {
      const VariantEnergy& of = energy[drawn[k]];
      const double joules = std::max(at[2 * k * kResampleBatch], kLeastShare * of.energy_j);
      const double tokens =
          std::max(at[(2 * k + 1) * kResampleBatch], kLeastShare * static_cast<double>(of.output_tokens));
      out[drawn[k]].resampled[static_cast<std::size_t>(r)] = joules / tokens;
    }
  });
  return out;
}

}  // namespace uaqf::ranking
