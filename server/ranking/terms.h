// The terms of a utility: what each is of a variant, and what it becomes by normalization. Internal to
// server/ranking.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/ranking/measures.h"
#include "server/ranking/profile.h"

namespace uaqf::ranking {

enum class TermKind { kSpeed, kQuality, kStability, kMemory, kBehaviour };
inline constexpr std::array<TermKind, 5> kTerms = {TermKind::kSpeed, TermKind::kQuality, TermKind::kStability,
                                                   TermKind::kMemory, TermKind::kBehaviour};

// Units of the baseline normalization: how much of each costs as much as a doubling of speed gains.
inline constexpr double kNllUnit = 0.1;         // nats per token
inline constexpr double kStabilityUnit = 0.05;  // of the stability penalty
inline constexpr double kBehaviourUnit = 0.1;   // of B: a tenth of all tokens differ, or of all outputs loop

const char* TermName(TermKind kind);
double WeightOf(const Weights& weights, TermKind kind);
// Whether the formula weighs the term at all.
bool HasTerm(Formula formula, TermKind kind);
// +1 for what raises the utility, -1 for what lowers it.
double SignOf(TermKind kind);
// Whether quality is the paper's QL (difference of perplexities) or the difference of log-likelihoods.
bool UsesPerplexity(const Profile& profile);
const char* UnitOf(TermKind kind, const Profile& profile);

// The raw value of a term; absent when it was not measured.
std::optional<double> RawValue(TermKind kind, const VariantMeasures& measures, const Profile& profile);
// Why it is absent, and how to measure it.
std::string WhyMissing(TermKind kind, const VariantMeasures& measures, const Profile& profile);

// Raw values of one term, of the evaluated variants, to its normalized ones in the same order.
// `baseline` is the raw value of fp16.
std::vector<double> Normalize(TermKind kind, Normalization normalization, const std::vector<double>& raw,
                              double baseline);

// Index of the one value without which the range of `values` shrinks to under a tenth; absent when there is none or
// when there are fewer than three values.
std::optional<std::size_t> MakesMostOfRange(const std::vector<double>& values);

// InvalidArgument naming the first figure that is NaN, infinite, or negative where it cannot be, or a name given twice.
[[nodiscard]] absl::Status CheckMeasures(const std::vector<VariantMeasures>& measures);

}  // namespace uaqf::ranking
