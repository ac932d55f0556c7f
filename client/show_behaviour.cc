#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/calibration.h"
#include "client/figures.h"
#include "client/show.h"
#include "client/table.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

std::string Percent(double share) { return absl::StrCat(Fixed(100 * share, 1), " %"); }

// "3.1 % [0.5, 16.2]".
std::string ShareText(double share, const v1::Interval& interval) {
  return absl::StrCat(Percent(share), " [", Fixed(100 * interval.low(), 1), ", ", Fixed(100 * interval.high(), 1), "]");
}

std::string WithSpread(double value, const v1::Estimate& estimate) {
  if (!estimate.has_half_width()) return absl::StrCat(Fixed(100 * value, 1), " %");
  return absl::StrCat(Fixed(100 * value, 1), " ±", Fixed(100 * estimate.half_width(), 1), " %");
}

// Of what the batches change: "1.2 % kernel, 3.0 ±1.1 % quantization".
std::string LossText(const v1::SelfAgreement& self) {
  std::vector<std::string> parts;
  if (self.has_kernel()) parts.push_back(absl::StrCat(Percent(self.kernel()), " kernel"));
  if (self.has_quantization()) {
    parts.push_back(absl::StrCat(WithSpread(self.quantization().value(), self.quantization()), " quantization"));
  }
  return absl::StrJoin(parts, ", ");
}

std::string RunName(int batch) { return batch == 1 ? "alone again" : absl::StrCat("batch of ", batch); }

std::vector<std::string> Row(const std::string& variant, const std::string& against, const v1::Agreement& agreement) {
  return {variant, against, absl::StrCat(agreement.prompts()),
          WithSpread(agreement.tokens().value(), agreement.tokens()),
          ShareText(agreement.equal(), agreement.equal_interval())};
}

}  // namespace

std::string BehaviourText(const std::vector<NamedBehaviour>& variants, const Terminal& terminal) {
  Table table({{"variant"},
               {"outputs alone against"},
               {"prompts", Align::kRight},
               {"tokens alike", Align::kRight},
               {"equal outputs", Align::kRight},
               {"of what differs"}});
  std::vector<std::string> insane, problems;
  bool any = false;
  for (const auto& [name, behaviour] : variants) {
    if (behaviour->prompts() == 0) continue;
    any = true;
    const std::string shown = Printable(WithShortDigests(name));
    for (const v1::SelfAgreement& self : behaviour->self()) {
      std::vector<std::string> row = Row(shown, RunName(self.batch()), self.agreement());
      row.push_back(LossText(self));
      table.AddRow(std::move(row));
    }
    if (behaviour->has_with_fp16()) {
      std::vector<std::string> row = Row(shown, "fp16's", behaviour->with_fp16());
      row.emplace_back();
      table.AddRow(std::move(row));
    }
    if (behaviour->loops() > 0) {
      insane.push_back(absl::StrCat(shown, ": loops ", ShareText(behaviour->loops(), behaviour->loops_interval())));
    }
    if (behaviour->not_finite() > 0) {
      insane.push_back(absl::StrCat(shown, ": logits not finite ",
                                    ShareText(behaviour->not_finite(), behaviour->not_finite_interval())));
    }
    if (!behaviour->problem().empty()) problems.push_back(absl::StrCat(shown, ": ", Printable(behaviour->problem())));
  }
  if (!any) return "";
  std::string text = table.Text(terminal);
  absl::StrAppend(
      &text, insane.empty() ? "no output is a loop, and all logits are finite" : absl::StrJoin(insane, "; "), "\n");
  for (const std::string& problem : problems) absl::StrAppend(&text, problem, "\n");
  return text;
}

