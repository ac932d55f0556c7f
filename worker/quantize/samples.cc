#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "worker/model/digest.h"
#include "worker/quantize/calibrate.h"

namespace uaqf::quantize {
namespace {

constexpr int32_t kMostSamples = 65536;
constexpr int32_t kLongestSample = 1 << 17;

std::string DigestOf(const std::vector<std::vector<int32_t>>& samples) {
  std::string bytes;
  for (const std::vector<int32_t>& sample : samples) {
    bytes.append(reinterpret_cast<const char*>(sample.data()), sample.size() * sizeof(int32_t));
    bytes += '\n';
  }
  return model::Sha256(bytes);
}

}  // namespace

absl::StatusOr<CalibrationSet> ChooseSamples(const std::vector<int32_t>& ids, const CalibrationSpec& spec) {
  if (spec.samples < 0 || spec.samples > kMostSamples || spec.length < 2 || spec.length > kLongestSample) {
    return absl::InvalidArgumentError(absl::StrCat("got ", spec.samples, " calibration samples of ", spec.length,
                                                   " tokens, expected 0 (all there are) to ", kMostSamples, " of 2 to ",
                                                   kLongestSample));
  }
  const auto length = static_cast<size_t>(spec.length);
  const size_t places = ids.size() / length;
  const size_t wanted = spec.samples > 0 ? static_cast<size_t>(spec.samples) : std::max<size_t>(places, 1);
  if (places < wanted) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the calibration text has ", ids.size(), " tokens, expected at least ", wanted * length, " for ", wanted,
        " samples of ", spec.length, " tokens; give a longer text, or ask for at most ", places, " samples"));
  }
  std::vector<size_t> order(places);
  for (size_t i = 0; i < places; ++i) order[i] = i;
  if (places > wanted) {
    // Fisher and Yates' with plain modulo, so that a seed means the same with every standard library.
    std::mt19937_64 random(spec.seed);
    for (size_t i = places - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
    order.resize(wanted);
  }
  CalibrationSet set;
  for (const size_t place : order) {
    const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(place * length);
    set.samples.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
  }
  set.digest = DigestOf(set.samples);
  return set;
}

}  // namespace uaqf::quantize
