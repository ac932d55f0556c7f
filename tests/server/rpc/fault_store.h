// A store whose jobs cannot be written while it is told so.
#pragma once

#include <atomic>
#include <functional>

#include "server/store/job_store.h"

namespace uaqf::test {

class FaultStore final : public store::Store {
 public:
  explicit FaultStore(store::Store* real) : real_(real) {}

  // Commits that are refused from now on: none, or all as a full disk does.
  std::atomic<bool> full{false};
  std::atomic<int> refused{0};
  // Changes what was measured on its way to the reader, as a row that another version stored. Set before the first
  // read.
  std::function<void(core::Measurements&)> spoil;

  absl::StatusOr<std::vector<store::MutationResult>> Commit(absl::Span<const core::Mutation> mutations) override {
    if (full) {
      ++refused;
      return absl::ResourceExhaustedError("database or disk is full");
    }
    return real_->Commit(mutations);
  }
  absl::StatusOr<store::MutationResult> FindRequest(const core::RequestKey& request) override {
    return real_->FindRequest(request);
  }
  absl::StatusOr<core::Snapshot> LoadSnapshot() override { return real_->LoadSnapshot(); }
  absl::StatusOr<core::JobView> GetJob(const core::JobId& id) override { return real_->GetJob(id); }
  absl::StatusOr<store::JobPage> ListJobs(std::int64_t before, std::int32_t limit) override {
    return real_->ListJobs(before, limit);
  }
  absl::StatusOr<store::RecordPage> ReadRecords(const core::JobId& id, const store::RecordCursor& cursor,
                                                const store::RecordFilter& filter, std::int32_t limit) override {
    return real_->ReadRecords(id, cursor, filter, limit);
  }
  absl::StatusOr<core::Measurements> ReadMeasurements(const core::JobId& id) override {
    auto measured = real_->ReadMeasurements(id);
    if (measured.ok() && spoil) spoil(*measured);
    return measured;
  }
  absl::StatusOr<core::JobDump> Dump(const core::JobId& id) override { return real_->Dump(id); }
  absl::StatusOr<store::PromptSetInfo> PutPromptSet(const store::PromptSetInfo& info,
                                                    absl::Span<const store::PromptItem> items) override {
    return real_->PutPromptSet(info, items);
  }
  absl::StatusOr<store::PromptSetInfo> GetPromptSet(const std::string& digest) override {
    return real_->GetPromptSet(digest);
  }
  absl::StatusOr<store::PromptSetPage> ListPromptSets(std::int64_t before, std::int32_t limit) override {
    return real_->ListPromptSets(before, limit);
  }
  absl::StatusOr<std::vector<store::PromptItem>> ReadPrompts(const std::string& digest, std::int32_t first,
                                                             std::int32_t limit) override {
    return real_->ReadPrompts(digest, first, limit);
  }
  absl::Status CreateProfile(const store::StoredProfile& profile) override { return real_->CreateProfile(profile); }
  absl::StatusOr<store::StoredProfile> GetProfile(const std::string& name) override { return real_->GetProfile(name); }
  absl::StatusOr<std::vector<store::StoredProfile>> ListProfiles(const std::string& after,
                                                                 std::int32_t limit) override {
    return real_->ListProfiles(after, limit);
  }
  absl::Status DeleteProfile(const std::string& name) override { return real_->DeleteProfile(name); }
  absl::StatusOr<store::MutationResult> ImportJob(const core::ImportJob& import) override {
    return real_->ImportJob(import);
  }
  absl::Status PutSummary(const store::SummaryUpload& upload, const std::string& bytes,
                          std::int64_t most_job_bytes) override {
    return real_->PutSummary(upload, bytes, most_job_bytes);
  }
  absl::StatusOr<store::SummaryInfo> FindSummary(const store::SummaryKey& key) override {
    return real_->FindSummary(key);
  }
  absl::StatusOr<std::string> ReadSummaryPiece(const store::SummaryKey& key, std::int32_t piece) override {
    return real_->ReadSummaryPiece(key, piece);
  }

 private:
  store::Store* const real_;
};

}  // namespace uaqf::test
