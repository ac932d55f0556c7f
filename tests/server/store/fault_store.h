// A job store that fails when it is told to: before a commit took effect, or after, when nobody can know.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/store/job_store.h"

namespace uaqf::store {

class FaultStore : public JobStore {
 public:
  enum class Fault { kBeforeCommit, kAfterCommit };

  // Borrows `target`.
  explicit FaultStore(JobStore* target) : target_(target) {}

  // The nth commit from now fails, counted from 1; 0: none.
  void FailNth(int n, Fault fault) {
    countdown_ = n;
    fault_ = fault;
  }
  // The fault that was set has happened.
  bool Failed() const { return countdown_ < 0; }

  absl::StatusOr<std::vector<MutationResult>> Commit(absl::Span<const core::Mutation> mutations) override {
    if (countdown_ != 1) {
      if (countdown_ > 1) --countdown_;
      return target_->Commit(mutations);
    }
    countdown_ = -1;
    if (fault_ == Fault::kAfterCommit) {
      if (auto results = target_->Commit(mutations); !results.ok()) return results.status();
    }
    return absl::UnavailableError("the disk failed, as the test asked");
  }
  absl::StatusOr<MutationResult> FindRequest(const core::RequestKey& request) override {
    return target_->FindRequest(request);
  }
  absl::StatusOr<core::Snapshot> LoadSnapshot() override { return target_->LoadSnapshot(); }
  absl::StatusOr<core::JobView> GetJob(const core::JobId& id) override { return target_->GetJob(id); }
  absl::StatusOr<JobPage> ListJobs(std::int64_t before, std::int32_t limit) override {
    return target_->ListJobs(before, limit);
  }
  absl::StatusOr<RecordPage> ReadRecords(const core::JobId& id, const RecordCursor& cursor, const RecordFilter& filter,
                                         std::int32_t limit) override {
    return target_->ReadRecords(id, cursor, filter, limit);
  }
  absl::StatusOr<core::Measurements> ReadMeasurements(const core::JobId& id) override {
    return target_->ReadMeasurements(id);
  }
  absl::StatusOr<core::JobDump> Dump(const core::JobId& id) override { return target_->Dump(id); }

 private:
  JobStore* const target_;
  int countdown_ = 0;
  Fault fault_ = Fault::kBeforeCommit;
};

}  // namespace uaqf::store
