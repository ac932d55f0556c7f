// Small measurements and figures to rank, written out by hand.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/ranking/measures.h"
#include "server/ranking/profile.h"
#include "server/ranking/rank.h"

namespace uaqf::ranking {

// Measurements, one record at a time.
class Recorder {
 public:
  explicit Recorder(std::vector<std::string> variants) {
    for (std::string& name : variants)
      measurements_.variants.push_back({.name = std::move(name), .memory = Memory{.weights_bytes = 1000}});
  }
  // Latency in seconds; half of it is prefill, half decode.
  Recorder& Timing(int variant, int item, int repeat, double latency_s, int tokens) {
    TimingColumns& t = measurements_.timings;
    const auto ns = static_cast<std::int64_t>(latency_s * 1e9 + 0.5);
    t.variant.push_back(variant);
    t.item.push_back(item);
    t.repeat.push_back(repeat);
    t.output_tokens.push_back(tokens);
    t.latency_ns.push_back(ns);
    t.prefill_ns.push_back(ns / 2);
    t.decode_ns.push_back(ns / 2);
    return *this;
  }
  Recorder& Window(int variant, int window, double nll_per_token, int tokens = 100) {
    WindowColumns& w = measurements_.windows;
    w.variant.push_back(variant);
    w.window.push_back(window);
    w.scored_tokens.push_back(tokens);
    w.nll_sum.push_back(nll_per_token * tokens);
    return *this;
  }
  Recorder& Generation(int variant, int item, int tokens) {
    GenerationColumns& g = measurements_.generations;
    g.variant.push_back(variant);
    g.item.push_back(item);
    g.output_tokens.push_back(tokens);
    return *this;
  }
  Recorder& Task(int variant, int item, int metric, int passed, int made = 1) {
    TaskColumns& t = measurements_.tasks;
    t.variant.push_back(variant);
    t.item.push_back(item);
    t.metric.push_back(metric);
    t.passed.push_back(passed);
    t.made.push_back(made);
    return *this;
  }
  Recorder& Divergence(int variant, int window, double kl_per_token, int same_top, int shared_top) {
    DivergenceColumns& d = measurements_.divergences;
    d.variant.push_back(variant);
    d.window.push_back(window);
    d.positions.push_back(100);
    d.kl_sum.push_back(kl_per_token * 100);
    d.same_top.push_back(same_top);
    d.top_k.push_back(10);
    d.shared_top.push_back(shared_top);
    d.kl_upper_sum.push_back(d.kl_sum.back());
    d.summary_k.push_back(0);
    return *this;
  }
  // One that a summary of k tokens bounds from both sides.
  Recorder& Bounded(int variant, int window, double lower_per_token, double upper_per_token, int k) {
    Divergence(variant, window, lower_per_token, 90, 900);
    measurements_.divergences.kl_upper_sum.back() = upper_per_token * 100;
    measurements_.divergences.summary_k.back() = k;
    return *this;
  }
  Recorder& Article(int variant, int article, double nll_per_word, int words = 100) {
    ArticleColumns& a = measurements_.articles;
    a.variant.push_back(variant);
    a.article.push_back(article);
    a.tokens.push_back(words * 3 / 2);
    a.nll_sum.push_back(nll_per_word * words);
    a.words.push_back(words);
    a.bytes.push_back(words * 5);
    return *this;
  }
  Recorder& Output(int variant, int item, std::vector<std::int32_t> ids, std::vector<RepeatedOutput> repeats) {
    AgreementRow& row = measurements_.agreements.emplace_back();
    row.variant = variant;
    row.item = item;
    row.ids = std::move(ids);
    row.repeats = std::move(repeats);
    return *this;
  }
  // One timing chunk of prompts [first, first + count).
  Recorder& Energy(int variant, int first, int count, double energy_j, std::int64_t tokens) {
    EnergyColumns& e = measurements_.energies;
    e.variant.push_back(variant);
    e.first.push_back(first);
    e.count.push_back(count);
    e.energy_j.push_back(energy_j);
    e.output_tokens.push_back(tokens);
    return *this;
  }
  Measurements& measurements() { return measurements_; }

 private:
  Measurements measurements_;
};

// Figures of one variant, everything that a profile can weigh.
struct Figures {
  std::string name;
  double tokens_per_s;
  double delta_perplexity;
  double delta_nll;
  double stability;
  std::int64_t bytes;
};

inline VariantMeasures MeasuresOf(const Figures& f) {
  VariantMeasures m;
  m.variant = f.name;
  m.timing_records = 6;
  m.prompts = 2;
  m.repeats = 3;
  m.tokens_per_s = Estimate{f.tokens_per_s, std::nullopt};
  m.latency_s = Estimate{32 / f.tokens_per_s, std::nullopt};
  m.relative_stability = f.stability;
  m.latency_deviation_s = f.stability * m.latency_s->value;
  m.throughput_deviation = f.stability * f.tokens_per_s;
  m.windows = 4;
  m.delta_perplexity = f.delta_perplexity;
  m.delta_nll = Estimate{f.delta_nll, std::nullopt};
  m.memory_bytes = f.bytes;
  return m;
}

inline std::vector<VariantMeasures> MeasuresOf(const std::vector<Figures>& figures) {
  std::vector<VariantMeasures> measures;
  for (const Figures& f : figures) measures.push_back(MeasuresOf(f));
  return measures;
}

inline const RankedVariant& Find(const Ranking& ranking, const std::string& name) {
  for (const RankedVariant& variant : ranking.variants) {
    if (variant.variant == name) return variant;
  }
  ADD_FAILURE() << "no " << name << " in the ranking";
  static const RankedVariant none;
  return none;
}

inline const Profile& BuiltIn(const std::string& id) {
  const Profile* profile = FindBuiltInProfile("profiles/" + id);
  if (profile == nullptr) ADD_FAILURE() << "no built-in profile " << id;
  static const Profile none;
  return profile == nullptr ? none : *profile;
}

inline bool AnyContains(const std::vector<std::string>& texts, const std::string& part) {
  for (const std::string& text : texts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace uaqf::ranking
