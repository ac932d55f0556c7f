#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/figures.h"
#include "client/records.h"
#include "client/show.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

std::string Spread(bool has, const v1::Estimate& estimate, int decimals) {
  return has && estimate.has_half_width() ? Fixed(estimate.half_width(), decimals) : "";
}

// fp16's difference to itself is nothing, without a spread.
std::string SignedWithSpread(bool has, const v1::Estimate& estimate, int decimals) {
  if (!has) return "";
  const std::string value = Signed(estimate.value(), decimals);
  if (!estimate.has_half_width() || (estimate.value() == 0 && estimate.half_width() == 0)) return value;
  return absl::StrCat(value, " ±", Fixed(estimate.half_width(), decimals));
}

// Digits behind the point: `fewest`, or as many as show the smallest spread of a column at all.
template <typename EstimateOf>
int Decimals(const v1::MeasureVariantsResponse& measures, EstimateOf estimate_of, double unit, int fewest) {
  constexpr int kMost = 6;
  double smallest = std::numeric_limits<double>::infinity();
  for (const v1::VariantMeasures& m : measures.variants()) {
    const v1::Estimate estimate = estimate_of(m);
    if (estimate.half_width() > 0) smallest = std::min(smallest, estimate.half_width() * unit);
  }
  if (!std::isfinite(smallest)) return fewest;
  return std::clamp(static_cast<int>(std::ceil(-std::log10(smallest))), fewest, kMost);
}

template <typename Value>
std::string Raw(bool has, Value value) {
  return has ? absl::StrCat(value) : "";
}
std::string Raw(bool has, double value) { return has ? Exact(value) : ""; }

void AppendEstimate(bool has, const v1::Estimate& estimate, std::vector<std::string>* cells) {
  cells->push_back(Raw(has, estimate.value()));
  cells->push_back(Raw(has && estimate.has_half_width(), estimate.half_width()));
}

// A collapsed variant's divergence is no number, and of a bounded one both sides are known; it was measured all the
// same.
std::string DivergenceCell(const v1::DivergenceMeasure& divergence) {
  if (divergence.positions() == 0) return "";
  if (!divergence.has_kl() && divergence.has_kl_lower() && divergence.has_kl_upper()) {
    return absl::StrCat("between ", Fixed(divergence.kl_lower().value(), 4), " and ",
                        Fixed(divergence.kl_upper().value(), 4));
  }
  if (!divergence.has_kl()) return "collapsed";
  const std::string value = Fixed(divergence.kl().value(), 4);
  if (!divergence.kl().has_half_width()) return value;
  return absl::StrCat(value, " ±", Fixed(divergence.kl().half_width(), 4));
}

std::string EnergyCell(const v1::EnergyMeasure& energy) {
  if (energy.chunks() == 0) return "";
  const std::string value = Fixed(energy.joules_per_token().value(), 3);
  if (!energy.joules_per_token().has_half_width()) return value;
  return absl::StrCat(value, " ±", Fixed(energy.joules_per_token().half_width(), 3));
}

std::string WordPerplexityCell(const v1::ArticleMeasure& articles) {
  if (articles.articles() == 0) return "";
  return articles.has_word_perplexity() ? Fixed(articles.word_perplexity(), 3) : "collapsed";
}

// Against fp16 on the same items, in percent points.
std::string ChangeCell(const v1::TaskMeasure& task) {
  if (!task.has_score_change()) return "";
  const std::string value = Signed(task.score_change().value() * 100, 1);
  if (!task.score_change().has_half_width()) return value;
  return absl::StrCat(value, " ±", Fixed(task.score_change().half_width() * 100, 1));
}

