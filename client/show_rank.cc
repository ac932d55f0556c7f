#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/calibration.h"
#include "client/constraint_flags.h"
#include "client/figures.h"
#include "client/show.h"
#include "client/table.h"
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
  if (!answer.more_jobs().empty()) {
    absl::StrAppend(&text, "variants of ", Printable(answer.job()), " and of ",
                    Printable(absl::StrJoin(answer.more_jobs(), ", ")), ", against fp16 of the first\n");
  }
  return text;
}

const char* StatusName(v1::RankStatus status) {
  switch (status) {
    case v1::RANK_STATUS_RANKED:
      return "ranked";
    case v1::RANK_STATUS_STOPPED:
      return "stopped";
    case v1::RANK_STATUS_NOT_FEASIBLE:
      return "not feasible";
    case v1::RANK_STATUS_NOT_MEASURED:
      return "not measured";
    default:
      return "unknown";
  }
}

std::string Why(const v1::RankedVariant& variant) {
  const char* status = StatusName(variant.status());
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

const v1::Term* FindTerm(const v1::RankedVariant& variant, absl::string_view name) {
  for (const v1::Term& term : variant.terms()) {
    if (term.name() == name) return &term;
  }
  return nullptr;
}

std::string UtilityText(const v1::RankedVariant& variant, int decimals) {
  std::string text = absl::StrCat("U ", Signed(variant.utility(), decimals));
  if (!variant.has_standing()) return text;
  const v1::Interval& interval = variant.standing().utility();
  // That of fp16 against itself is a point.
  if (interval.low() == interval.high()) return text;
  absl::StrAppend(&text, " [", Signed(interval.low(), decimals), ", ", Signed(interval.high(), decimals), "]");
  return text;
}

std::string ProbabilityText(const v1::RankedVariant& variant) {
  if (!variant.has_standing()) return "";
  return absl::StrCat("P(best) ", Fixed(variant.standing().probability_best(), 2));
}

std::string NameText(const v1::RankedVariant& variant) { return Printable(WithShortDigests(variant.variant())); }

// Rows of an answer as cells: rank, name, utility, P(best), then the terms; or rank, name, reason.
std::vector<std::vector<std::string>> RankRows(const v1::RankVariantsResponse& answer, int decimals) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::RankedVariant& variant : answer.variants()) {
    std::vector<std::string>& row = rows.emplace_back();
    if (variant.status() != v1::RANK_STATUS_RANKED) {
      row = {"-", NameText(variant), Why(variant)};
      continue;
    }
    row = {absl::StrCat(variant.rank()), NameText(variant), UtilityText(variant, decimals)};
    if (answer.resamples() > 0) row.push_back(ProbabilityText(variant));
    for (const v1::Term& term : variant.terms()) row.push_back(TermText(term, decimals));
  }
  return rows;
}

