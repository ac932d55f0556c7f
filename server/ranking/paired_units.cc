#include "server/ranking/paired_units.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "server/ranking/agreement_measures.h"
#include "server/ranking/generator.h"
#include "server/ranking/statistics.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

// Values over units by number of the unit; `filled` counts those that have one.
struct Column {
  std::vector<double> values;
  std::size_t filled = 0;
};

struct Cell {
  Moments latency_s, tokens_per_s;
  double ttft_s = 0, output_tokens = 0, decode_s = 0, gaps = 0;
};

class Pairing {
 public:
  explicit Pairing(const Measurements& m) : m_(m), baseline_(BaselineIndex(m)) {
    units_.variants.resize(m.variants.size());
  }

  PairedUnits Run() {
    if (baseline_ < 0) return std::move(units_);
    PairTimings();
    PairWindows();
    PairOutputs();
    return std::move(units_);
  }

 private:
  static std::map<std::int32_t, std::size_t> Number(const std::vector<std::int32_t>& variant,
                                                    const std::vector<std::int32_t>& unit, std::int32_t baseline) {
    std::map<std::int32_t, std::size_t> numbers;
    for (std::size_t k = 0; k < variant.size(); ++k) {
      if (variant[k] == baseline) numbers.emplace(unit[k], 0);
    }
    std::size_t next = 0;
    for (auto& [id, number] : numbers) number = next++;
    return numbers;
  }

  void PairTimings() {
    const TimingColumns& t = m_.timings;
    const auto prompts = Number(t.variant, t.item, baseline_);
    std::vector<std::vector<Cell>> cells(m_.variants.size(), std::vector<Cell>(prompts.size()));
    std::vector<bool> foreign(m_.variants.size());
    for (std::size_t k = 0; k < t.variant.size(); ++k) {
      const auto prompt = prompts.find(t.item[k]);
      if (prompt == prompts.end()) {
        foreign[t.variant[k]] = true;
        continue;
      }
      Cell& cell = cells[t.variant[k]][prompt->second];
      const double latency_s = static_cast<double>(t.latency_ns[k]) / 1e9;
      cell.latency_s.Add(latency_s);
      cell.tokens_per_s.Add(t.output_tokens[k] / latency_s);
      cell.ttft_s += static_cast<double>(t.prefill_ns[k]) / 1e9;
      cell.output_tokens += t.output_tokens[k];
      if (t.output_tokens[k] < 2) continue;
      cell.decode_s += static_cast<double>(t.decode_ns[k]) / 1e9;
      cell.gaps += t.output_tokens[k] - 1;
    }
    const std::vector<Cell>& reference = cells[baseline_];
    for (const Cell& cell : reference) {
      units_.runs.push_back(static_cast<double>(cell.latency_s.count()));
      units_.several.push_back(cell.latency_s.count() > 1 ? 1 : 0);
    }
    for (std::size_t v = 0; v < cells.size(); ++v) {
      const bool same =
          std::equal(cells[v].begin(), cells[v].end(), reference.begin(),
                     [](const Cell& a, const Cell& b) { return a.latency_s.count() == b.latency_s.count(); });
      if (same && !foreign[v]) Fill(cells[v], &units_.variants[v]);
    }
  }

  static void Fill(const std::vector<Cell>& cells, VariantUnits* out) {
    for (const Cell& cell : cells) {
      const auto runs = static_cast<double>(cell.latency_s.count());
      out->tokens_per_s.push_back(cell.tokens_per_s.mean() * runs);
      out->latency_s.push_back(cell.latency_s.mean() * runs);
      out->latency_variance.push_back(cell.latency_s.Variance().value_or(0));
      out->throughput_variance.push_back(cell.tokens_per_s.Variance().value_or(0));
      out->ttft_s.push_back(cell.ttft_s);
      out->output_tokens.push_back(cell.output_tokens);
      out->decode_s.push_back(cell.decode_s);
      out->gaps.push_back(cell.gaps);
    }
  }

