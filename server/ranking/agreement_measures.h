// Whether the outputs of a variant come again, and are sane: BehaviourMeasure of ranking_service.proto. Internal to
// server/ranking.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "server/ranking/measures.h"

namespace uaqf::ranking {

// Share of the tokens of `output`, which is not empty, that stand before the first that differs from `reference`.
double ShareOfSameTokens(std::span<const std::int32_t> output, std::span<const std::int32_t> reference);

// Of such shares, one for each prompt; not empty.
AgreementMeasure AgreementOf(const std::vector<double>& shares);

// The runs that a variant's self-agreement is over, by batch, ascending: those that fp16 has for each of its prompts.
// Empty without fp16's outputs.
std::vector<std::int32_t> RunsOfBaseline(const Measurements& measurements);

// What one prompt adds to B: the mean over `runs`, not empty, of the share of tokens that differ; 1 where its output is
// a loop; 1 where a token was chosen from logits that are not finite. Absent where a run is missing.
std::optional<double> PenaltyOf(const AgreementRow& row, const std::vector<std::int32_t>& runs);

// Fills `behaviour` of every variant that has outputs.
void MeasureBehaviour(const Measurements& measurements, std::vector<VariantMeasures>* measures);

}  // namespace uaqf::ranking
