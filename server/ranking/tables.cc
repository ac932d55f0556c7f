#include "server/ranking/tables.h"

#include <cmath>
#include <limits>
#include <string>
#include <tuple>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "server/ranking/measures.h"

namespace uaqf::ranking {
namespace {

absl::Status BadColumns(const char* table) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "the columns of the %s table differ in length: fill every column with one value per record", table));
}

// One row of a table, for messages.
struct Row {
  const Measurements& measurements;
  const char* what;
  std::int32_t variant, item, repeat;

  absl::Status Bad(const std::string& problem) const {
    const std::string name = variant >= 0 && variant < static_cast<std::int32_t>(measurements.variants.size())
                                 ? measurements.variants[variant].name
                                 : absl::StrFormat("variant %d", variant);
    return absl::InvalidArgumentError(
        absl::StrFormat("%s record of %s, item %d, repeat %d: %s", what, name, item, repeat, problem));
  }
  absl::Status CheckPlace() const {
    const auto variants = static_cast<std::int32_t>(measurements.variants.size());
    if (variant < 0 || variant >= variants)
      return Bad(absl::StrFormat("expected a variant from 0 to %d", variants - 1));
    if (item < 0 || repeat < 0) return Bad("expected item and repeat of 0 or more");
    return absl::OkStatus();
  }
};

// Why the values of a record cannot be; empty when they can.
std::string TimingProblem(const TimingColumns& t, std::size_t k) {
  if (t.latency_ns[k] <= 0) return absl::StrFormat("latency is %d ns, expected above 0", t.latency_ns[k]);
  if (t.prefill_ns[k] < 0 || t.decode_ns[k] < 0 || t.prefill_ns[k] > t.latency_ns[k] ||
      t.decode_ns[k] > t.latency_ns[k] - t.prefill_ns[k]) {
    return absl::StrFormat("prefill is %d ns and decode %d ns, expected parts of the latency of %d ns", t.prefill_ns[k],
                           t.decode_ns[k], t.latency_ns[k]);
  }
  if (t.output_tokens[k] < 0) return absl::StrFormat("output tokens are %d, expected 0 or more", t.output_tokens[k]);
  return "";
}

std::string WindowProblem(const WindowColumns& w, std::size_t k) {
  if (w.scored_tokens[k] <= 0) return absl::StrFormat("scored tokens are %d, expected above 0", w.scored_tokens[k]);
  // A certain token rounds to a hair below 0; a likelihood above 1 is nonsense. NaN passes: a collapsed variant. So
  // does infinity, but no finite sum beyond what FP32 log-probabilities give.
  const double tokens = w.scored_tokens[k];
  if (w.nll_sum[k] < -1e-3 * tokens) {
    return absl::StrFormat("negative log-likelihood is %g nats, expected 0 or more", w.nll_sum[k]);
  }
  if (std::isfinite(w.nll_sum[k]) && w.nll_sum[k] > 2.0 * std::numeric_limits<float>::max() * tokens) {
    return absl::StrFormat("negative log-likelihood is %g nats, expected no more than FP32 can give", w.nll_sum[k]);
  }
  return "";
}

std::string GenerationProblem(const GenerationColumns& g, std::size_t k) {
  if (g.output_tokens[k] >= 0) return "";
  return absl::StrFormat("output tokens are %d, expected 0 or more", g.output_tokens[k]);
}

std::string MemoryProblem(const Memory& memory) {
  if (memory.weights_bytes >= 0 && memory.kv_cache_bytes >= 0 && memory.workspace_bytes >= 0 && memory.Ranked() > 0) {
    return "";
  }
  return absl::StrFormat("weights %d, KV cache %d, workspace %d bytes, expected 0 or more and a sum above 0",
                         memory.weights_bytes, memory.kv_cache_bytes, memory.workspace_bytes);
}

constexpr char kTwice[] = "it is there twice, expected one record of each accepted attempt";

absl::Status CheckTimings(const Measurements& m) {
  const TimingColumns& t = m.timings;
  const std::size_t n = t.variant.size();
  if (t.item.size() != n || t.repeat.size() != n || t.output_tokens.size() != n || t.latency_ns.size() != n ||
      t.prefill_ns.size() != n || t.decode_ns.size() != n) {
    return BadColumns("timing");
  }
  for (std::size_t k = 0; k < n; ++k) {
    const Row row{m, "timing", t.variant[k], t.item[k], t.repeat[k]};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    if (const std::string problem = TimingProblem(t, k); !problem.empty()) return row.Bad(problem);
  }
  return absl::OkStatus();
}

absl::Status CheckWindows(const Measurements& m) {
  const WindowColumns& w = m.windows;
  const std::size_t n = w.variant.size();
  if (w.window.size() != n || w.scored_tokens.size() != n || w.nll_sum.size() != n) return BadColumns("window");
  PairIndex seen(n);
  for (std::size_t k = 0; k < n; ++k) {
    const Row row{m, "window", w.variant[k], w.window[k], 0};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    bool added = false;
    seen.Number(w.variant[k], w.window[k], &added);
    if (!added) return row.Bad(kTwice);
    if (const std::string problem = WindowProblem(w, k); !problem.empty()) return row.Bad(problem);
  }
  return absl::OkStatus();
}

