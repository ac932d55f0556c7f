// Figures to a decision: the utility of every variant under a profile, and the order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/capacity.h"
#include "server/ranking/decision_data.h"
#include "server/ranking/measures.h"
#include "server/ranking/noise_floor.h"
#include "server/ranking/profile.h"
#include "server/ranking/stopped.h"
#include "server/ranking/sweep.h"
#include "server/ranking/traffic_map.h"
#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

// How the number of emitted tokens was chosen.
enum class OutputLength { kMatched, kFixed, kNatural };

// What the job asked for, as far as a reader must know it to trust the answer.
struct JobFacts {
  std::string job{};  // "jobs/{job}"
  bool ended = true;
  OutputLength output_length = OutputLength::kMatched;
  std::int32_t max_output_tokens = 0;
  std::int32_t input_tokens = 0;  // 0: each prompt's own
  std::int32_t repeats = 0;
  bool measures_quality = false;
  std::string decided_by{};  // "profiles/..." by which the job stops variants early; empty where it stops none
  std::int32_t context_tokens = 0;
  // What fp16 stands for when it is not the model's own release, e.g. "the Q4_1 release"; empty otherwise.
  std::string baseline_release{};
  // The figures were imported as single values: no resamples, and of what is above only `job` is known.
  bool point_values = false;
  std::string table{};           // its title
  std::string baseline_label{};  // that its baseline's row had
};

struct RankOptions {
  // Rank variants that fail the sanity constraint too.
  bool ignore_sanity = false;
  // Put before the warnings of the ranking itself, e.g. the notes of KeepCommonRecords.
  std::vector<std::string> notes{};
  // Of the same records as the measures, in their order. Null: how sure the answer is is not told, and a profile with
  // constraints cannot be decided.
  const DecisionData* data = nullptr;
  // Variants that were stopped, which the measures have no records of; null: none was.
  const std::vector<StoppedVariant>* stopped = nullptr;
};

// kStopped: not measured to the end, since another variant was surely better or a limit surely broken.
enum class RankStatus { kRanked, kStopped, kNotFeasible, kNotMeasured };

struct Term {
  std::string name;  // TermName of terms.h
  double weight = 0;
  double raw = 0;
  std::string unit;
  double normalized = 0;
  bool within_noise = false;           // no variant leaves the noise floor in it: `normalized` is 0
  double contribution = 0;             // signed part of the utility
  std::optional<Interval> interval{};  // of `normalized`, 95 %
};

// A difference to fp16 on the same prompts or windows.
struct Comparison {
  double value = 0;
  Interval interval;               // 95 %, paired
  Interval unpaired;               // what it would be had fp16 run on other units: what pairing gains
  double smallest_detectable = 0;  // difference that a repetition would find in 80 of 100 cases
  bool within_noise = false;       // no larger than what fp16 differs from itself
};

struct RankedVariant {
  std::string variant;
  std::int32_t rank = 0;  // from 1 among the ranked; 0 otherwise
  RankStatus status = RankStatus::kNotMeasured;
  std::optional<double> utility;  // when ranked, or stopped by a better one: then of what it has
  std::vector<Term> terms;        // those with a weight above 0; empty when not measured
  std::string reason;             // why it is not ranked
  std::vector<Check> checks{};    // of the profile's constraints, in their order; empty when not measured
  double sanity_excess = 0;       // share of the sanity limit that its loss lies beyond; 0 where it keeps it
  // A variant that is at least as good in every term that is measured and better in one; empty on the Pareto front.
  std::string dominated_by{};
  // J/token, and 95 % of it; absent where it is not measured, or by too few blocks of prompts.
  std::optional<double> energy_per_token{};
  std::optional<Interval> energy_interval{};
  std::optional<Capacity> capacity{};  // absent where the profile asks for none
  std::optional<BehaviourMeasure> behaviour{};
  // Absent without resamples; the standing also unless ranked, the comparisons also for fp16.
  std::optional<Standing> standing{};
  std::optional<Comparison> speedup{};   // ratio of mean tokens/s; smallest_detectable as a share of fp16's
  std::optional<Comparison> nll_loss{};  // nats per token
};

// What would make a variant feasible where none is.
struct Relaxation {
  std::string variant;
  std::vector<Constraint> limits;  // those to relax, with the limits that it surely keeps
};

// Fields as in RankVariantsResponse of ranking_service.proto.
struct Ranking {
  std::string job;
  Profile profile;
  std::string formula;
  std::vector<RankedVariant> variants;     // best first; those without a rank last, in the order given
  std::string winner;                      // empty when no variant is feasible
  std::optional<Relaxation> relaxation;    // the least one, when no variant is feasible and one helps
  std::string other_normalization_winner;  // empty when it is the same
  std::vector<std::string> warnings;
  std::int64_t records_used = 0;
  // Behind every interval and probability; 0 without.
  std::int32_t resamples = 0;
  std::uint64_t seed = 0;
  std::optional<NoiseFloor> floor{};  // absent where the job did not time fp16 twice
  std::vector<WeightSweep> sweeps;    // of every term that the formula has and all evaluated variants
  std::string conditions;
  std::optional<TrafficMap> traffic{};  // absent where no grid was timed
  bool point_values = false;            // JobFacts::point_values: nothing is known of how sure the answer is
};

// Variants that are not feasible come behind the ranked ones, those first whose constraints need the least relaxation.
// Equal utilities are ordered fp16 first, then by name. The result does not depend on the order of `measures` but for
// the variants without a rank.
// InvalidArgument: a profile that Validate refuses, or a measure that is NaN, infinite or negative where it cannot be.
// FailedPrecondition: what the profile weighs is missing for fp16 or for every other variant; says which records are
// missing and how to measure them.
[[nodiscard]] absl::StatusOr<Ranking> Rank(const std::vector<VariantMeasures>& measures, const Profile& profile,
                                           const JobFacts& job, const RankOptions& options = {});

// What a reader of the figures themselves must know (MeasureVariantsResponse.notes).
[[nodiscard]] std::vector<std::string> Notes(const std::vector<VariantMeasures>& measures, const JobFacts& job);

}  // namespace uaqf::ranking
