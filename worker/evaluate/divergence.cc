#include "worker/evaluate/divergence.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>

namespace uaqf::evaluate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Half a unit in the last place of a float, relative.
constexpr double kFloatRounding = 0x1p-24;

// How far log_probs[i] may be off.
double Rounding(const TopLogProbs& reference, size_t i) {
  const double own = reference.rounding.empty() ? 0 : static_cast<double>(reference.rounding[i]);
  return std::abs(static_cast<double>(reference.log_probs[i])) * kFloatRounding + own;
}

// log q of the tokens that are not in `ids`, the greatest first.
std::vector<double> TailLogProbs(std::span<const float> logits, double normalizer, const std::vector<int32_t>& ids) {
  std::vector<bool> in_top(logits.size());
  for (const int32_t id : ids) in_top[static_cast<size_t>(id)] = true;
  std::vector<double> tail;
  tail.reserve(logits.size() - ids.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!in_top[i]) tail.push_back(static_cast<double>(logits[i]) - normalizer);
  }
  std::sort(tail.begin(), tail.end(), std::greater<>());
  return tail;
}

// -sum p log q with `mass` laid on [begin, end) of log q in that order, at most `cap` on each.
template <typename Iterator>
double CrossEntropy(Iterator begin, Iterator end, double mass, double cap) {
  double sum = 0;
  for (; begin != end && mass > 0; ++begin) {
    // What rounding leaves over the cap times the tokens lies on the last one.
    const double p = begin + 1 == end ? mass : std::min(cap, mass);
    sum -= p * *begin;
    mass -= p;
  }
  return sum;
}

// The least sum p log(p / q) over p with that mass and cap: p = min(cap, lambda q), the cap on the greatest q.
double LeastTailDivergence(const std::vector<double>& log_q, double mass, double cap) {
  // rest[j]: log of the mass of q from j on, from the smallest up.
  std::vector<double> rest(log_q.size() + 1, 0);
  for (size_t j = log_q.size(); j-- > 0;) rest[j] = rest[j + 1] + std::exp(log_q[j]);
  double capped = 0;
  for (size_t j = 0; j < log_q.size(); ++j) {
    const double left = mass - static_cast<double>(j) * cap;
    if (left <= 0 || rest[j] <= 0) return capped;
    const double log_lambda = std::log(left) - std::log(rest[j]);
    if (log_lambda + log_q[j] <= std::log(cap)) return capped + left * log_lambda;
    capped += cap * (std::log(cap) - log_q[j]);
  }
  return capped;
}

}  // namespace

double LogNormalizer(std::span<const float> logits) {
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(most));
  return static_cast<double>(most) + std::log(sum);
}

double Divergence(std::span<const float> reference, std::span<const float> variant) {
  const double log_p = LogNormalizer(reference);
  const double log_q = LogNormalizer(variant);
  double sum = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double p = static_cast<double>(reference[i]) - log_p;
    sum += std::exp(p) * (p - (static_cast<double>(variant[i]) - log_q));
  }
  return std::isfinite(sum) ? sum : kNaN;
}

std::vector<int32_t> TopIds(std::span<const float> logits, int32_t k) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  // What is no number is least likely: it has no place in an order.
  const auto value = [logits](int32_t id) {
    const float logit = logits[static_cast<size_t>(id)];
    return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit;
  };
  std::partial_sort(ids.begin(), ids.begin() + k, ids.end(),
                    [&value](int32_t a, int32_t b) { return value(a) != value(b) ? value(a) > value(b) : a < b; });
  ids.resize(static_cast<size_t>(k));
  return ids;
}

double TopAgreement(std::span<const float> reference, std::span<const float> variant, int32_t k) {
  std::vector<int32_t> ours = TopIds(reference, k);
  std::vector<int32_t> theirs = TopIds(variant, k);
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  std::vector<int32_t> both;
  std::set_intersection(ours.begin(), ours.end(), theirs.begin(), theirs.end(), std::back_inserter(both));
  return static_cast<double>(both.size()) / k;
}

TopLogProbs Summarize(std::span<const float> logits, int32_t k) {
  TopLogProbs summary;
  summary.normalizer = LogNormalizer(logits);
  summary.ids = TopIds(logits, k);
  for (const int32_t id : summary.ids) {
    summary.log_probs.push_back(
        static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - summary.normalizer));
  }
  // Summed as it is, not as what the top leaves: that difference would lose a small tail to rounding.
  for (const double log_p : TailLogProbs(logits, summary.normalizer, summary.ids)) {
    summary.tail_mass += std::exp(log_p);
    summary.tail_entropy += std::exp(log_p) * log_p;
  }
  return summary;
}

DivergenceBound BoundDivergence(const TopLogProbs& reference, std::span<const float> variant) {
  const double normalizer = LogNormalizer(variant);
  if (!std::isfinite(normalizer) || !std::isfinite(reference.normalizer)) return {kNaN, kNaN};
  double top = 0;
  double slack = 0;
  double cap = 1;
  for (size_t i = 0; i < reference.ids.size(); ++i) {
    const auto log_p = static_cast<double>(reference.log_probs[i]);
    const double log_q = static_cast<double>(variant[static_cast<size_t>(reference.ids[i])]) - normalizer;
    top += std::exp(log_p) * (log_p - log_q);
    // d/dlog_p of p (log p - log q) is p (log p - log q + 1).
    const double off = Rounding(reference, i);
    slack += std::exp(log_p) * (std::abs(log_p - log_q) + 1) * off;
    // Whatever is in the tail is no likelier than any of the top.
    cap = std::min(cap, std::exp(log_p + off));
  }
  // Twice the first-order term covers the second, and an absolute unit what double rounds.
  slack = 2 * slack + 1e-12;
  const std::vector<double> log_q = TailLogProbs(variant, normalizer, reference.ids);
  const double mass = reference.tail_mass;
  const double least = std::max(reference.tail_entropy + CrossEntropy(log_q.begin(), log_q.end(), mass, cap),
                                LeastTailDivergence(log_q, mass, cap));
  const double most = reference.tail_entropy + CrossEntropy(log_q.rbegin(), log_q.rend(), mass, cap);
  // A divergence is never negative.
  return {std::max(0.0, top + least - slack), std::max(0.0, top + most + slack)};
}

}  // namespace uaqf::evaluate
