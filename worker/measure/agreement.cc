#include "worker/measure/agreement.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace uaqf::measure {
namespace {

void Compare(const GreedyOutput& output, int32_t batch, Agreement* agreement) {
  agreement->repeats.push_back({batch, SameTokens(agreement->first.ids, output.ids)});
  agreement->not_finite_tokens += output.not_finite_tokens;
}

class Runs {
 public:
  Runs(const AgreementRuns& runs, const GenerateItems& generate) : runs_(runs), generate_(generate) {}

  absl::StatusOr<std::vector<Agreement>> Everything() {
    for (int32_t item = 0; item < runs_.items; ++item) {
      if (auto status = Alone(item); !status.ok()) return status;
    }
    for (const int32_t batch : runs_.batch_sizes) {
      for (int32_t first = 0; first < runs_.items; first += batch) {
        if (auto status = Together(first, batch); !status.ok()) return status;
      }
    }
    return std::move(agreements_);
  }

 private:
  absl::Status Alone(int32_t item) {
    auto first = Generate({item});
    if (!first.ok()) return first.status();
    auto again = Generate({item});
    if (!again.ok()) return again.status();
    Agreement& agreement = agreements_.emplace_back();
    agreement.first = std::move((*first)[0]);
    agreement.not_finite_tokens = agreement.first.not_finite_tokens;
    agreement.batches_refused = runs_.batches_refused;
    Compare((*again)[0], 1, &agreement);
    return absl::OkStatus();
  }

  absl::Status Together(int32_t first, int32_t batch) {
    std::vector<int32_t> places;
    for (int32_t k = 0; k < batch; ++k) places.push_back((first + k) % runs_.items);
    const auto outputs = Generate(places);
    if (!outputs.ok()) return outputs.status();
    const int32_t own = std::min(batch, runs_.items - first);
    for (int32_t k = 0; k < own; ++k) {
      Compare((*outputs)[static_cast<size_t>(k)], batch, &agreements_[static_cast<size_t>(first + k)]);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<GreedyOutput>> Generate(const std::vector<int32_t>& places) {
    auto outputs = generate_(places);
    if (!outputs.ok() || outputs->size() == places.size()) return outputs;
    return absl::InternalError(
        absl::StrCat("got ", outputs->size(), " outputs of ", places.size(), " prompts, expected one of each"));
  }

  const AgreementRuns& runs_;
  const GenerateItems& generate_;
  std::vector<Agreement> agreements_;
};

}  // namespace

int32_t SameTokens(std::span<const int32_t> one, std::span<const int32_t> other) {
  const auto [end, unused] = std::mismatch(one.begin(), one.end(), other.begin(), other.end());
  return static_cast<int32_t>(end - one.begin());
}

absl::StatusOr<std::vector<Agreement>> RunAgreement(const AgreementRuns& runs, const GenerateItems& generate) {
  return Runs(runs, generate).Everything();
}

}  // namespace uaqf::measure
