// A store in plain containers with the promises of server/store: what the core is tested against, and what the real
// stores are compared with.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "server/core/invariants.h"
#include "server/core/mutation.h"
#include "server/core/snapshot.h"

namespace uaqf::core {

// What a simulation needs of a store.
class SimStore {
 public:
  virtual ~SimStore() = default;
  // One entry per mutation: true when it was applied.
  virtual std::vector<bool> Commit(absl::Span<const Mutation> mutations) = 0;
  virtual Snapshot Load() = 0;
  virtual JobDump Dump(const JobId& id) = 0;
};

class MemoryStore : public SimStore {
 public:
  std::vector<bool> Commit(absl::Span<const Mutation> mutations) override;
  Snapshot Load() override;
  JobDump Dump(const JobId& id) override;

  struct Attempt {
    OpenAttempt open;  // as it was leased, with what was stored since
    Outcome outcome = Outcome::kOpen;
    std::int64_t lease_commit = 0;
    std::int64_t last_commit = 0;
    std::vector<RecordRow> records;
  };
  struct Job {
    JobSnapshot saved;  // without attempts
    std::map<std::pair<std::int32_t, std::int64_t>, Attempt> attempts;
    std::int64_t end_commit = 0;
  };
  const std::map<JobId, Job>& jobs() const { return jobs_; }

 private:
  bool Apply(const CreateJob& create);
  bool Apply(const PlanJob& plan);
  bool Apply(const LeaseChunk& lease);
  bool Apply(const AppendRecords& append);
  bool Apply(const CloseAttempt& close);
  bool Apply(const AddChunks& add);
  bool Apply(const EndVariant& end);
  bool Apply(const SaveVariant& save);
  bool Apply(const SetJobState& set);

  // Null when the job is unknown or has ended.
  Job* Active(const JobId& id);
  // Null unless the chunk has this epoch and state.
  Chunk* Held(Job* job, const AttemptId& attempt, std::int64_t epoch, ChunkState state);
  void Abandon(Job* job, std::int32_t variant);

  std::map<JobId, Job> jobs_;
  std::vector<JobId> order_;
  std::int64_t commit_ = 0;
};

}  // namespace uaqf::core