// One row for each metric of each variant; empty without tasks.
std::string TasksText(const v1::MeasureVariantsResponse& measures, const Terminal& terminal) {
  Table table({{"variant"},
               {"metric"},
               {"items", Align::kRight},
               {"score", Align::kRight},
               {"wrong to right", Align::kRight},
               {"right to wrong", Align::kRight},
               {"change", Align::kRight},
               {"p of the flips", Align::kRight}});
  bool any = false;
  for (const v1::VariantMeasures& m : measures.variants()) {
    for (const v1::TaskMeasure& task : m.tasks()) {
      any = true;
      table.AddRow({m.variant(), TaskMetricName(task.metric()), absl::StrCat(task.items()),
                    absl::StrCat(Fixed(task.score() * 100, 1), " %"),
                    Raw(task.has_flips_to_right(), task.flips_to_right()),
                    Raw(task.has_flips_to_wrong(), task.flips_to_wrong()), ChangeCell(task),
                    task.has_flip_p_value() ? Fixed(task.flip_p_value(), 3) : ""});
    }
  }
  if (!any) return "";
  table.DropEmptyColumns();
  return table.Text(terminal);
}

// "numeric strict=0.25;numeric flexible=0.3".
std::string TasksCell(const v1::VariantMeasures& m) {
  std::vector<std::string> cells;
  for (const v1::TaskMeasure& task : m.tasks()) {
    cells.push_back(absl::StrCat(TaskMetricName(task.metric()), "=", Exact(task.score())));
  }
  return absl::StrJoin(cells, ";");
}

}  // namespace

std::string MeasuresText(const v1::MeasureVariantsResponse& measures, const Terminal& terminal) {
  const int latency = Decimals(
      measures, [](const auto& m) { return m.latency_s(); }, 1, 3);
  const int ttft = Decimals(
      measures, [](const auto& m) { return m.ttft_s(); }, 1e3, 1);
  const int nll = Decimals(
      measures, [](const auto& m) { return m.delta_nll(); }, 1, 3);
  Table table({{"variant"},
               {"latency s", Align::kRight},
               {"±95 %", Align::kRight},
               {"TTFT ms", Align::kRight},
               {"tok/s", Align::kRight},
               {"speedup", Align::kRight},
               {"stability", Align::kRight},
               {"perplexity", Align::kRight},
               {"ΔPPL", Align::kRight},
               {"ΔNLL"},
               {"KL"},
               {"same top-1", Align::kRight},
               {"word PPL", Align::kRight},
               {"Δword PPL", Align::kRight},
               {"bits/byte", Align::kRight},
               {"length", Align::kRight},
               {"memory", Align::kRight},
               {"J/token", Align::kRight},
               {"tainted", Align::kRight},
               {"quarantined", Align::kRight}});
  for (const v1::VariantMeasures& m : measures.variants()) {
    table.AddRow({m.variant(),
                  m.has_latency_s() ? Fixed(m.latency_s().value(), latency) : "",
                  Spread(m.has_latency_s(), m.latency_s(), latency),
                  m.has_ttft_s() ? Fixed(m.ttft_s().value() * 1e3, ttft) : "",
                  m.has_tokens_per_s() ? Fixed(m.tokens_per_s().value(), 1) : "",
                  m.has_speedup() ? Fixed(m.speedup(), 2) : "",
                  m.has_relative_stability() ? absl::StrCat(Fixed(m.relative_stability() * 100, 2), " %") : "",
                  m.has_perplexity() ? Fixed(m.perplexity(), 3) : "",
                  m.has_delta_perplexity() ? Signed(m.delta_perplexity(), 3) : "",
                  SignedWithSpread(m.has_delta_nll(), m.delta_nll(), nll),
                  DivergenceCell(m.divergence()),
                  m.has_divergence() ? absl::StrCat(Fixed(m.divergence().same_top() * 100, 1), " %") : "",
                  WordPerplexityCell(m.articles()),
                  m.articles().has_delta_word_perplexity() ? Signed(m.articles().delta_word_perplexity(), 3) : "",
                  m.articles().has_bits_per_byte() ? Fixed(m.articles().bits_per_byte(), 4) : "",
                  SignedWithSpread(m.has_output_length_change(), m.output_length_change(), 1),
                  m.has_memory_bytes() ? Bytes(m.memory_bytes()) : "",
                  EnergyCell(m.energy()),
                  m.tainted_chunks() > 0 ? Count(m.tainted_chunks(), "chunk") : "",
                  m.quarantined() > 0 ? Count(m.quarantined(), "record") : ""});
  }
  table.DropEmptyColumns();
  std::string text = table.Text(terminal);
  if (const std::string tasks = TasksText(measures, terminal); !tasks.empty()) absl::StrAppend(&text, "\n", tasks);
  std::vector<NamedBehaviour> behaviours;
  for (const v1::VariantMeasures& m : measures.variants()) behaviours.emplace_back(m.variant(), &m.behaviour());
  if (const std::string outputs = BehaviourText(behaviours, terminal); !outputs.empty()) {
    absl::StrAppend(&text, "\n", outputs);
  }
  for (const std::string& note : measures.notes()) {
    absl::StrAppend(&text, terminal.Paint(Style::kDim, absl::StrCat("note: ", Printable(note))), "\n");
  }
  return text;
}

