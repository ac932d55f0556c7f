// Where the time of a calibration goes.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>

namespace uaqf::quantize {

enum class CalibrationStage {
  kLoad,    // weights and samples onto the device
  kRun,     // samples through blocks, and what is summed of them
  kFactor,  // GPTQ: of the inputs' second moments
  kSolve,   // GPTQ: column after column
  kSearch,  // AWQ: scales and clipping
  kStore    // rounding of what is not solved, and the result's way to its store
};
constexpr size_t kCalibrationStages = 6;

inline std::string_view StageName(CalibrationStage stage) {
  constexpr std::string_view kNames[kCalibrationStages] = {"load", "run", "factor", "solve", "search", "store"};
  return kNames[static_cast<size_t>(stage)];
}

// One thread.
class StageTimes {
 public:
  // `now` gives seconds, once all work that was begun is done.
  explicit StageTimes(std::function<double()> now) : now_(std::move(now)) {}

  // Ends the stage before, if any, and begins this one.
  void Enter(CalibrationStage stage) {
    Leave();
    at_ = static_cast<size_t>(stage);
  }
  void Leave() {
    const double now = now_();
    if (at_ < kCalibrationStages) seconds_[at_] += now - since_;
    at_ = kCalibrationStages;
    since_ = now;
  }
  const std::array<double, kCalibrationStages>& seconds() const { return seconds_; }

 private:
  const std::function<double()> now_;
  size_t at_ = kCalibrationStages;  // none
  double since_ = 0;
  std::array<double, kCalibrationStages> seconds_ = {};
};

}  // namespace uaqf::quantize