absl::Status CheckGenerations(const Measurements& m) {
  const GenerationColumns& g = m.generations;
  const std::size_t n = g.variant.size();
  if (g.item.size() != n || g.output_tokens.size() != n) return BadColumns("generation");
  PairIndex seen(n);
  for (std::size_t k = 0; k < n; ++k) {
    const Row row{m, "generation", g.variant[k], g.item[k], 0};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    bool added = false;
    seen.Number(g.variant[k], g.item[k], &added);
    if (!added) return row.Bad(kTwice);
    if (const std::string problem = GenerationProblem(g, k); !problem.empty()) return row.Bad(problem);
  }
  return absl::OkStatus();
}

absl::Status CheckTasks(const Measurements& m) {
  const TaskColumns& t = m.tasks;
  const std::size_t n = t.variant.size();
  if (t.item.size() != n || t.metric.size() != n || t.passed.size() != n || t.made.size() != n) {
    return BadColumns("task");
  }
  absl::flat_hash_set<std::tuple<std::int32_t, std::int32_t, std::int32_t>> seen;
  for (std::size_t k = 0; k < n; ++k) {
    const Row row{m, "task", t.variant[k], t.item[k], 0};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    if (!seen.insert({t.variant[k], t.item[k], t.metric[k]}).second) return row.Bad(kTwice);
    if (t.made[k] < 1 || t.passed[k] < 0 || t.passed[k] > t.made[k]) {
      return row.Bad(
          absl::StrFormat("%d of %d checks passed, expected 0 or more of 1 or more", t.passed[k], t.made[k]));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDivergences(const Measurements& m) {
  const DivergenceColumns& d = m.divergences;
  const std::size_t n = d.variant.size();
  if (d.window.size() != n || d.positions.size() != n || d.kl_sum.size() != n || d.same_top.size() != n ||
      d.top_k.size() != n || d.shared_top.size() != n || d.kl_upper_sum.size() != n || d.summary_k.size() != n) {
    return BadColumns("divergence");
  }
  PairIndex seen(n);
  for (std::size_t k = 0; k < n; ++k) {
    const Row row{m, "divergence", d.variant[k], d.window[k], 0};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    bool added = false;
    seen.Number(d.variant[k], d.window[k], &added);
    if (!added) return row.Bad(kTwice);
    if (d.positions[k] < 1 || d.top_k[k] < 1) return row.Bad("expected at least one position and a k of at least 1");
    if (d.kl_upper_sum[k] < d.kl_sum[k]) return row.Bad("expected the upper side not below the lower one");
  }
  return absl::OkStatus();
}

absl::Status CheckArticles(const Measurements& m) {
  const ArticleColumns& a = m.articles;
  const std::size_t n = a.variant.size();
  if (a.article.size() != n || a.tokens.size() != n || a.nll_sum.size() != n || a.words.size() != n ||
      a.bytes.size() != n) {
    return BadColumns("article");
  }
  PairIndex seen(n);
  for (std::size_t k = 0; k < n; ++k) {
    const Row row{m, "article", a.variant[k], a.article[k], 0};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    bool added = false;
    seen.Number(a.variant[k], a.article[k], &added);
    if (!added) return row.Bad(kTwice);
    if (a.tokens[k] < 1 || a.words[k] < 1 || a.bytes[k] < 1) {
      return row.Bad("expected at least one token, word and byte");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEnergies(const Measurements& m) {
  const EnergyColumns& e = m.energies;
  const std::size_t n = e.variant.size();
  if (e.first.size() != n || e.count.size() != n || e.energy_j.size() != n || e.output_tokens.size() != n) {
    return BadColumns("energy");
  }
  for (std::size_t k = 0; k < n; ++k) {
    const Row row{m, "energy", e.variant[k], e.first[k], 0};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    if (e.count[k] < 1) return row.Bad(absl::StrFormat("of %d prompts, expected at least 1", e.count[k]));
  }
  return absl::OkStatus();
}

absl::Status CheckAgreements(const Measurements& m) {
  PairIndex seen(m.agreements.size());
  for (const AgreementRow& output : m.agreements) {
    const Row row{m, "agreement", output.variant, output.item, 0};
    if (auto status = row.CheckPlace(); !status.ok()) return status;
    bool added = false;
    seen.Number(output.variant, output.item, &added);
    if (!added) return row.Bad(kTwice);
    if (output.ids.empty()) return row.Bad("expected at least one token");
    std::int32_t last = 0;
    for (const RepeatedOutput& repeat : output.repeats) {
      const bool possible = repeat.batch > last && repeat.same_tokens >= 0 &&
                            repeat.same_tokens <= static_cast<std::int32_t>(output.ids.size());
      if (!possible) {
        return row.Bad(absl::StrFormat("%d tokens of %d are the same in a batch of %d, expected batches ascending",
                                       repeat.same_tokens, output.ids.size(), repeat.batch));
      }
      last = repeat.batch;
    }
  }
  return absl::OkStatus();
}

absl::Status CheckVariants(const Measurements& m) {
  absl::flat_hash_map<std::string, int> names;
  for (const VariantFacts& variant : m.variants) {
    if (++names[variant.name] > 1) {
      return absl::InvalidArgumentError(
          absl::StrFormat("variant \"%s\" is listed twice, expected each name once", variant.name));
    }
    if (!variant.memory) continue;
    if (const std::string problem = MemoryProblem(*variant.memory); !problem.empty()) {
      return absl::InvalidArgumentError(absl::StrFormat("memory of %s: %s", variant.name, problem));
    }
  }
  return absl::OkStatus();
}

// Names the first impossible record of each variant, and drops all rows of those variants.
template <typename Table, typename Problem, typename... Columns>
void SetAside(const char* what, const std::vector<std::int32_t>& item, Table* table, Problem problem,
              std::vector<VariantFacts>* variants, std::string VariantFacts::*reason, Columns*... columns) {
  const std::size_t n = table->variant.size();
  // A table that is not one is for CheckTables to refuse.
  if (((columns->size() != n) || ...)) return;
  std::vector<bool> aside(variants->size());
  bool any = false;
  for (std::size_t k = 0; k < n; ++k) {
    const std::int32_t v = table->variant[k];
    if (v < 0 || v >= static_cast<std::int32_t>(variants->size()) || aside[v]) continue;
    const std::string why = problem(*table, k);
    if (why.empty()) continue;
    aside[v] = any = true;
    (*variants)[v].*reason =
        absl::StrFormat("its %s records are set aside: item %d cannot have been measured: %s", what, item[k], why);
  }
  if (!any) return;
  std::vector<bool> keep(n);
  for (std::size_t k = 0; k < n; ++k) {
    const std::int32_t v = table->variant[k];
    keep[k] = v < 0 || v >= static_cast<std::int32_t>(aside.size()) || !aside[v];
  }
  (KeepColumn(keep, columns), ...);
}

}  // namespace

Measurements SetAsideWhatCannotBe(Measurements measurements) {
  std::vector<VariantFacts>& variants = measurements.variants;
  TimingColumns& t = measurements.timings;
  if (t.group.empty()) t.group.resize(t.variant.size());
  SetAside("timing", t.item, &t, TimingProblem, &variants, &VariantFacts::timing_problem, &t.variant, &t.item,
           &t.repeat, &t.output_tokens, &t.latency_ns, &t.prefill_ns, &t.decode_ns, &t.group);
  GenerationColumns& g = measurements.generations;
  SetAside("generation", g.item, &g, GenerationProblem, &variants, &VariantFacts::length_problem, &g.variant, &g.item,
           &g.output_tokens);
  WindowColumns& w = measurements.windows;
  SetAside("window", w.window, &w, WindowProblem, &variants, &VariantFacts::quality_problem, &w.variant, &w.window,
           &w.scored_tokens, &w.nll_sum);
  for (VariantFacts& variant : variants) {
    if (!variant.memory) continue;
    const std::string problem = MemoryProblem(*variant.memory);
    if (problem.empty()) continue;
    variant.memory_problem = absl::StrFormat("its memory is set aside: %s", problem);
    variant.memory.reset();
  }
  return measurements;
}

void KeepRows(const std::vector<bool>& keep, TimingColumns* t) {
  for (auto* column : {&t->variant, &t->item, &t->repeat, &t->output_tokens}) KeepColumn(keep, column);
  for (auto* column : {&t->latency_ns, &t->prefill_ns, &t->decode_ns}) KeepColumn(keep, column);
  for (auto* column : {&t->group, &t->process}) {
    if (!column->empty()) KeepColumn(keep, column);
  }
}

void KeepRows(const std::vector<bool>& keep, WindowColumns* w) {
  for (auto* column : {&w->variant, &w->window, &w->scored_tokens}) KeepColumn(keep, column);
  KeepColumn(keep, &w->nll_sum);
}

void KeepRows(const std::vector<bool>& keep, EnergyColumns* e) {
  for (auto* column : {&e->variant, &e->first, &e->count}) KeepColumn(keep, column);
  KeepColumn(keep, &e->energy_j);
  KeepColumn(keep, &e->output_tokens);
}

std::int32_t BaselineIndex(const Measurements& measurements) {
  for (std::size_t v = 0; v < measurements.variants.size(); ++v) {
    if (measurements.variants[v].name == kBaseline) return static_cast<std::int32_t>(v);
  }
  return -1;
}

absl::Status CheckTables(const Measurements& measurements) {
  for (const auto check : {CheckVariants, CheckTimings, CheckWindows, CheckGenerations, CheckTasks, CheckDivergences,
                           CheckArticles, CheckEnergies, CheckAgreements}) {
    if (auto status = check(measurements); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace uaqf::ranking
