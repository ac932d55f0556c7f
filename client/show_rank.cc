#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/calibration.h"
#include "client/figures.h"
#include "client/show.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

constexpr int kFewestDecimals = 2;
constexpr int kMostDecimals = 5;

std::string Padded(std::string text, int width) {
  text.append(static_cast<std::size_t>(std::max(0, width - DisplayWidth(text))), ' ');
  return text;
}

std::string Heading(const v1::RankVariantsResponse& answer, const Terminal& terminal) {
  const v1::Profile& profile = answer.profile();
  absl::string_view id = profile.name();
  absl::ConsumePrefix(&id, "profiles/");
  std::string text = id.empty() ? "given weights" : absl::StrCat("profile ", terminal.Paint(Style::kBold, id));
  // The formula proper, then what its terms stand for.
  const std::vector<std::string> clauses = absl::StrSplit(Printable(answer.formula()), "; ");
  absl::StrAppend(&text, "   ", clauses[0], "   ",
                  profile.normalization() == v1::NORMALIZATION_MINMAX ? "min-max over all variants" : "baseline fp16",
                  "\n");
  for (std::size_t i = 1; i < clauses.size(); ++i) {
    absl::StrAppend(&text, terminal.Paint(Style::kDim, absl::StrCat("  ", clauses[i])), "\n");
  }
  if (!answer.conditions().empty()) absl::StrAppend(&text, Printable(answer.conditions()), "\n");
  return text;
}

std::string Why(const v1::RankedVariant& variant) {
  const char* status = variant.status() == v1::RANK_STATUS_NOT_FEASIBLE ? "not feasible" : "not measured";
  const std::string reason = Printable(variant.reason());
  if (absl::StartsWith(reason, status)) return reason;
  return reason.empty() ? status : absl::StrCat(status, ": ", reason);
}

// As few digits as show neighbours in the order apart.
int Decimals(const v1::RankVariantsResponse& answer) {
  for (int decimals = kFewestDecimals; decimals < kMostDecimals; ++decimals) {
    bool apart = true;
    for (int i = 1; i < answer.variants_size(); ++i) {
      const v1::RankedVariant& one = answer.variants(i - 1);
      const v1::RankedVariant& next = answer.variants(i);
      if (!one.has_utility() || !next.has_utility() || one.utility() == next.utility()) continue;
      apart = apart && Signed(one.utility(), decimals) != Signed(next.utility(), decimals);
    }
    if (apart) return decimals;
  }
  return kMostDecimals;
}

std::string TermText(const v1::Term& term, int decimals) {
  return absl::StrCat(term.name(), " ", Signed(term.contribution(), decimals));
}

std::vector<int> TermWidths(const v1::RankVariantsResponse& answer, int decimals) {
  std::vector<int> widths;
  for (const v1::RankedVariant& variant : answer.variants()) {
    if (variant.status() != v1::RANK_STATUS_RANKED) continue;
    for (int i = 0; i < variant.terms_size(); ++i) {
      if (i == static_cast<int>(widths.size())) widths.push_back(0);
      int& width = widths[static_cast<std::size_t>(i)];
      width = std::max(width, DisplayWidth(TermText(variant.terms(i), decimals)));
    }
  }
  return widths;
}

const v1::Term* FindTerm(const v1::RankedVariant& variant, absl::string_view name) {
  for (const v1::Term& term : variant.terms()) {
    if (term.name() == name) return &term;
  }
  return nullptr;
}

const char* StatusName(v1::RankStatus status) {
  switch (status) {
    case v1::RANK_STATUS_RANKED:
      return "ranked";
    case v1::RANK_STATUS_NOT_FEASIBLE:
      return "not feasible";
    case v1::RANK_STATUS_NOT_MEASURED:
      return "not measured";
    default:
      return "unknown";
  }
}

}  // namespace

std::string RankText(const v1::RankVariantsResponse& answer, const Terminal& terminal) {
  std::string text = Heading(answer, terminal);
  const int decimals = Decimals(answer);
  int name_width = 0;
  int utility_width = 0;
  for (const v1::RankedVariant& variant : answer.variants()) {
    name_width = std::max(name_width, DisplayWidth(Printable(WithShortDigests(variant.variant()))));
    if (variant.has_utility()) {
      utility_width = std::max(utility_width, DisplayWidth(Signed(variant.utility(), decimals)));
    }
  }
  const std::vector<int> widths = TermWidths(answer, decimals);
  const int rank_width = answer.variants_size() > 9 ? 2 : 1;
  for (const v1::RankedVariant& variant : answer.variants()) {
    const bool ranked = variant.status() == v1::RANK_STATUS_RANKED;
    const std::string rank = ranked ? absl::StrCat(variant.rank()) : "-";
    std::string line = absl::StrCat(Padded(rank, rank_width), "  ",
                                    Padded(Printable(WithShortDigests(variant.variant())), name_width), "   ");
    if (ranked) {
      absl::StrAppend(&line, "U ", Padded(Signed(variant.utility(), decimals), utility_width), " ");
      for (int i = 0; i < variant.terms_size(); ++i) {
        absl::StrAppend(&line, "  ", Padded(TermText(variant.terms(i), decimals), widths[static_cast<std::size_t>(i)]));
      }
    } else {
      absl::StrAppend(&line, Why(variant));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    const Style style = !ranked ? Style::kDim : variant.variant() == answer.winner() ? Style::kGreen : Style::kPlain;
    absl::StrAppend(&text, terminal.Paint(style, line), "\n");
  }
  for (const std::string& warning : answer.warnings()) {
    absl::StrAppend(&text, terminal.Paint(Style::kYellow, "warning:"), " ", Printable(warning), "\n");
  }
  return text;
}

std::string RankCsv(const v1::RankVariantsResponse& answer) {
  constexpr std::array<const char*, 4> kTerms = {"speed", "quality", "stability", "memory"};
  std::string csv =
      CsvLine({"rank", "variant", "status", "utility", "speed", "quality", "stability", "memory", "reason"});
  for (const v1::RankedVariant& variant : answer.variants()) {
    std::vector<std::string> cells = {variant.rank() > 0 ? absl::StrCat(variant.rank()) : "", variant.variant(),
                                      StatusName(variant.status()),
                                      variant.has_utility() ? Exact(variant.utility()) : ""};
    for (const char* name : kTerms) {
      const v1::Term* term = FindTerm(variant, name);
      cells.push_back(term == nullptr ? "" : Exact(term->contribution()));
    }
    cells.push_back(variant.reason());
    csv += CsvLine(cells);
  }
  return csv;
}

}  // namespace uaqf::client