// Width of each column; what stands in place of the figures of a variant without a rank widens none.
std::vector<int> Widths(const std::vector<std::vector<std::string>>& rows) {
  constexpr std::size_t kReason = 2;
  std::vector<int> widths;
  for (const std::vector<std::string>& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      if (row[0] != "-" || i < kReason) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  return widths;
}

// Who cannot be told from the winner.
std::string TiesText(const v1::RankVariantsResponse& answer) {
  std::vector<std::string> tied;
  for (const v1::RankedVariant& variant : answer.variants()) {
    if (variant.standing().tied() && variant.variant() != answer.winner()) tied.push_back(NameText(variant));
  }
  if (tied.empty()) return "";
  return absl::StrCat("not told apart from the winner: ", absl::StrJoin(tied, ", "), "\n");
}

// How far the winner is from the limits.
std::string LimitsText(const v1::RankVariantsResponse& answer) {
  if (answer.winner().empty() || answer.variants_size() == 0 || answer.variants(0).checks().empty()) return "";
  std::vector<std::string> kept;
  for (const v1::ConstraintCheck& check : answer.variants(0).checks()) {
    const v1::LimitedFigure figure = check.constraint().figure();
    kept.push_back(absl::StrCat(FigureName(figure), " ", FigureText(figure, check.value()), " of ",
                                FigureText(figure, check.constraint().limit())));
  }
  return absl::StrCat("the winner keeps ", absl::StrJoin(kept, ", "), "\n");
}

// What each generated token takes, of those whose device counts it.
std::string EnergyText(const v1::RankVariantsResponse& answer) {
  std::vector<std::string> energies;
  for (const v1::RankedVariant& variant : answer.variants()) {
    if (!variant.has_energy_per_token()) continue;
    std::string& text =
        energies.emplace_back(absl::StrCat(NameText(variant), " ", Fixed(variant.energy_per_token(), 3)));
    if (!variant.has_energy_interval()) continue;
    absl::StrAppend(&text, " [", Fixed(variant.energy_interval().low(), 3), ", ",
                    Fixed(variant.energy_interval().high(), 3), "]");
  }
  if (energies.empty()) return "";
  return absl::StrCat("energy in J/token: ", absl::StrJoin(energies, ", "), "\n");
}

// Who is nowhere better than another.
std::string BeatenText(const v1::RankVariantsResponse& answer) {
  std::vector<std::string> beaten;
  for (const v1::RankedVariant& variant : answer.variants()) {
    if (variant.dominated_by().empty()) continue;
    beaten.push_back(absl::StrCat(NameText(variant), " by ", Printable(WithShortDigests(variant.dominated_by()))));
  }
  if (beaten.empty()) return "";
  return absl::StrCat("nowhere better than another: ", absl::StrJoin(beaten, ", "), "\n");
}

// The weights at which another variant would win, one line for each term that has any.
std::string SweepText(const v1::WeightSweep& sweep, const std::string& winner) {
  int at = 0;
  while (at + 1 < sweep.segments_size() &&
         (sweep.segments(at).to() < sweep.weight() || sweep.segments(at).winner() != winner)) {
    ++at;
  }
  std::vector<std::string> changes;
  const auto other = [](const v1::SweepSegment& segment) { return Printable(WithShortDigests(segment.winner())); };
  if (sweep.segments_size() > 0 && sweep.segments(at).winner() != winner) {
    // The winner is one of equals, at this weight alone.
    int here = 0;
    while (here + 1 < sweep.segments_size() && sweep.segments(here).to() <= sweep.weight()) ++here;
    return absl::StrCat("weight of ", sweep.term(), " ", Fixed(sweep.weight(), 2), ": at another ",
                        other(sweep.segments(here)), " would win\n");
  }
  // A weight of all but nothing, or of all but everything, is no choice that anybody makes.
  const auto is_choice = [](double weight) { return weight >= 0.005 && weight < 0.995; };
  if (at > 0 && is_choice(sweep.segments(at).from())) {
    changes.push_back(
        absl::StrCat("below ", Fixed(sweep.segments(at).from(), 2), " ", other(sweep.segments(at - 1)), " would win"));
  }
  if (at + 1 < sweep.segments_size() && is_choice(sweep.segments(at).to())) {
    changes.push_back(
        absl::StrCat("above ", Fixed(sweep.segments(at).to(), 2), " ", other(sweep.segments(at + 1)), " would win"));
  }
  if (changes.empty()) return "";
  return absl::StrCat("weight of ", sweep.term(), " ", Fixed(sweep.weight(), 2), ": ", absl::StrJoin(changes, ", "),
                      "\n");
}

std::string SweepsText(const v1::RankVariantsResponse& answer) {
  std::string text;
  for (const v1::WeightSweep& sweep : answer.sweeps()) text += SweepText(sweep, answer.winner());
  if (!text.empty() || answer.sweeps().empty()) return text;
  const bool always = std::all_of(answer.sweeps().begin(), answer.sweeps().end(),
                                  [](const v1::WeightSweep& sweep) { return sweep.segments_size() == 1; });
  return always ? "the winner holds for every weight of each term\n"
                : "the winner holds for every weight of each term from 0.01 to 0.99\n";
}

void AppendStanding(const v1::RankedVariant& variant, std::vector<std::string>* cells) {
  if (!variant.has_standing()) {
    cells->insert(cells->end(), 7, "");
    return;
  }
  const v1::Standing& standing = variant.standing();
  cells->insert(cells->end(),
                {Exact(standing.utility().low()), Exact(standing.utility().high()), Exact(standing.probability_best()),
                 absl::StrCat(standing.rank_low()), absl::StrCat(standing.rank_high()),
                 Exact(standing.expected_regret()), standing.tied() ? "true" : "false"});
}

void AppendComparison(bool has, const v1::Comparison& comparison, std::vector<std::string>* cells) {
  if (!has) {
    cells->insert(cells->end(), 3, "");
    return;
  }
  cells->insert(cells->end(),
                {Exact(comparison.value()), Exact(comparison.interval().low()), Exact(comparison.interval().high())});
}

// The winner of every part, and who is not told apart from it.
std::string SlicesText(const v1::RankVariantsResponse& answer, const Terminal& terminal) {
  if (answer.slices().empty()) return "";
  Table table({{"part"}, {"prompts", Align::kRight}, {"winner"}, {"P(best)", Align::kRight}, {"not told apart"}});
  for (const v1::RankedSlice& slice : answer.slices()) {
    std::vector<std::string> tied;
    std::string winner = slice.reason(), probability;
    bool known = true;
    for (const v1::RankedVariant& variant : slice.variants()) {
      if (variant.variant() == slice.winner()) {
        winner = NameText(variant);
        known = variant.has_standing();
        if (known) probability = Fixed(variant.standing().probability_best(), 2);
      } else if (variant.standing().tied()) {
        tied.push_back(NameText(variant));
      }
    }
    if (winner.empty()) winner = "none is feasible";
    // Of too few prompts it is not known who is told apart.
    const std::string ties = known ? absl::StrJoin(tied, ", ") : "not known";
    table.AddRow({slice.name(), absl::StrCat(slice.prompts()), winner, probability, ties});
  }
  return absl::StrCat("\n", table.Text(terminal), "quality, memory and behaviour are those of the whole job\n\n");
}

}  // namespace

