#include "server/ranking/compare_outputs.h"

#include <map>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/ranking/agreement_measures.h"

namespace uaqf::ranking {
namespace {

// Outputs of one variant by prompt.
using Outputs = std::map<std::int32_t, const std::vector<std::int32_t>*>;

std::map<std::string, Outputs> OutputsOf(const Measurements& m) {
  std::map<std::string, Outputs> outputs;
  for (const AgreementRow& row : m.agreements) {
    outputs[m.variants[static_cast<std::size_t>(row.variant)].name][row.item] = &row.ids;
  }
  return outputs;
}

bool SameConfiguration(const JobIdentity& one, const JobIdentity& other, const std::string& variant) {
  const auto a = one.configurations.find(variant), b = other.configurations.find(variant);
  return a != one.configurations.end() && b != other.configurations.end() && a->second == b->second;
}

}  // namespace

absl::StatusOr<OutputComparison> CompareOutputs(const Measurements& one, const JobIdentity& one_identity,
                                                const Measurements& other, const JobIdentity& other_identity) {
  const std::map<std::string, Outputs> left = OutputsOf(one), right = OutputsOf(other);
  OutputComparison comparison;
  for (const VariantFacts& variant : one.variants) {
    const auto reference = left.find(variant.name), outputs = right.find(variant.name);
    if (reference == left.end() || outputs == right.end()) continue;
    if (!SameConfiguration(one_identity, other_identity, variant.name)) {
      comparison.notes.push_back(absl::StrFormat(
          "%s is left out: its configurations differ, so that under one name they are two variants", variant.name));
      continue;
    }
    std::vector<double> shares;
    for (const auto& [item, ids] : outputs->second) {
      const auto same = reference->second.find(item);
      if (same != reference->second.end()) shares.push_back(ShareOfSameTokens(*ids, *same->second));
    }
    if (!shares.empty()) comparison.variants.push_back({variant.name, AgreementOf(shares)});
  }
  if (!comparison.variants.empty()) return comparison;
  std::string why = "no variant has outputs of the same prompt in both jobs, expected at least one, e.g. fp16";
  for (const std::string& note : comparison.notes) absl::StrAppendFormat(&why, "\n%s", note);
  return absl::FailedPreconditionError(why);
}

}  // namespace uaqf::ranking
