#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/calibration.h"
#include "client/figures.h"
#include "client/show.h"
#include "client/table.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

// Columns of a model's name: with them the widest row has a hundred.
constexpr int kNameColumns = 21;

std::string Bounds(double low, double high, int decimals) {
  return absl::StrCat("[", Fixed(low, decimals), ", ", Fixed(high, decimals), "]");
}

std::string Percent(double share) { return absl::StrCat(Signed(100 * share, 2), " %"); }

std::string NameOf(const v1::MeasuredModel& model) { return FitToWidth(Printable(model.model()), kNameColumns); }

const v1::ModelVariant* Find(const v1::MeasuredModel& model, const std::string& variant) {
  for (const v1::ModelVariant& v : model.variants()) {
    if (v.variant() == variant) return &v;
  }
  return nullptr;
}

// What everything is held against.
Table BaselineTable(const v1::CompareModelsResponse& answer) {
  Table table({{"model"},
               {"size", Align::kRight},
               {"job"},
               {"fp16 tokens/s", Align::kRight},
               {"NLL", Align::kRight},
               {"memory", Align::kRight}});
  for (const v1::MeasuredModel& m : answer.models()) {
    table.AddRow({NameOf(m), Quantity(m.parameters()), m.job(),
                  m.has_fp16_tokens_per_s() ? Fixed(m.fp16_tokens_per_s(), 1) : "",
                  m.has_fp16_nll() ? Fixed(m.fp16_nll(), 4) : "",
                  m.has_fp16_memory_bytes() ? Bytes(m.fp16_memory_bytes()) : ""});
  }
  table.DropEmptyColumns();
  return table;
}

std::vector<std::string> VariantRow(const v1::MeasuredModel& m, const v1::ModelVariant& v) {
  const v1::BoundedFigure &speed = v.speedup(), &relative = v.relative_loss();
  return {NameOf(m),
          Quantity(m.parameters()),
          v.has_speedup() ? absl::StrCat(Fixed(speed.value(), 3), "x") : "",
          speed.has_interval() ? Bounds(speed.interval().low(), speed.interval().high(), 3) : "",
          v.has_nll_loss() ? Signed(v.nll_loss().value(), 4) : "",
          v.has_relative_loss() ? Percent(relative.value()) : "",
          relative.has_interval() ? Bounds(100 * relative.interval().low(), 100 * relative.interval().high(), 2) : "",
          v.has_memory_ratio() ? absl::StrCat(Fixed(100 * v.memory_ratio(), 0), " %") : ""};
}

// What a speedup is multiplied by, and what is added to a loss, with each tenfold of parameters.
std::vector<std::string> TrendRow(const v1::VariantTrend& t) {
  const v1::Trend &speed = t.speed(), &loss = t.relative_loss();
  return {"each tenfold",
          "",
          t.has_speed() ? absl::StrCat("*", Fixed(std::exp2(speed.slope()), 3)) : "",
          t.has_speed() ? Bounds(std::exp2(speed.interval().low()), std::exp2(speed.interval().high()), 3) : "",
          t.has_nll_loss() ? Signed(t.nll_loss().slope(), 4) : "",
          t.has_relative_loss() ? Percent(loss.slope()) : "",
          t.has_relative_loss() ? Bounds(100 * loss.interval().low(), 100 * loss.interval().high(), 2) : "",
          ""};
}

// -1, 0 or 1: falls, cannot be told, grows.
int Direction(const v1::Trend& trend) { return trend.interval().low() > 0 ? 1 : trend.interval().high() < 0 ? -1 : 0; }

// What a person may conclude.
std::string Finding(const v1::VariantTrend& t) {
  std::vector<std::string> found, unknown;
  const auto add = [&](const v1::Trend& trend, const char* falls, const char* grows, const char* figure) {
    const int direction = Direction(trend);
    if (direction == 0) return unknown.push_back(figure);
    found.push_back(direction < 0 ? falls : grows);
  };
  if (t.has_speed()) add(t.speed(), "gain less speed", "gain more speed", "speed");
  if (t.has_relative_loss()) add(t.relative_loss(), "lose less", "lose more", "loss");
  if (found.empty() && unknown.empty()) return "no trend: fewer than two models of different sizes have its figures";
  std::vector<std::string> parts;
  if (!found.empty()) parts.push_back(absl::StrCat("larger models ", absl::StrJoin(found, " and ")));
  if (!unknown.empty()) parts.push_back(absl::StrCat("no trend of ", absl::StrJoin(unknown, " or "), " found"));
  const bool alone =
      (t.has_speed() && !t.speed().covers_models()) || (t.has_relative_loss() && !t.relative_loss().covers_models());
  return absl::StrCat(absl::StrJoin(parts, "; "), alone ? " (two models only)" : "");
}

