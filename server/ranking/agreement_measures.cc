#include "server/ranking/agreement_measures.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "server/ranking/binomial.h"
#include "server/ranking/statistics.h"
#include "server/ranking/tables.h"

namespace uaqf::ranking {
namespace {

using Rows = std::vector<const AgreementRow*>;

double ShareOf(const AgreementRow& row, const RepeatedOutput& repeat) {
  return static_cast<double>(repeat.same_tokens) / static_cast<double>(row.ids.size());
}

const RepeatedOutput* Find(const AgreementRow& row, std::int32_t batch) {
  const auto found = std::find_if(row.repeats.begin(), row.repeats.end(),
                                  [batch](const RepeatedOutput& repeat) { return repeat.batch == batch; });
  return found == row.repeats.end() ? nullptr : &*found;
}

Estimate ToEstimate(const Moments& moments) { return {moments.mean(), moments.HalfWidth()}; }

class Behaviour {
 public:
  explicit Behaviour(const Measurements& m) : runs_(RunsOfBaseline(m)), baseline_(BaselineIndex(m)) {
    rows_.resize(m.variants.size());
    for (const AgreementRow& row : m.agreements) {
      rows_[static_cast<std::size_t>(row.variant)].push_back(&row);
      if (row.variant == baseline_) reference_[row.item] = &row;
    }
  }

  std::optional<BehaviourMeasure> Of(std::size_t v) const {
    const Rows& rows = rows_[v];
    if (rows.empty()) return std::nullopt;
    const bool is_baseline = static_cast<std::int32_t>(v) == baseline_;
    BehaviourMeasure out;
    out.prompts = static_cast<std::int32_t>(rows.size());
    out.self = Self(rows, is_baseline);
    if (!is_baseline) out.with_fp16 = WithBaseline(rows);
    std::int64_t loops = 0, not_finite = 0;
    for (const AgreementRow* row : rows) {
      loops += row->loop ? 1 : 0;
      not_finite += row->not_finite_tokens > 0 ? 1 : 0;
      if (out.problem.empty() && !row->batches_refused.empty()) {
        out.problem = absl::StrCat("no batches: ", row->batches_refused);
      }
    }
    const auto prompts = static_cast<double>(rows.size());
    out.loops = static_cast<double>(loops) / prompts;
    out.loops_interval = WilsonInterval(loops, out.prompts);
    out.not_finite = static_cast<double>(not_finite) / prompts;
    out.not_finite_interval = WilsonInterval(not_finite, out.prompts);
    out.penalty = Penalty(rows);
    return out;
  }

 private:
  std::vector<SelfAgreement> Self(const Rows& rows, bool is_baseline) const {
    std::map<std::int32_t, std::vector<double>> shares;  // by batch
    for (const AgreementRow* row : rows) {
      for (const RepeatedOutput& repeat : row->repeats) shares[repeat.batch].push_back(ShareOf(*row, repeat));
    }
    std::vector<SelfAgreement> self;
    for (const auto& [batch, values] : shares) {
      SelfAgreement& out = self.emplace_back(SelfAgreement{batch, AgreementOf(values), {}, {}});
      Moments kernel, beyond;
      for (const AgreementRow* row : rows) {
        const auto reference = reference_.find(row->item);
        if (reference == reference_.end()) continue;
        const RepeatedOutput* own = Find(*row, batch);
        const RepeatedOutput* other = Find(*reference->second, batch);
        if (own == nullptr || other == nullptr) continue;
        kernel.Add(1 - ShareOf(*reference->second, *other));
        beyond.Add(ShareOf(*reference->second, *other) - ShareOf(*row, *own));
      }
      if (kernel.count() == 0) continue;
      out.kernel = kernel.mean();
      if (!is_baseline) out.quantization = ToEstimate(beyond);
    }
    return self;
  }

  std::optional<AgreementMeasure> WithBaseline(const Rows& rows) const {
    std::vector<double> shares;
    for (const AgreementRow* row : rows) {
      const auto reference = reference_.find(row->item);
      if (reference != reference_.end()) shares.push_back(ShareOfSameTokens(row->ids, reference->second->ids));
    }
    return shares.empty() ? std::nullopt : std::optional<AgreementMeasure>(AgreementOf(shares));
  }

  std::optional<double> Penalty(const Rows& rows) const {
    if (runs_.empty()) return std::nullopt;
    Moments penalty;
    for (const AgreementRow* row : rows) {
      const std::optional<double> own = PenaltyOf(*row, runs_);
      if (!own) return std::nullopt;
      penalty.Add(*own);
    }
    return penalty.mean();
  }

  const std::vector<std::int32_t> runs_;
  const std::int32_t baseline_;
  std::vector<Rows> rows_;                                            // by variant
  absl::flat_hash_map<std::int32_t, const AgreementRow*> reference_;  // fp16's, by item
};

}  // namespace

double ShareOfSameTokens(std::span<const std::int32_t> output, std::span<const std::int32_t> reference) {
  const auto [end, unused] = std::mismatch(output.begin(), output.end(), reference.begin(), reference.end());
  return static_cast<double>(end - output.begin()) / static_cast<double>(output.size());
}

AgreementMeasure AgreementOf(const std::vector<double>& shares) {
  AgreementMeasure out;
  out.prompts = static_cast<std::int32_t>(shares.size());
  Moments tokens;
  std::int64_t equal = 0;
  for (const double share : shares) {
    tokens.Add(share);
    equal += share == 1 ? 1 : 0;
  }
  out.tokens = ToEstimate(tokens);
  out.equal = static_cast<double>(equal) / static_cast<double>(shares.size());
  out.equal_interval = WilsonInterval(equal, out.prompts);
  return out;
}

std::vector<std::int32_t> RunsOfBaseline(const Measurements& measurements) {
  const std::int32_t baseline = BaselineIndex(measurements);
  std::map<std::int32_t, std::int64_t> prompts;  // by batch
  std::int64_t rows = 0;
  for (const AgreementRow& row : measurements.agreements) {
    if (row.variant != baseline) continue;
    ++rows;
    for (const RepeatedOutput& repeat : row.repeats) ++prompts[repeat.batch];
  }
  std::vector<std::int32_t> runs;
  for (const auto& [batch, count] : prompts) {
    if (count == rows) runs.push_back(batch);
  }
  return runs;
}

std::optional<double> PenaltyOf(const AgreementRow& row, const std::vector<std::int32_t>& runs) {
  double differ = 0;
  for (const std::int32_t batch : runs) {
    const RepeatedOutput* repeat = Find(row, batch);
    if (repeat == nullptr) return std::nullopt;
    differ += 1 - ShareOf(row, *repeat);
  }
  return differ / static_cast<double>(runs.size()) + (row.loop ? 1 : 0) + (row.not_finite_tokens > 0 ? 1 : 0);
}

void MeasureBehaviour(const Measurements& measurements, std::vector<VariantMeasures>* measures) {
  if (measurements.agreements.empty()) return;
  const Behaviour behaviour(measurements);
  for (std::size_t v = 0; v < measures->size(); ++v) (*measures)[v].behaviour = behaviour.Of(v);
}

}  // namespace uaqf::ranking
