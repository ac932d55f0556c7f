#include "client/constraint_flags.h"

#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/failure.h"
#include "client/figures.h"

namespace uaqf::client {
namespace {

struct Unit {
  const char* name;
  double factor;
};
constexpr std::array<Unit, 3> kTimes = {{{"", 1}, {"s", 1}, {"ms", 1e-3}}};
constexpr std::array<Unit, 6> kBytes = {
    {{"", 1}, {"B", 1}, {"MB", 1e6}, {"GB", 1e9}, {"MiB", 1048576}, {"GiB", 1073741824}}};
constexpr std::array<Unit, 3> kEnergies = {{{"", 1}, {"J", 1}, {"mJ", 1e-3}}};
constexpr std::array<Unit, 1> kNone = {{{"", 1}}};

struct Figure {
  v1::LimitedFigure figure;
  const char* name;  // as typed
  const char* unit;  // of its values
};
constexpr std::array<Figure, 11> kFigures = {{{v1::LIMITED_FIGURE_LATENCY_P50, "latency-p50", "s"},
                                              {v1::LIMITED_FIGURE_LATENCY_P95, "latency-p95", "s"},
                                              {v1::LIMITED_FIGURE_LATENCY_P99, "latency-p99", "s"},
                                              {v1::LIMITED_FIGURE_TTFT, "ttft", "s"},
                                              {v1::LIMITED_FIGURE_TTFT_P95, "ttft-p95", "s"},
                                              {v1::LIMITED_FIGURE_INTER_TOKEN, "inter-token", "s"},
                                              {v1::LIMITED_FIGURE_MEMORY, "memory", "bytes"},
                                              {v1::LIMITED_FIGURE_NLL_LOSS, "nll-loss", "nats/token"},
                                              {v1::LIMITED_FIGURE_PERPLEXITY_LOSS, "perplexity-loss", ""},
                                              {v1::LIMITED_FIGURE_PRICE, "price", "per million tokens"},
                                              {v1::LIMITED_FIGURE_ENERGY_PER_TOKEN, "energy-per-token", "J/token"}}};

const Figure* Find(v1::LimitedFigure figure) {
  for (const Figure& known : kFigures) {
    if (known.figure == figure) return &known;
  }
  return nullptr;
}

template <std::size_t n>
bool Scale(const std::array<Unit, n>& units, const std::string& unit, double* value) {
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    *value *= known.factor;
    return true;
  }
  return false;
}

bool ToFiguresUnit(const Figure& figure, const std::string& unit, double* value) {
  if (std::string(figure.unit) == "s") return Scale(kTimes, unit, value);
  if (std::string(figure.unit) == "bytes") return Scale(kBytes, unit, value);
  if (std::string(figure.unit) == "J/token") return Scale(kEnergies, unit, value);
  return Scale(kNone, unit, value);
}

}  // namespace

std::string LimitedFigures() {
  std::string text;
  for (const Figure& figure : kFigures) absl::StrAppend(&text, text.empty() ? "" : ", ", figure.name);
  return text;
}

absl::StatusOr<v1::Constraint> ParseConstraint(const std::string& text) {
  const std::vector<std::string> sides = absl::StrSplit(text, absl::MaxSplits('=', 1));
  const std::string name(absl::StripAsciiWhitespace(sides[0]));
  const Figure* figure = nullptr;
  for (const Figure& known : kFigures) {
    if (name == known.name) figure = &known;
  }
  if (figure == nullptr) {
    return UsageError(absl::StrCat("got a limit of \"", name, "\", expected one of ", LimitedFigures(),
                                   ", for example --max latency-p95=2s"));
  }
  const std::string given(absl::StripAsciiWhitespace(sides.size() > 1 ? sides[1] : ""));
  const std::size_t digits = given.find_last_of("0123456789.") + 1;  // 0 where there are none
  const std::string unit(absl::StripAsciiWhitespace(given.substr(digits)));
  double value = 0;
  if (!absl::SimpleAtod(given.substr(0, digits), &value) || !ToFiguresUnit(*figure, unit, &value) || value < 0 ||
      !std::isfinite(value)) {
    const std::string form = std::string(figure->unit) == "s"         ? "2s or 40ms"
                             : std::string(figure->unit) == "bytes"   ? "8GB or 512MiB"
                             : std::string(figure->unit) == "J/token" ? "0.5J or 500mJ"
                                                                      : "0.05";
    return UsageError(absl::StrCat("got the limit \"", text, "\", expected ", name, "= and a number such as ", form));
  }
  v1::Constraint constraint;
  constraint.set_figure(figure->figure);
  constraint.set_limit(value);
  return constraint;
}

std::string FigureName(v1::LimitedFigure figure) {
  const Figure* known = Find(figure);
  return known == nullptr ? "unknown" : absl::StrReplaceAll(known->name, {{"-", "_"}});
}

std::string FigureText(v1::LimitedFigure figure, double value) {
  const Figure* known = Find(figure);
  if (figure == v1::LIMITED_FIGURE_MEMORY) return Bytes(static_cast<std::int64_t>(value));
  // Small times keep their first digits.
  const std::string number = value > 0 && value < 0.01 ? absl::StrFormat("%.3g", value) : Fixed(value, 3);
  return absl::StrCat(number, known == nullptr || *known->unit == '\0' ? "" : " ", known == nullptr ? "" : known->unit);
}

}  // namespace uaqf::client
