// The noise floor: how far fp16 comes out from itself, timed a second time as another variant (A/A). No two variants
// are told apart by less (METHODS.md, section 2), and a term in which all lie within it counts nothing (section 1).
//
// Times. The twin runs the same weights on the same prompts, so the prompts add nothing to the difference: what varies
// is the device over time. Units are therefore what ran in turns, a block of prompts in one run, one chunk of each;
// prompts of a chunk share what disturbs the device for a second, and taking them for independent would make the
// interval too short. Of each pair of chunks d = ln(mean of the twin / mean of fp16) over the prompts both have,
// weighed by their number; the difference is the mean of d, its interval Student's t over the pairs.
//
// Stability is one figure of all runs of a prompt: its interval is over resamples of prompts, as for every variant.
// Quality and memory: the twin's are fp16's own, so their floor is 0.
//
// The floor is the end of the interval that lies farther from 0, without its sign. Not the difference itself: that is
// one draw of what two hostings differ by, near 0 by luck every other time, and a small one within a wide interval says
// that the pair resolves little, not that the device is quiet. The end of the interval is what the two may truly be
// apart (at 97.5 %), and is never below what the pair can resolve. The price: a device that is noisy within the job
// has a high floor also where all noise averages out.
// The floor is compared with differences, not with the near ends of their intervals: those hold the noise within the
// job already, and it would be counted twice. So variants are told apart where the interval excludes 0 *and* the
// difference exceeds the floor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/ranking/profile.h"
#include "server/ranking/resample.h"
#include "server/ranking/terms.h"
#include "server/ranking/twin.h"
#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

// A figure of the twin less that of fp16.
struct SelfDifference {
  double value = 0;
  Interval interval;  // 95 %, paired
  double Floor() const;
  // The interval does not hold 0: at 5 %, the two are not the same.
  bool Differs() const { return interval.low > 0 || interval.high < 0; }
};

// All that is needed of the twin's records to tell the floor under any profile.
struct TwinData {
  bool separate_processes = false;
  std::int32_t pairs = 0;                 // of chunks
  std::optional<SelfDifference> speed;    // of ln tokens/s; absent with fewer than 2 pairs
  std::optional<SelfDifference> latency;  // of ln s
  Resampled resampled;                    // fp16, twin
  std::string problem;                    // why speed and latency are absent
};

[[nodiscard]] TwinData PrepareTwin(const TwinRecords& records, const ResampleOptions& options = {});

struct NoiseFloor {
  bool separate_processes = false;
  std::int32_t pairs = 0;
  SelfDifference speed;    // of ln tokens/s
  SelfDifference latency;  // of ln s
  // Of the profile's SP; absent with one run or fewer than kLeastUnits prompts.
  std::optional<SelfDifference> stability;
  std::string problem;  // why there is none; then the rest is empty
};

[[nodiscard]] NoiseFloor FloorOf(const TwinData& twin, const Profile& profile);

// What noise alone may put between two variants in a normalized term whose raw values are `a` and `b`, and `raw` those
// of all evaluated variants. 0 where no noise is known to.
[[nodiscard]] double TermFloor(TermKind kind, const NoiseFloor& floor, Normalization normalization,
                               const std::vector<double>& raw, double a, double b);

// Whether all of a term, whose normalized values against fp16 these are, lies within the floor.
[[nodiscard]] bool AllWithin(TermKind kind, const NoiseFloor& floor, const std::vector<double>& raw, double baseline,
                             const std::vector<double>& normalized);

// "fp16 differs from itself by ...", where it does; what is lost where the floor is not known. `within` are the names
// of terms that counted nothing.
[[nodiscard]] std::vector<std::string> FloorWarnings(const NoiseFloor& floor, const std::vector<std::string>& within);

}  // namespace uaqf::ranking