std::string MeasuresCsv(const v1::MeasureVariantsResponse& measures) {
  std::vector<std::string> columns = {"variant",
                                      "timing_records",
                                      "prompts",
                                      "repeats",
                                      "latency_s",
                                      "latency_s_half_width",
                                      "latency_p50_s",
                                      "latency_p95_s",
                                      "ttft_s",
                                      "ttft_s_half_width",
                                      "tokens_per_s",
                                      "tokens_per_s_half_width",
                                      "token_weighted_tokens_per_s",
                                      "inter_token_s",
                                      "speedup",
                                      "latency_deviation_s",
                                      "throughput_deviation",
                                      "relative_stability",
                                      "run_mean_deviation_s",
                                      "across_prompt_deviation_s",
                                      "windows",
                                      "nll",
                                      "perplexity",
                                      "delta_perplexity",
                                      "delta_nll",
                                      "delta_nll_half_width",
                                      "output_length_change",
                                      "output_length_change_half_width",
                                      "memory_bytes",
                                      "weights_bytes",
                                      "kv_cache_bytes",
                                      "workspace_bytes",
                                      "measured_peak_bytes",
                                      "tainted_chunks",
                                      "quarantined",
                                      "kl",
                                      "kl_half_width",
                                      "same_top",
                                      "top_agreement",
                                      "top_k",
                                      "divergence_positions",
                                      "tasks",
                                      "articles",
                                      "word_perplexity",
                                      "byte_perplexity",
                                      "bits_per_byte",
                                      "delta_word_perplexity",
                                      "kl_lower",
                                      "kl_lower_half_width",
                                      "kl_upper",
                                      "kl_upper_half_width",
                                      "energy_per_token",
                                      "energy_per_token_half_width",
                                      "energy_chunks",
                                      "energy_j"};
  for (std::string& column : BehaviourColumns()) columns.push_back(std::move(column));
  std::string csv = CsvLine(columns);
  for (const v1::VariantMeasures& m : measures.variants()) {
    std::vector<std::string> cells = {m.variant(), Raw(true, m.timing_records()), Raw(true, m.prompts()),
                                      Raw(true, m.repeats())};
    AppendEstimate(m.has_latency_s(), m.latency_s(), &cells);
    cells.push_back(Raw(m.has_latency_p50_s(), m.latency_p50_s()));
    cells.push_back(Raw(m.has_latency_p95_s(), m.latency_p95_s()));
    AppendEstimate(m.has_ttft_s(), m.ttft_s(), &cells);
    AppendEstimate(m.has_tokens_per_s(), m.tokens_per_s(), &cells);
    cells.push_back(Raw(m.has_token_weighted_tokens_per_s(), m.token_weighted_tokens_per_s()));
    cells.push_back(Raw(m.has_inter_token_s(), m.inter_token_s()));
    cells.push_back(Raw(m.has_speedup(), m.speedup()));
    cells.push_back(Raw(m.has_latency_deviation_s(), m.latency_deviation_s()));
    cells.push_back(Raw(m.has_throughput_deviation(), m.throughput_deviation()));
    cells.push_back(Raw(m.has_relative_stability(), m.relative_stability()));
    cells.push_back(Raw(m.has_run_mean_deviation_s(), m.run_mean_deviation_s()));
    cells.push_back(Raw(m.has_across_prompt_deviation_s(), m.across_prompt_deviation_s()));
    cells.push_back(Raw(true, m.windows()));
    cells.push_back(Raw(m.has_nll(), m.nll()));
    cells.push_back(Raw(m.has_perplexity(), m.perplexity()));
    cells.push_back(Raw(m.has_delta_perplexity(), m.delta_perplexity()));
    AppendEstimate(m.has_delta_nll(), m.delta_nll(), &cells);
    AppendEstimate(m.has_output_length_change(), m.output_length_change(), &cells);
    cells.push_back(Raw(m.has_memory_bytes(), m.memory_bytes()));
    cells.push_back(Raw(m.has_memory(), m.memory().weights_bytes()));
    cells.push_back(Raw(m.has_memory(), m.memory().kv_cache_bytes()));
    cells.push_back(Raw(m.has_memory(), m.memory().workspace_bytes()));
    cells.push_back(Raw(m.has_memory(), m.memory().measured_peak_bytes()));
    cells.push_back(Raw(true, m.tainted_chunks()));
    cells.push_back(Raw(true, m.quarantined()));
    AppendEstimate(m.divergence().has_kl(), m.divergence().kl(), &cells);
    cells.push_back(Raw(m.has_divergence(), m.divergence().same_top()));
    cells.push_back(Raw(m.has_divergence(), m.divergence().top_agreement()));
    cells.push_back(Raw(m.has_divergence(), m.divergence().top_k()));
    cells.push_back(Raw(m.has_divergence(), m.divergence().positions()));
    cells.push_back(TasksCell(m));
    const v1::ArticleMeasure& a = m.articles();
    cells.push_back(Raw(m.has_articles(), a.articles()));
    cells.push_back(Raw(a.has_word_perplexity(), a.word_perplexity()));
    cells.push_back(Raw(a.has_byte_perplexity(), a.byte_perplexity()));
    cells.push_back(Raw(a.has_bits_per_byte(), a.bits_per_byte()));
    cells.push_back(Raw(a.has_delta_word_perplexity(), a.delta_word_perplexity()));
    AppendEstimate(m.divergence().has_kl_lower(), m.divergence().kl_lower(), &cells);
    AppendEstimate(m.divergence().has_kl_upper(), m.divergence().kl_upper(), &cells);
    AppendEstimate(m.has_energy(), m.energy().joules_per_token(), &cells);
    cells.push_back(Raw(m.has_energy(), m.energy().chunks()));
    cells.push_back(Raw(m.has_energy(), m.energy().energy_j()));
    for (std::string& cell : BehaviourCells(m.has_behaviour(), m.behaviour())) cells.push_back(std::move(cell));
    csv += CsvLine(cells);
  }
  return csv;
}

Table ConfigurationsTable(const v1::MeasureVariantsResponse& measures) {
  Table table({{"variant"}, {"digest"}, {"configuration"}});
  for (const v1::VariantConfiguration& configuration : measures.configurations()) {
    table.AddRow({configuration.variant(), configuration.digest().substr(0, 12), configuration.configuration()});
  }
  return table;
}

Table ConfigurationsCsv(const v1::MeasureVariantsResponse& measures) {
  Table table({{"variant"}, {"digest"}, {"configuration"}});
  for (const v1::VariantConfiguration& configuration : measures.configurations()) {
    table.AddRow({configuration.variant(), configuration.digest(), configuration.configuration()});
  }
  return table;
}

}  // namespace uaqf::client
