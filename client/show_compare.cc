#include "absl/strings/str_cat.h"
#include "client/calibration.h"
#include "client/figures.h"
#include "client/show.h"
#include "client/table.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

std::string IntervalText(const v1::Interval& interval, int decimals) {
  return absl::StrCat("[", Fixed(interval.low(), decimals), ", ", Fixed(interval.high(), decimals), "]");
}

void AppendFigure(bool has, const v1::Comparison& figure, bool differs, std::vector<std::string>* cells) {
  if (!has) {
    cells->insert(cells->end(), 5, "");
    return;
  }
  cells->insert(cells->end(), {Exact(figure.value()), Exact(figure.interval().low()), Exact(figure.interval().high()),
                               Exact(figure.smallest_detectable()), differs ? "true" : "false"});
}

// What a person may conclude.
std::string Finding(const v1::ComparedVariant& variant) {
  if (!variant.has_speed_ratio() && !variant.has_nll_difference()) return "too few in both";
  const v1::Interval& ratio = variant.speed_ratio().interval();
  const bool noise = variant.speed_ratio().within_noise() && (ratio.low() > 1 || ratio.high() < 1);
  if (!variant.speed_differs() && !variant.nll_differs()) return noise ? "within the noise" : "no difference found";
  std::string text;
  if (variant.speed_differs()) text = variant.speed_ratio().value() > 1 ? "faster" : "slower";
  if (!variant.nll_differs()) return text;
  return absl::StrCat(text, text.empty() ? "" : ", ",
                      variant.nll_difference().value() > 0 ? "loses more" : "loses less");
}

}  // namespace

std::string CompareText(const v1::CompareJobsResponse& answer, const Terminal& terminal) {
  Table table({{"variant"},
               {"prompts", Align::kRight},
               {"speed", Align::kRight},
               {"95 %"},
               {"windows", Align::kRight},
               {"NLL", Align::kRight},
               {"95 %"},
               {"finding"}});
  for (const v1::ComparedVariant& v : answer.variants()) {
    const bool speed = v.has_speed_ratio(), nll = v.has_nll_difference();
    table.AddRow({Printable(WithShortDigests(v.variant())), absl::StrCat(v.prompts()),
                  speed ? absl::StrCat(Fixed(v.speed_ratio().value(), 4), "x") : "",
                  speed ? IntervalText(v.speed_ratio().interval(), 4) : "",
                  v.windows() > 0 ? absl::StrCat(v.windows()) : "", nll ? Signed(v.nll_difference().value(), 5) : "",
                  nll ? IntervalText(v.nll_difference().interval(), 5) : "", Finding(v)});
  }
  table.DropEmptyColumns();
  std::string text = absl::StrCat(Printable(answer.other_job()), " against ", Printable(answer.job()),
                                  ", on the same prompts, runs and windows\n", table.Text(terminal));
  if (answer.has_speed_floor()) {
    absl::StrAppend(&text, "fp16 against itself within a job: up to ", Fixed(100 * answer.speed_floor(), 2),
                    " % of speed is noise\n");
  }
  for (const std::string& note : answer.notes()) {
    absl::StrAppend(&text, terminal.Paint(Style::kDim, absl::StrCat("note: ", Printable(note))), "\n");
  }
  return text;
}

std::string CompareCsv(const v1::CompareJobsResponse& answer) {
  std::string csv = CsvLine({"variant", "prompts", "windows", "speed_ratio", "speed_ratio_low", "speed_ratio_high",
                             "speed_smallest_detectable", "speed_differs", "nll_difference", "nll_difference_low",
                             "nll_difference_high", "nll_smallest_detectable", "nll_differs", "speed_within_noise"});
  for (const v1::ComparedVariant& v : answer.variants()) {
    std::vector<std::string> cells = {v.variant(), absl::StrCat(v.prompts()), absl::StrCat(v.windows())};
    AppendFigure(v.has_speed_ratio(), v.speed_ratio(), v.speed_differs(), &cells);
    AppendFigure(v.has_nll_difference(), v.nll_difference(), v.nll_differs(), &cells);
    cells.push_back(!v.has_speed_ratio() ? "" : v.speed_ratio().within_noise() ? "true" : "false");
    csv += CsvLine(cells);
  }
  return csv;
}

}  // namespace uaqf::client