std::string RankText(const v1::RankVariantsResponse& answer, const Terminal& terminal) {
  std::string text = Heading(answer, terminal);
  const std::vector<std::vector<std::string>> rows = RankRows(answer, Decimals(answer));
  const std::vector<int> widths = Widths(rows);
  const std::size_t first_term = answer.resamples() > 0 ? 4 : 3;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      // Wider gaps before what is read on its own.
      const char* gap = i == 0 ? "" : i == 1 || i > first_term ? "  " : "   ";
      absl::StrAppend(&line, gap, Padded(rows[r][i], widths[i]));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    const v1::RankedVariant& variant = answer.variants(static_cast<int>(r));
    const bool ranked = variant.status() == v1::RANK_STATUS_RANKED;
    const Style style = !ranked ? Style::kDim : variant.variant() == answer.winner() ? Style::kGreen : Style::kPlain;
    absl::StrAppend(&text, terminal.Paint(style, line), "\n");
  }
  absl::StrAppend(&text, TiesText(answer), NoiseFloorLine(answer.noise_floor()), BeatenText(answer), LimitsText(answer),
                  SweepsText(answer));
  absl::StrAppend(&text, EnergyText(answer), CapacityText(answer), EvidenceLine(answer.evidence()));
  if (answer.has_device_time()) absl::StrAppend(&text, "took ", DeviceTimeText(answer.device_time()), "\n");
  std::vector<NamedBehaviour> behaviours;
  for (const v1::RankedVariant& variant : answer.variants()) {
    behaviours.emplace_back(variant.variant(), &variant.behaviour());
  }
  absl::StrAppend(&text, BehaviourLine(behaviours));
  absl::StrAppend(&text, TrafficText(answer, terminal));
  absl::StrAppend(&text, SlicesText(answer, terminal));
  for (const std::string& warning : answer.warnings()) {
    absl::StrAppend(&text, terminal.Paint(Style::kYellow, "warning:"), " ", Printable(warning), "\n");
  }
  return text;
}

std::string RankCsv(const v1::RankVariantsResponse& answer) {
  constexpr std::array<const char*, 4> kTerms = {"speed", "quality", "stability", "memory"};
  std::vector<std::string> columns = {"rank",          "variant",      "status",
                                      "utility",       "speed",        "quality",
                                      "stability",     "memory",       "reason",
                                      "utility_low",   "utility_high", "probability_best",
                                      "rank_low",      "rank_high",    "expected_regret",
                                      "tied",          "speedup",      "speedup_low",
                                      "speedup_high",  "nll_loss",     "nll_loss_low",
                                      "nll_loss_high", "dominated_by", "energy_per_token",
                                      "energy_low",    "energy_high",  "capacity_sequences",
                                      "behaviour"};
  for (std::string& column : BehaviourColumns()) columns.push_back(std::move(column));
  columns.insert(columns.end(), {"noise_floor", "speedup_within_noise", "utility_noise"});
  std::string csv = CsvLine(columns);
  for (const v1::RankedVariant& variant : answer.variants()) {
    std::vector<std::string> cells = {variant.rank() > 0 ? absl::StrCat(variant.rank()) : "", variant.variant(),
                                      StatusName(variant.status()),
                                      variant.has_utility() ? Exact(variant.utility()) : ""};
    for (const char* name : kTerms) {
      const v1::Term* term = FindTerm(variant, name);
      cells.push_back(term == nullptr ? "" : Exact(term->contribution()));
    }
    cells.push_back(variant.reason());
    AppendStanding(variant, &cells);
    AppendComparison(variant.has_speedup(), variant.speedup(), &cells);
    AppendComparison(variant.has_nll_loss(), variant.nll_loss(), &cells);
    cells.push_back(variant.dominated_by());
    cells.push_back(variant.has_energy_per_token() ? Exact(variant.energy_per_token()) : "");
    cells.push_back(variant.has_energy_interval() ? Exact(variant.energy_interval().low()) : "");
    cells.push_back(variant.has_energy_interval() ? Exact(variant.energy_interval().high()) : "");
    cells.push_back(variant.capacity().has_sequences() ? absl::StrCat(variant.capacity().sequences()) : "");
    const v1::Term* behaviour = FindTerm(variant, "behaviour");
    cells.push_back(behaviour == nullptr ? "" : Exact(behaviour->contribution()));
    for (std::string& cell : BehaviourCells(variant.has_behaviour(), variant.behaviour())) {
      cells.push_back(std::move(cell));
    }
    const v1::NoiseFloor& floor = answer.noise_floor();
    cells.push_back(floor.has_tokens_per_s() ? Exact(floor.tokens_per_s().floor()) : "");
    const bool judged = floor.has_tokens_per_s() && variant.has_speedup();
    cells.push_back(!judged ? "" : variant.speedup().within_noise() ? "true" : "false");
    cells.push_back(floor.has_tokens_per_s() && variant.has_standing() ? Exact(variant.standing().noise()) : "");
    csv += CsvLine(cells);
  }
  return csv;
}

}  // namespace uaqf::client
