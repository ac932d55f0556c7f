#include "server/ranking/merge.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/ranking/measures.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

template <typename T>
void Append(const std::vector<bool>& keep, const std::vector<T>& from, std::vector<T>* to) {
  for (std::size_t k = 0; k < keep.size() && k < from.size(); ++k) {
    if (keep[k]) to->push_back(from[k]);
  }
}

class Merger {
 public:
  absl::Status Add(const JobRecords& records) {
    if (absl::Status named = Name(records); !named.ok()) return named;
    const Measurements& from = records.measurements;
    AddTimings(records);
    Measurements& to = out_.measurements;
    Rows(from.windows.variant, &to.windows.variant, [&](const std::vector<bool>& keep) {
      Append(keep, from.windows.window, &to.windows.window);
      Append(keep, from.windows.scored_tokens, &to.windows.scored_tokens);
      Append(keep, from.windows.nll_sum, &to.windows.nll_sum);
    });
    Rows(from.generations.variant, &to.generations.variant, [&](const std::vector<bool>& keep) {
      Append(keep, from.generations.item, &to.generations.item);
      Append(keep, from.generations.output_tokens, &to.generations.output_tokens);
    });
    Rows(from.tasks.variant, &to.tasks.variant, [&](const std::vector<bool>& keep) {
      Append(keep, from.tasks.item, &to.tasks.item);
      Append(keep, from.tasks.metric, &to.tasks.metric);
      Append(keep, from.tasks.passed, &to.tasks.passed);
      Append(keep, from.tasks.made, &to.tasks.made);
    });
    AddDivergences(from.divergences, &to.divergences);
    AddArticles(from.articles, &to.articles);
    Rows(from.energies.variant, &to.energies.variant, [&](const std::vector<bool>& keep) {
      Append(keep, from.energies.first, &to.energies.first);
      Append(keep, from.energies.count, &to.energies.count);
      Append(keep, from.energies.energy_j, &to.energies.energy_j);
      Append(keep, from.energies.output_tokens, &to.energies.output_tokens);
    });
    for (const AgreementRow& row : from.agreements) {
      if (!InRange(row.variant) || (jobs_ > 0 && IsBaseline(row.variant))) continue;
      to.agreements.push_back(row);
      to.agreements.back().variant = numbers_[static_cast<std::size_t>(row.variant)];
    }
    ++jobs_;
    return absl::OkStatus();
  }

  MergedRecords Take() { return std::move(out_); }

 private:
  // Numbers the job's variants; its fp16, in all but the first, is that of the first.
  absl::Status Name(const JobRecords& records) {
    numbers_.clear();
    own_baseline_ = false;
    const std::string other_memory = WhyOtherMemory(records);
    for (const VariantFacts& variant : records.measurements.variants) {
      const bool baseline = variant.name == kBaseline;
      own_baseline_ = own_baseline_ || baseline;
      const auto next = static_cast<std::int32_t>(out_.measurements.variants.size());
      if (baseline && jobs_ > 0 && named_.count(variant.name) == 0) {
        return absl::FailedPreconditionError(absl::StrFormat(
            "the first job has no fp16, which every variant is compared with, and %s has: name it first", records.job));
      }
      const auto [found, is_new] = named_.try_emplace(variant.name, Place{next, records.job});
      if (!is_new && !baseline) {
        return absl::FailedPreconditionError(
            absl::StrFormat("%s is in %s and in %s, expected each variant beside fp16 in one of the jobs: which of its "
                            "records to rank is not for us to choose. Leave one job out; `uaqf jobs compare` tells "
                            "whether they differ",
                            variant.name, found->second.job, records.job));
      }
      if (is_new) {
        out_.measurements.variants.push_back(variant);
        if (!other_memory.empty()) {
          out_.measurements.variants.back().memory.reset();
          out_.measurements.variants.back().memory_problem = other_memory;
        }
      }
      numbers_.push_back(found->second.number);
      if (baseline) baseline_ = found->second.number;
    }
    return absl::OkStatus();
  }

  // Why what variants of the job take is not to be compared with what those of the first take; empty when it is. FP16
  // takes the same where sequences are as long and batches as large.
  std::string WhyOtherMemory(const JobRecords& records) const {
    if (jobs_ == 0 || baseline_ < 0) return "";
    const std::optional<Memory>& first = out_.measurements.variants[static_cast<std::size_t>(baseline_)].memory;
    for (const VariantFacts& variant : records.measurements.variants) {
      if (variant.name != kBaseline || !variant.memory || !first) continue;
      if (variant.memory->Ranked() == first->Ranked()) return "";
      return absl::StrFormat(
          "%s hosts sequences or batches of another size than the first job: fp16 takes %d bytes there and %d here; "
          "measure them in one job, or with the same grid and agreement",
          records.job, variant.memory->Ranked(), first->Ranked());
    }
    return "";
  }

