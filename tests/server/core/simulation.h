// A whole service in one thread, driven by one seed: the scheduler, a store, and workers that crash, hang, resend,
// lie and come back. After every step the store must satisfy the invariants; after the faults stop, every job must end.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/core/random.h"
#include "server/core/scheduler.h"
#include "tests/server/core/memory_store.h"

namespace uaqf::core {

// A worker process, or the place where one was.
struct SimWorker {
  WorkerId id;
  Device device;
  int session = 0;
  std::int64_t sequence = 0;
  bool alive = true;     // the process exists
  bool stopped = false;  // SIGSTOP: it neither sends nor receives
  bool draining = false;
  bool sick = false;         // dies on every chunk
  bool cannot_load = false;  // fails to host anything
  HostedVariant hosted;
  std::vector<Lease> leases;  // as last received
  std::vector<SurveyResult> surveys;

  struct Attempt {
    std::int32_t made = 0;
    std::int64_t next_sequence = 0;
    bool ended = false;
    std::string error;
    std::deque<RecordBatch> unacknowledged;
  };
  std::map<std::string, Attempt> attempts;  // by ToString(AttemptId)

  std::string Session() const { return id + "/" + std::to_string(session); }
};

class Simulation {
 public:
  struct Profile {
    bool faults = true;   // kills, hangs, losses, restarts of the coordinator
    bool poison = false;  // one prompt kills whoever runs it
    bool sick = false;    // one worker dies on everything
    bool cancels = false;
    bool load_failures = false;
    bool taints = true;
    bool small_devices = false;  // that hold few variants at once
    bool rounds = false;         // jobs that may end early, of which variants are stopped by chance
    bool stages = false;         // enough prompts for several stages of rounds
    std::int32_t attempt_limit = 100;
    std::int32_t steps = 60;
  };

  Simulation(std::uint64_t seed, const Profile& profile, SimStore* store);

  // Runs the faulty part, then the healthy end. Returns what went wrong, the seed in each line; empty when all is well.
  std::vector<std::string> Run();

  std::int64_t worker_deaths() const { return deaths_; }
  const std::vector<JobId>& jobs() const { return jobs_; }
  const Scheduler& scheduler() const { return *scheduler_; }
  Instant now() const { return {now_ns_, 1'700'000'000'000'000'000 + wall_skew_ns_ + now_ns_}; }

 private:
  void Step();
  void Settle();
  void SubmitJob();
  void Flush(bool commit_fails);
  void Decide(const JobId& id);
  void RestartCoordinator();
  void Check();
  void CheckMemory();

  void Report(SimWorker* worker);
  void Work(SimWorker* worker);
  void Kill(SimWorker* worker);
  void Start(SimWorker* worker);
  void Send(RecordBatch batch);
  void Deliver(RecordBatch batch);
  void Receive(SimWorker* worker, const DesiredState& desired);
  void Load(SimWorker* worker, const DesiredState& desired);
  RecordRow Measure(const Lease& lease, std::int32_t place);
  bool Chance(int percent) { return static_cast<int>(random_.Below(100)) < percent; }
  SimWorker* AnyWorker() { return &workers_[random_.Below(workers_.size())]; }
  void Fail(const std::string& what);

  const std::uint64_t seed_;
  const Profile profile_;
  Random random_;
  SimStore* const store_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<SimWorker> workers_;
  std::vector<JobId> jobs_;
  std::deque<RecordBatch> wire_;  // record batches under way
  std::vector<std::pair<RecordBatch, BatchReply>> replies_;
  std::int64_t now_ns_ = 1;
  std::int64_t wall_skew_ns_ = 0;
  std::int64_t deaths_ = 0;
  std::int32_t poison_item_ = -1;
  std::vector<std::string> problems_;
};

}  // namespace uaqf::core
