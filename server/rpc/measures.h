// From the records of a job to its figures and ranks: the store's columns into server/ranking.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/core/progress.h"
#include "server/ranking/comparability.h"
#include "server/ranking/compare_jobs.h"
#include "server/ranking/compare_outputs.h"
#include "server/ranking/decision_data.h"
#include "server/ranking/evidence.h"
#include "server/ranking/groups.h"
#include "server/ranking/measures.h"
#include "server/ranking/rank.h"
#include "server/ranking/slices.h"
#include "server/ranking/twin.h"
#include "server/store/job_store.h"
#include "uaqf/v1/record.pb.h"

namespace uaqf::rpc {

// The figures of a job, as far as it is.
struct JobMeasures {
  // Of several jobs, the first; its state is that of one that has not ended, if there is one.
  core::JobView view;
  // Over every accepted record, all groups brought to the scale of the first.
  std::vector<ranking::VariantMeasures> all;
  // Over the records that the compared variants have in common: what is ranked. `notes` say what was left out.
  std::vector<ranking::VariantMeasures> common;
  std::vector<std::string> notes;
  // Variants that the job stopped measuring before its end, which `common` has no records of.
  std::vector<ranking::StoppedVariant> stopped;
  // Of the records in common, drawn with the job's seed.
  ranking::DecisionData decision;
  // What the variants are in full, in the order of the spec.
  std::vector<v1::VariantConfiguration> configurations;
  // Of the first job: what it may be compared with.
  ranking::JobIdentity identity;
  // Of the first job's timing chunks; absent before the first, and of published figures.
  std::optional<ranking::EvidenceSummary> evidence;
};

// Thread-safe; reads the store, so it is for the executor. The figures of a job that has ended are kept, and one caller
// at a time reads a job: who asks meanwhile waits, and most often finds them kept.
class Measurer {
 public:
  explicit Measurer(store::JobStore* jobs) : jobs_(jobs) {}

  // Of one job, or of several as merge.h has it. NOT_FOUND (JOB_NOT_FOUND); FAILED_PRECONDITION (NOT_COMPARABLE,
  // VARIANT_IN_SEVERAL_JOBS); or what the store says.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const JobMeasures>> Of(const std::vector<core::JobId>& ids)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // A job, and what it had recorded at least by then: its groups brought to the scale of the first, without fp16's
  // twin, its prompts and windows numbered by their places in the order they are measured in (item_order.h).
  struct SoFar {
    core::JobView job;
    ranking::Measurements measurements;
    std::optional<ranking::TwinRecords> twin;  // absent where fp16 is not timed twice
  };
  // Errors as Of.
  [[nodiscard]] absl::StatusOr<SoFar> ReadSoFar(const core::JobId& id);

  // The variants of both. Errors as Of, and FAILED_PRECONDITION (NOTHING_SHARED).
  [[nodiscard]] absl::StatusOr<ranking::JobComparison> Compare(const core::JobId& one, const core::JobId& other);

  // Outputs of the variants of both. Errors as Compare's; NOT_COMPARABLE by what outputs need alone.
  [[nodiscard]] absl::StatusOr<ranking::OutputComparison> CompareOutputs(const core::JobId& one,
                                                                         const core::JobId& other);

  // Reads the records again: parts are asked for by people, and keeping every record for them would cost much memory.
  // Errors as Of.
  [[nodiscard]] absl::StatusOr<std::vector<ranking::Slice>> RankSlices(const std::vector<core::JobId>& ids,
                                                                       const ranking::SliceLabels& labels,
                                                                       const ranking::Profile& profile,
                                                                       bool ignore_sanity);

 private:
  static constexpr std::size_t kKept = 16;

  // One job as it is stored: before its groups are aligned.
  struct Part {
    core::JobView view;
    ranking::Measurements measurements;
    std::optional<ranking::TwinRecords> twin;
    ranking::JobIdentity identity;
    std::vector<v1::VariantConfiguration> configurations;
    std::optional<ranking::EvidenceSummary> evidence;
    // As core::Measurements has them.
    std::vector<std::int32_t> prompt_places, window_places;
  };

  absl::StatusOr<Part> ReadPart(const core::JobId& id);
  // Both, when FindMismatches has nothing against them.
  absl::StatusOr<std::pair<Part, Part>> ReadComparable(const core::JobId& one, const core::JobId& other,
                                                       ranking::Scope scope);
  // What is ranked, and what tells the noise floor: the first job's.
  struct Records {
    ranking::AlignedRecords aligned;
    std::optional<ranking::TwinRecords> twin;
    // Of the first job, as core::Measurements has them.
    std::vector<std::int32_t> prompt_places, window_places;
  };

  // Fills view, configurations and evidence of `result`.
  absl::StatusOr<Records> ReadAligned(const std::vector<core::JobId>& ids, JobMeasures* result);
  // `key` is that of `ids` in `kept_`.
  absl::StatusOr<std::shared_ptr<const JobMeasures>> Read(const std::vector<core::JobId>& ids, const std::string& key)
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::shared_ptr<const JobMeasures> Kept(const std::string& key) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  store::JobStore* const jobs_;
  absl::Mutex mutex_;
  // By their ids, with spaces between.
  std::deque<std::pair<std::string, std::shared_ptr<const JobMeasures>>> kept_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> reading_ ABSL_GUARDED_BY(mutex_);
};

// What a ranking says beside the figures.
ranking::JobFacts Facts(const core::JobView& view);

// Ranks with a reason on the error: FAILED_PRECONDITION is NOT_DECIDABLE.
[[nodiscard]] absl::StatusOr<ranking::Ranking> RankJob(const JobMeasures& measures, const ranking::Profile& profile,
                                                       bool ignore_sanity);

}  // namespace uaqf::rpc