std::string VariantText(const v1::CompareModelsResponse& answer, const v1::VariantTrend& trend,
                        const Terminal& terminal) {
  Table table({{"model"},
               {"size", Align::kRight},
               {"speed", Align::kRight},
               {"95 %"},
               {"loss", Align::kRight},
               {"relative", Align::kRight},
               {"95 %"},
               {"memory", Align::kRight}});
  std::string reasons;
  for (const v1::MeasuredModel& model : answer.models()) {
    const v1::ModelVariant* variant = Find(model, trend.variant());
    if (variant == nullptr) continue;
    table.AddRow(VariantRow(model, *variant));
    if (variant->reason().empty()) continue;
    const std::string reason = absl::StrCat(model.model(), ": ", variant->reason());
    absl::StrAppend(&reasons, terminal.Paint(Style::kDim, Printable(reason)), "\n");
  }
  table.AddRow(TrendRow(trend));
  table.DropEmptyColumns();
  return absl::StrCat("\n", Printable(WithShortDigests(trend.variant())), ": ", Finding(trend), "\n",
                      table.Text(terminal), reasons);
}

void AppendFigure(bool has, const v1::BoundedFigure& figure, std::vector<std::string>* cells) {
  cells->push_back(has ? Exact(figure.value()) : "");
  cells->push_back(figure.has_interval() ? Exact(figure.interval().low()) : "");
  cells->push_back(figure.has_interval() ? Exact(figure.interval().high()) : "");
}

void AppendTrend(bool has, const v1::Trend& trend, std::vector<std::string>* cells) {
  if (!has) {
    cells->insert(cells->end(), 4, "");
    return;
  }
  cells->insert(cells->end(), {Exact(trend.slope()), Exact(trend.interval().low()), Exact(trend.interval().high()),
                               absl::StrCat(trend.models())});
}

}  // namespace

std::string TrendText(const v1::CompareModelsResponse& answer, const Terminal& terminal) {
  std::string text = BaselineTable(answer).Text(terminal);
  for (const v1::VariantTrend& trend : answer.trends()) text += VariantText(answer, trend, terminal);
  for (const std::string& note : answer.notes()) {
    absl::StrAppend(&text, terminal.Paint(Style::kDim, absl::StrCat("note: ", Printable(note))), "\n");
  }
  return text;
}

std::string TrendCsv(const v1::CompareModelsResponse& answer) {
  std::vector<std::string> titles = {"variant", "job", "model", "parameters", "release_format"};
  for (const char* figure : {"speedup", "nll_loss", "relative_loss", "perplexity_ratio"}) {
    for (const char* what : {"", "_low", "_high"}) titles.push_back(absl::StrCat(figure, what));
  }
  titles.insert(titles.end(), {"memory_ratio", "reason"});
  for (const char* figure : {"log2_speedup", "nll_loss", "relative_loss"}) {
    for (const char* what : {"_slope", "_slope_low", "_slope_high", "_slope_models"}) {
      titles.push_back(absl::StrCat(figure, what));
    }
  }
  std::string csv = CsvLine(titles);
  const v1::VariantTrend none;
  for (const v1::MeasuredModel& m : answer.models()) {
    for (const v1::ModelVariant& v : m.variants()) {
      std::vector<std::string> cells = {v.variant(), m.job(), m.model(), absl::StrCat(m.parameters()),
                                        m.release_format()};
      AppendFigure(v.has_speedup(), v.speedup(), &cells);
      AppendFigure(v.has_nll_loss(), v.nll_loss(), &cells);
      AppendFigure(v.has_relative_loss(), v.relative_loss(), &cells);
      AppendFigure(v.has_perplexity_ratio(), v.perplexity_ratio(), &cells);
      cells.push_back(v.has_memory_ratio() ? Exact(v.memory_ratio()) : "");
      cells.push_back(v.reason());
      const v1::VariantTrend* trend = &none;
      for (const v1::VariantTrend& t : answer.trends()) trend = t.variant() == v.variant() ? &t : trend;
      AppendTrend(trend->has_speed(), trend->speed(), &cells);
      AppendTrend(trend->has_nll_loss(), trend->nll_loss(), &cells);
      AppendTrend(trend->has_relative_loss(), trend->relative_loss(), &cells);
      csv += CsvLine(cells);
    }
  }
  return csv;
}

}  // namespace uaqf::client
