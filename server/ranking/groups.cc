#include "server/ranking/groups.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

using PromptRun = std::pair<std::int32_t, std::int32_t>;  // (item, repeat)

// Times of fp16 in each group, by prompt and run.
std::map<std::int32_t, std::map<PromptRun, std::int64_t>> BaselineTimes(const TimingColumns& t, std::int32_t baseline) {
  std::map<std::int32_t, std::map<PromptRun, std::int64_t>> times;
  for (std::size_t k = 0; k < t.variant.size(); ++k) {
    if (t.variant[k] == baseline) times[t.group[k]].emplace(PromptRun(t.item[k], t.repeat[k]), t.latency_ns[k]);
  }
  return times;
}

// fp16's times in the first group and in a later one, of the runs that both have.
struct Ratio {
  double first = 0;
  double here = 0;

  void Add(double first_ns, double here_ns) {
    first += first_ns;
    here += here_ns;
  }
  // What times of the later group are multiplied by.
  double Scale() const { return first / here; }
};

std::map<std::int32_t, Ratio> RatiosByPrompt(const std::map<PromptRun, std::int64_t>& first,
                                             const std::map<PromptRun, std::int64_t>& group) {
  std::map<std::int32_t, Ratio> ratios;
  for (const auto& [run, ns] : group) {
    const auto common = first.find(run);
    if (common == first.end() || ns <= 0) continue;
    ratios[run.first].Add(static_cast<double>(common->second), static_cast<double>(ns));
  }
  return ratios;
}

void ScaleRow(double factor, std::size_t k, TimingColumns* t) {
  t->latency_ns[k] = std::llround(static_cast<double>(t->latency_ns[k]) * factor);
  // Rounded down: parts stay parts.
  for (std::int64_t* part : {&t->prefill_ns[k], &t->decode_ns[k]}) {
    *part = static_cast<std::int64_t>(std::floor(static_cast<double>(*part) * factor));
  }
}

std::string Names(const Measurements& m, const std::set<std::int32_t>& variants) {
  return absl::StrJoin(variants, ", ", [&](std::string* out, std::int32_t v) { *out += m.variants[v].name; });
}

class Aligner {
 public:
  explicit Aligner(Measurements measurements) : out_{std::move(measurements), {}} {}

  AlignedRecords Run() {
    Measurements& m = out_.measurements;
    TimingColumns& t = m.timings;
    const std::int32_t baseline = BaselineIndex(m);
    const bool several = std::any_of(t.group.begin(), t.group.end(), [](std::int32_t g) { return g != 0; });
    if (several && baseline >= 0 && IsTable(m)) {
      times_ = BaselineTimes(t, baseline);
      std::vector<bool> keep(t.variant.size());
      for (std::size_t k = 0; k < keep.size(); ++k) keep[k] = KeepRow(k, baseline);
      KeepRows(keep, &t);
      Explain();
    }
    t.group.clear();
    return std::move(out_);
  }

 private:
  static bool IsTable(const Measurements& m) {
    const TimingColumns& t = m.timings;
    const auto variants = static_cast<std::int32_t>(m.variants.size());
    const bool in_range =
        std::all_of(t.variant.begin(), t.variant.end(), [&](std::int32_t v) { return v >= 0 && v < variants; });
    const std::size_t n = t.variant.size();
    return in_range && t.group.size() == n && t.item.size() == n && t.repeat.size() == n &&
           t.output_tokens.size() == n && t.latency_ns.size() == n && t.prefill_ns.size() == n &&
           t.decode_ns.size() == n;
  }

  // Scales the row; false when it goes.
  bool KeepRow(std::size_t k, std::int32_t baseline) {
    TimingColumns& t = out_.measurements.timings;
    const std::int32_t group = t.group[k];
    if (group == 0) return true;
    if (t.variant[k] == baseline) return false;
    const auto [ratios, is_new] = ratios_.try_emplace(group);
    if (is_new) ratios->second = RatiosByPrompt(times_[0], times_[group]);
    Rows& rows = members_[group][t.variant[k]];
    const auto ratio = ratios->second.find(t.item[k]);
    if (ratio == ratios->second.end()) {
      ++rows.left_out;
      return false;
    }
    ++rows.kept;
    ScaleRow(ratio->second.Scale(), k, &t);
    return true;
  }

  void Explain() {
    for (const auto& [group, members] : members_) {
      std::set<std::int32_t> compared;
      for (const auto& [v, rows] : members) {
        if (rows.kept > 0) {
          compared.insert(v);
          continue;
        }
        out_.measurements.variants[v].timing_problem = absl::StrFormat(
            "it ran in group %d, where fp16 has no timing record yet of its prompts that it also has in group 1",
            group + 1);
      }
      if (compared.empty()) continue;
      out_.notes.push_back(
          absl::StrFormat("%s ran in group %d, where fp16 took %+.2f %% more time than in group 1: compared by the "
                          "ratio to that fp16, prompt by prompt",
                          Names(out_.measurements, compared), group + 1, (1 / ScaleOfAll(group) - 1) * 100));
      for (const std::int32_t v : compared) ExplainLeftOut(group, v, members.at(v).left_out);
    }
  }

  void ExplainLeftOut(std::int32_t group, std::int32_t variant, std::int64_t rows) {
    if (rows == 0) return;
    out_.notes.push_back(absl::StrFormat(
        "%s: timing records of prompts that fp16 lacks in group 1 or in group %d are left out, %d of them",
        out_.measurements.variants[variant].name, group + 1, rows));
  }

  double ScaleOfAll(std::int32_t group) const {
    Ratio all;
    for (const auto& [item, ratio] : ratios_.at(group)) all.Add(ratio.first, ratio.here);
    return all.Scale();
  }

  struct Rows {
    std::int64_t kept = 0;
    std::int64_t left_out = 0;
  };

  AlignedRecords out_;
  std::map<std::int32_t, std::map<PromptRun, std::int64_t>> times_;
  std::map<std::int32_t, std::map<std::int32_t, Ratio>> ratios_;  // by group, from 1, and prompt
  std::map<std::int32_t, std::map<std::int32_t, Rows>> members_;  // by group, from 1, and variant
};

}  // namespace

AlignedRecords AlignGroups(Measurements measurements) { return Aligner(std::move(measurements)).Run(); }

}  // namespace uaqf::ranking
