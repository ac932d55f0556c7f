// Multiple choice by the likelihood of each choice's continuation (METHODS 7, CommonsenseQA).
#pragma once

#include <cstdint>
#include <span>

namespace uaqf::evaluate {

// The choice of highest log-likelihood, the first among equals; a NaN is never chosen. -1 without a comparable one.
int32_t BestChoice(std::span<const double> log_likelihoods);

// How far the likeliest wrong choice lies below the right one, nats; negative when it lies above. Needs two choices.
double ChoiceMargin(std::span<const double> log_likelihoods, int32_t right);

}  // namespace uaqf::evaluate
