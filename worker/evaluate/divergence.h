// How far a variant's next-token distribution q is from FP16's p, position by position: the Kullback-Leibler divergence
//
//   KL(p || q) = sum_i p_i log(p_i / q_i), nats,
//
// and whether both would choose the same tokens. Exact where both logits are at hand; bounded from both sides where of
// p only a summary is: its k likeliest tokens S, and of the tail T = V \ S the mass P = sum_T p_i and the sum E = sum_T
// p_i log p_i. All of q is known. The sum over S is exact, and so is E; what is left is -sum_T p_i log q_i with sum_T
// p_i = P and 0 <= p_i <= c, the least probability in S. It is linear in p, so it is greatest where the mass lies c by
// c on the tokens of least q, and least where it lies so on those of greatest q. From below, sum_T p_i log(p_i/q_i) is
// also at least its minimum under the same constraints, which by its convexity lies at p_i = min(c, lambda q_i). The
// rounding of what is sent, to float and to the steps of summary.h, widens both sides.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace uaqf::evaluate {

// log sum exp of logits, in double. NaN where one is NaN, or where none is finite.
double LogNormalizer(std::span<const float> logits);

// Exact divergence of two rows of logits over the same vocabulary, in double. NaN where one of them is not finite.
double Divergence(std::span<const float> reference, std::span<const float> variant);

// The k likeliest ids, the likeliest first and the lower id first among equals; NaN last. 1 <= k <= logits.size().
std::vector<int32_t> TopIds(std::span<const float> logits, int32_t k);

// Share of the k likeliest ids that both rows have in common, 0 to 1.
double TopAgreement(std::span<const float> reference, std::span<const float> variant, int32_t k);

// What is sent of the reference's distribution at one position.
struct TopLogProbs {
  std::vector<int32_t> ids;
  // Natural logarithms of their probabilities, falling.
  std::vector<float> log_probs;
  // How far each of them may be off beside float's own rounding, nats; empty: not at all.
  std::vector<float> rounding = {};
  double tail_mass = 0;
  // sum p log p over the tail; 0 or less.
  double tail_entropy = 0;
  // log sum exp: with it, log_probs are logits again.
  double normalizer = 0;
};

// 1 <= k <= logits.size(); the logits are finite.
TopLogProbs Summarize(std::span<const float> logits, int32_t k);

// lower <= KL <= upper.
struct DivergenceBound {
  double lower = 0;
  double upper = 0;
  double width() const { return upper - lower; }
};

// The tightest that follows from the summary as derived above; equal sides, but for rounding, where it has all tokens.
// NaN where the variant's logits, or those of the reference, are not finite.
DivergenceBound BoundDivergence(const TopLogProbs& reference, std::span<const float> variant);

}  // namespace uaqf::evaluate
