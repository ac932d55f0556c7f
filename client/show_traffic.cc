// The crossover map and the capacity of an answer.
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/calibration.h"
#include "client/figures.h"
#include "client/show.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

std::string Name(const std::string& variant) { return Printable(WithShortDigests(variant)); }

// Of the phase that most of the time goes to.
const char* BoundText(const v1::TrafficFigure& figure) {
  const bool decode = figure.decode().time_share() >= figure.prefill().time_share();
  switch ((decode ? figure.decode() : figure.prefill()).bound()) {
    case v1::BOUND_MEMORY:
      return " mem";
    case v1::BOUND_COMPUTE:
      return " cmp";
    case v1::BOUND_NEITHER:
      return " -";
    default:
      return "";
  }
}

std::string CellText(const v1::TrafficFigure& figure) {
  if (!figure.has_speedup()) return absl::StrCat(Fixed(figure.tokens_per_s(), 0), " tok/s", BoundText(figure));
  const bool apart = figure.has_interval() && (figure.interval().low() > 1 || figure.interval().high() < 1);
  return absl::StrCat(apart ? "" : "~", Fixed(figure.speedup(), 2), BoundText(figure));
}

bool SameRow(const v1::TrafficShape& a, const v1::TrafficShape& b) {
  return a.input_tokens() == b.input_tokens() && a.output_tokens() == b.output_tokens();
}

// Combinations of one input and output length, by batch size.
using Row = std::vector<const v1::TrafficCellFigures*>;

std::vector<Row> RowsOf(const v1::TrafficMap& map) {
  std::vector<Row> rows;
  for (const v1::TrafficCellFigures& cell : map.cells()) {
    const auto same =
        std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return SameRow(row[0]->shape(), cell.shape()); });
    if (same == rows.end()) {
      rows.push_back({&cell});
    } else {
      same->push_back(&cell);
    }
  }
  return rows;
}

std::string RowText(const Row& row, const Terminal& terminal) {
  const v1::TrafficShape& shape = row[0]->shape();
  std::vector<Column> columns = {{absl::StrCat(shape.input_tokens(), " in, ", shape.output_tokens(), " out")}};
  std::vector<std::string> variants;
  for (const v1::TrafficCellFigures* cell : row) {
    columns.push_back({absl::StrCat("batch ", cell->shape().batch()), Align::kRight});
    for (const v1::TrafficFigure& figure : cell->variants()) {
      if (std::find(variants.begin(), variants.end(), figure.variant()) == variants.end()) {
        variants.push_back(figure.variant());
      }
    }
  }
  Table table(columns);
  for (const std::string& variant : variants) {
    std::vector<std::string> cells = {Name(variant)};
    for (const v1::TrafficCellFigures* cell : row) {
      const auto found = std::find_if(cell->variants().begin(), cell->variants().end(),
                                      [&](const v1::TrafficFigure& figure) { return figure.variant() == variant; });
      cells.push_back(found == cell->variants().end() ? "" : CellText(*found));
    }
    table.AddRow(std::move(cells));
  }
  return table.Text(terminal);
}

std::string CrossoverText(const v1::Crossover& crossover) {
  std::string text =
      absl::StrCat(Name(crossover.variant()), crossover.faster_above() ? " overtakes fp16" : " falls behind fp16",
                   " above batch ", Fixed(crossover.batch(), 1));
  if (crossover.has_interval()) {
    absl::StrAppend(&text, " [", Fixed(crossover.interval().low(), 1), ", ", Fixed(crossover.interval().high(), 1),
                    "]");
  }
  absl::StrAppend(&text, " with ", crossover.input_tokens(), " in, ", crossover.output_tokens(), " out");
  if (crossover.has_probability() && crossover.probability() < 0.95) {
    absl::StrAppend(&text, " (in ", Fixed(100 * crossover.probability(), 0), " of 100 resamples)");
  }
  return text + "\n";
}

}  // namespace

std::string TrafficText(const v1::RankVariantsResponse& answer, const Terminal& terminal) {
  const v1::TrafficMap& map = answer.traffic();
  if (map.cells().empty()) return "";
  std::string text =
      absl::StrCat("\ntraffic: tokens/s by fp16's, over ", Count(map.draws(), "draw"),
                   "; ~ not told apart from 1; mem, cmp: held back by memory, by compute; -: by neither\n");
  for (const Row& row : RowsOf(map)) text += RowText(row, terminal);
  for (const v1::Crossover& crossover : map.crossovers()) text += CrossoverText(crossover);
  if (map.crossovers().empty()) text += "no variant passes fp16 between these batch sizes\n";
  return text + "\n";
}

std::string CapacityText(const v1::RankVariantsResponse& answer) {
  std::vector<std::string> parts;
  std::string reason;
  std::int32_t context = 0;
  for (const v1::RankedVariant& variant : answer.variants()) {
    if (!variant.has_capacity()) continue;
    context = variant.capacity().context_tokens();
    if (variant.capacity().has_sequences()) {
      parts.push_back(absl::StrCat(Name(variant.variant()), " ", variant.capacity().sequences()));
    } else {
      reason = variant.capacity().reason();
    }
  }
  if (context == 0) return "";
  const std::string what = absl::StrCat("sequences of ", context, " tokens that the device holds: ");
  if (parts.empty()) return absl::StrCat(what, "not known, ", Printable(reason), "\n");
  return absl::StrCat(what, absl::StrJoin(parts, ", "), "\n");
}

}  // namespace uaqf::client