std::string BehaviourLine(const std::vector<NamedBehaviour>& variants) {
  std::vector<std::string> cells;
  for (const auto& [name, behaviour] : variants) {
    if (behaviour->self().empty()) continue;
    const v1::SelfAgreement* worst = &behaviour->self(0);
    for (const v1::SelfAgreement& self : behaviour->self()) {
      if (self.agreement().tokens().value() < worst->agreement().tokens().value()) worst = &self;
    }
    std::string cell =
        absl::StrCat(Printable(WithShortDigests(name)), " ", Percent(worst->agreement().tokens().value()));
    if (worst->agreement().tokens().value() < 1) absl::StrAppend(&cell, " (", RunName(worst->batch()), ")");
    if (behaviour->loops() > 0) absl::StrAppend(&cell, ", loops ", Percent(behaviour->loops()));
    if (behaviour->not_finite() > 0) absl::StrAppend(&cell, ", not finite ", Percent(behaviour->not_finite()));
    cells.push_back(std::move(cell));
  }
  return cells.empty() ? ""
                       : absl::StrCat("tokens that come again, in the worst run: ", absl::StrJoin(cells, "; "), "\n");
}

std::vector<std::string> BehaviourColumns() {
  return {"agreement_prompts", "self_agreement", "self_equal", "agreement_with_fp16",
          "equal_with_fp16",   "loops",          "not_finite", "behaviour_penalty"};
}

std::vector<std::string> BehaviourCells(bool has, const v1::BehaviourMeasure& behaviour) {
  if (!has) return std::vector<std::string>(BehaviourColumns().size());
  std::vector<std::string> tokens, equal;
  for (const v1::SelfAgreement& self : behaviour.self()) {
    tokens.push_back(absl::StrCat(self.batch(), "=", Exact(self.agreement().tokens().value())));
    equal.push_back(absl::StrCat(self.batch(), "=", Exact(self.agreement().equal())));
  }
  const v1::Agreement& with_fp16 = behaviour.with_fp16();
  return {absl::StrCat(behaviour.prompts()),
          absl::StrJoin(tokens, ";"),
          absl::StrJoin(equal, ";"),
          behaviour.has_with_fp16() ? Exact(with_fp16.tokens().value()) : "",
          behaviour.has_with_fp16() ? Exact(with_fp16.equal()) : "",
          Exact(behaviour.loops()),
          Exact(behaviour.not_finite()),
          behaviour.has_penalty() ? Exact(behaviour.penalty()) : ""};
}

std::string CompareOutputsText(const v1::CompareJobsResponse& answer, const Terminal& terminal) {
  Table table(
      {{"variant"}, {"prompts", Align::kRight}, {"tokens alike", Align::kRight}, {"equal outputs", Align::kRight}});
  for (const v1::ComparedVariant& variant : answer.variants()) {
    std::vector<std::string> row = Row(Printable(WithShortDigests(variant.variant())), "", variant.outputs());
    row.erase(row.begin() + 1);
    table.AddRow(std::move(row));
  }
  std::string text = absl::StrCat("outputs of ", Printable(answer.other_job()), " against those of ",
                                  Printable(answer.job()), ", for the same prompts\n", table.Text(terminal));
  for (const std::string& note : answer.notes()) {
    absl::StrAppend(&text, terminal.Paint(Style::kDim, absl::StrCat("note: ", Printable(note))), "\n");
  }
  return text;
}

std::string CompareOutputsCsv(const v1::CompareJobsResponse& answer) {
  std::string csv = CsvLine({"variant", "prompts", "tokens", "tokens_half_width", "equal", "equal_low", "equal_high"});
  for (const v1::ComparedVariant& v : answer.variants()) {
    const v1::Agreement& outputs = v.outputs();
    csv +=
        CsvLine({v.variant(), absl::StrCat(outputs.prompts()), Exact(outputs.tokens().value()),
                 outputs.tokens().has_half_width() ? Exact(outputs.tokens().half_width()) : "", Exact(outputs.equal()),
                 Exact(outputs.equal_interval().low()), Exact(outputs.equal_interval().high())});
  }
  return csv;
}

}  // namespace uaqf::client
