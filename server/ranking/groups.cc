#include "server/ranking/groups.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
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

// What times of `group` are multiplied by; absent when nothing is common.
std::optional<double> ScaleOf(const std::map<PromptRun, std::int64_t>& first,
                              const std::map<PromptRun, std::int64_t>& group) {
  double before = 0;
  double here = 0;
  for (const auto& [run, ns] : group) {
    const auto common = first.find(run);
    if (common == first.end()) continue;
    before += static_cast<double>(common->second);
    here += static_cast<double>(ns);
  }
  return here > 0 ? std::optional<double>(before / here) : std::nullopt;
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
    members_[group].insert(t.variant[k]);
    const auto [scale, is_new] = scales_.try_emplace(group);
    if (is_new) scale->second = ScaleOf(times_[0], times_[group]);
    if (!scale->second.has_value()) return false;
    ScaleRow(*scale->second, k, &t);
    return true;
  }

  void Explain() {
    for (const auto& [group, members] : members_) {
      const std::optional<double>& scale = scales_.at(group);
      if (scale.has_value()) {
        out_.notes.push_back(
            absl::StrFormat("%s ran in group %d, where fp16 took %+.2f %% more time than in group 1: compared by the "
                            "ratio to that fp16",
                            Names(out_.measurements, members), group + 1, (1 / *scale - 1) * 100));
        continue;
      }
      for (const std::int32_t v : members) {
        out_.measurements.variants[v].timing_problem = absl::StrFormat(
            "it ran in group %d, where fp16 has no timing record yet that it also has in group 1", group + 1);
      }
    }
  }

  AlignedRecords out_;
  std::map<std::int32_t, std::map<PromptRun, std::int64_t>> times_;
  std::map<std::int32_t, std::optional<double>> scales_;    // by group, from 1
  std::map<std::int32_t, std::set<std::int32_t>> members_;  // by group, from 1
};

}  // namespace

AlignedRecords AlignGroups(Measurements measurements) { return Aligner(std::move(measurements)).Run(); }

}  // namespace uaqf::ranking