  void PairWindows() {
    const WindowColumns& w = m_.windows;
    const auto windows = Number(w.variant, w.window, baseline_);
    std::vector<Column> columns(m_.variants.size(), Column{std::vector<double>(windows.size())});
    for (std::size_t k = 0; k < w.variant.size(); ++k) {
      const auto window = windows.find(w.window[k]);
      const double nll = w.nll_sum[k] / w.scored_tokens[k];
      if (window == windows.end() || !std::isfinite(nll)) continue;
      Column& column = columns[w.variant[k]];
      column.values[window->second] = nll;
      ++column.filled;
    }
    units_.windows.assign(windows.size(), 1);
    for (std::size_t v = 0; v < columns.size(); ++v) {
      if (columns[v].filled == windows.size()) units_.variants[v].nll = std::move(columns[v].values);
    }
  }

  void PairOutputs() {
    const std::vector<std::int32_t> runs = RunsOfBaseline(m_);
    if (runs.empty()) return;
    std::vector<std::int32_t> variant, item;
    for (const AgreementRow& row : m_.agreements) {
      variant.push_back(row.variant);
      item.push_back(row.item);
    }
    const auto outputs = Number(variant, item, baseline_);
    std::vector<Column> columns(m_.variants.size(), Column{std::vector<double>(outputs.size())});
    for (const AgreementRow& row : m_.agreements) {
      const auto output = outputs.find(row.item);
      const std::optional<double> penalty = PenaltyOf(row, runs);
      if (output == outputs.end() || !penalty) continue;
      Column& column = columns[row.variant];
      column.values[output->second] = *penalty;
      ++column.filled;
    }
    units_.outputs.assign(outputs.size(), 1);
    for (std::size_t v = 0; v < columns.size(); ++v) {
      if (columns[v].filled == outputs.size()) units_.variants[v].penalty = std::move(columns[v].values);
    }
  }

  const Measurements& m_;
  const std::int32_t baseline_;
  PairedUnits units_;
};

// Which bundle each unit is in: a shuffled order, dealt out one by one. Neighbours in a prompt set are often alike.
std::vector<std::size_t> Deal(std::size_t units, std::size_t bundles) {
  std::vector<std::size_t> bundle(units);
  for (std::size_t i = 0; i < units; ++i) bundle[i] = i % bundles;
  Generator generator(units);
  for (std::size_t i = units; i > 1; --i)
    std::swap(bundle[i - 1], bundle[generator.Below(static_cast<std::uint32_t>(i))]);
  return bundle;
}

void Fold(const std::vector<std::size_t>& bundle, std::size_t most, std::vector<double>* column) {
  if (column->empty()) return;
  std::vector<double> sums(most);
  for (std::size_t i = 0; i < bundle.size(); ++i) sums[bundle[i]] += (*column)[i];
  *column = std::move(sums);
}

}  // namespace

PairedUnits PairUnits(const Measurements& common) { return Pairing(common).Run(); }

PairedUnits Bundle(PairedUnits units, std::size_t most) {
  if (units.runs.size() > most) {
    const std::vector<std::size_t> bundle = Deal(units.runs.size(), most);
    for (auto* column : {&units.runs, &units.several}) Fold(bundle, most, column);
    for (VariantUnits& v : units.variants) {
      for (auto* column : {&v.tokens_per_s, &v.latency_s, &v.latency_variance, &v.throughput_variance, &v.ttft_s,
                           &v.output_tokens, &v.decode_s, &v.gaps}) {
        Fold(bundle, most, column);
      }
    }
  }
  if (units.windows.size() > most) {
    const std::vector<std::size_t> bundle = Deal(units.windows.size(), most);
    Fold(bundle, most, &units.windows);
    for (VariantUnits& v : units.variants) Fold(bundle, most, &v.nll);
  }
  if (units.outputs.size() > most) {
    const std::vector<std::size_t> bundle = Deal(units.outputs.size(), most);
    Fold(bundle, most, &units.outputs);
    for (VariantUnits& v : units.variants) Fold(bundle, most, &v.penalty);
  }
  return units;
}

}  // namespace uaqf::ranking