  bool IsBaseline(std::int32_t variant) const { return numbers_[static_cast<std::size_t>(variant)] == baseline_; }
  bool InRange(std::int32_t variant) const {
    return variant >= 0 && variant < static_cast<std::int32_t>(numbers_.size());
  }

  // Keeps the rows of a table but those of fp16 in a later job.
  template <typename Rest>
  void Rows(const std::vector<std::int32_t>& from, std::vector<std::int32_t>* to, const Rest& rest) {
    std::vector<bool> keep(from.size());
    for (std::size_t k = 0; k < from.size(); ++k) {
      keep[k] = InRange(from[k]) && (jobs_ == 0 || !IsBaseline(from[k]));
      if (keep[k]) to->push_back(numbers_[static_cast<std::size_t>(from[k])]);
    }
    rest(keep);
  }

  // fp16 of a later job stays among the timings: AlignGroups takes it out, once times are brought to one scale by it.
  void AddTimings(const JobRecords& records) {
    const TimingColumns& from = records.measurements.timings;
    TimingColumns& to = out_.measurements.timings;
    const std::int32_t offset = jobs_ > 0 && own_baseline_ ? next_group_ : 0;
    std::vector<bool> keep(from.variant.size());
    std::int32_t last = offset;
    for (std::size_t k = 0; k < keep.size(); ++k) {
      keep[k] = InRange(from.variant[k]);
      if (!keep[k]) continue;
      to.variant.push_back(numbers_[static_cast<std::size_t>(from.variant[k])]);
      to.group.push_back(offset + (k < from.group.size() ? from.group[k] : 0));
      last = std::max(last, to.group.back());
    }
    Append(keep, from.item, &to.item);
    Append(keep, from.repeat, &to.repeat);
    Append(keep, from.output_tokens, &to.output_tokens);
    Append(keep, from.latency_ns, &to.latency_ns);
    Append(keep, from.prefill_ns, &to.prefill_ns);
    Append(keep, from.decode_ns, &to.decode_ns);
    if (jobs_ > 0) Explain(records.job, offset, last);
    next_group_ = std::max(next_group_, last + 1);
  }

  void Explain(const std::string& job, std::int32_t first, std::int32_t last) {
    if (!own_baseline_) {
      out_.notes.push_back(absl::StrFormat(
          "%s has no fp16 of its own: what changed on the device between the jobs is not taken out of its times", job));
    } else if (last > first) {
      out_.notes.push_back(absl::StrFormat("groups %d to %d are of %s", first + 1, last + 1, job));
    } else {
      out_.notes.push_back(absl::StrFormat("group %d is %s", first + 1, job));
    }
  }

  void AddDivergences(const DivergenceColumns& from, DivergenceColumns* to) {
    Rows(from.variant, &to->variant, [&](const std::vector<bool>& keep) {
      Append(keep, from.window, &to->window);
      Append(keep, from.positions, &to->positions);
      Append(keep, from.kl_sum, &to->kl_sum);
      Append(keep, from.same_top, &to->same_top);
      Append(keep, from.top_k, &to->top_k);
      Append(keep, from.shared_top, &to->shared_top);
      Append(keep, from.kl_upper_sum, &to->kl_upper_sum);
      Append(keep, from.summary_k, &to->summary_k);
    });
  }

  void AddArticles(const ArticleColumns& from, ArticleColumns* to) {
    Rows(from.variant, &to->variant, [&](const std::vector<bool>& keep) {
      Append(keep, from.article, &to->article);
      Append(keep, from.tokens, &to->tokens);
      Append(keep, from.nll_sum, &to->nll_sum);
      Append(keep, from.words, &to->words);
      Append(keep, from.bytes, &to->bytes);
    });
  }

  struct Place {
    std::int32_t number = 0;
    std::string job;
  };

  MergedRecords out_;
  std::map<std::string, Place> named_;
  std::vector<std::int32_t> numbers_;  // of the job that is added, by its own
  std::int32_t baseline_ = -1;
  bool own_baseline_ = false;  // of the job that is added
  std::int32_t next_group_ = 0;
  int jobs_ = 0;
};

}  // namespace

absl::StatusOr<MergedRecords> MergeJobs(std::vector<JobRecords> jobs) {
  if (jobs.size() == 1) return MergedRecords{std::move(jobs[0].measurements), {}};
  Merger merger;
  for (const JobRecords& records : jobs) {
    if (absl::Status added = merger.Add(records); !added.ok()) return added;
  }
  return merger.Take();
}

}  // namespace uaqf::ranking
