// Placement (who hosts what) and leasing (what runs now).
#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "server/core/scheduler_impl.h"

namespace uaqf::core {
namespace {

// Workers that failed to load a variant before it is given up although others might try.
constexpr std::size_t kLoadAttempts = 2;

// Indices of the variants, the baseline first: others may need its output lengths, all need it to compare.
std::vector<std::int32_t> HostingOrder(const JobSpec& spec) {
  std::vector<std::int32_t> order(spec.variants.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(),
                        [&](std::int32_t v) { return spec.variants[v] == kBaselineVariant; });
  return order;
}

}  // namespace

void Scheduler::Impl::Place(Instant now) {
  place_needed_ = false;
  IndexHosts();
  GiveUpVariants(now);
  DropUnusedAssignments();
  if (draining_) return;
  AskForSurveys();
  std::map<std::string, std::vector<WorkerEntry*>> devices;
  for (auto& [id, worker] : workers_) {
    if (worker.Live()) devices[worker.device.id].push_back(&worker);
  }
  for (const auto& job : jobs_) {
    // A kind that was chosen, but gone before anything was measured on it, binds nobody.
    if (job->state == JobState::kQueued && !AnyLive(job->device_kind)) job->device_kind.clear();
  }
  for (const auto& [device, live] : devices) PlaceDevice(device, live, now);
  place_needed_ = false;  // what leasing itself changed has been taken into account
}

void Scheduler::Impl::IndexHosts() {
  hosts_.clear();
  for (auto& [id, worker] : workers_) {
    if (worker.Live() && !worker.variant.empty()) hosts_[{worker.model, worker.variant}].push_back(&worker);
  }
}

const std::vector<WorkerEntry*>& Scheduler::Impl::HostsOf(const std::string& model, const std::string& variant) const {
  static const auto* const kNobody = new std::vector<WorkerEntry*>();
  const auto it = hosts_.find({model, variant});
  return it == hosts_.end() ? *kNobody : it->second;
}

void Scheduler::Impl::GiveUpVariants(Instant now) {
  std::vector<JobId> ids = ActiveJobs();
  for (const JobId& id : ids) {
    for (std::int32_t v = 0;; ++v) {
      ActiveJob* job = FindJob(id);  // giving up a variant may end the job
      if (job == nullptr || !job->planned || v >= static_cast<std::int32_t>(job->variants.size())) break;
      if (job->load_failures[v].empty() || job->variants[v].state >= VariantState::kDone) continue;
      const auto& hosts = HostsOf(job->spec.model, job->spec.variants[v]);
      if (std::any_of(hosts.begin(), hosts.end(), [](const WorkerEntry* w) { return w->Ready(); })) continue;
      const bool others = std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
        return entry.second.Live() && CanHost(*job, v, entry.second);
      });
      if (others && job->load_failures[v].size() < kLoadAttempts) continue;
      FailVariant(job, v, job->load_errors[v], now);
    }
  }
}

void Scheduler::Impl::DropUnusedAssignments() {
  for (auto& entry : workers_) {
    auto& worker = entry.second;  // clang 14 captures no structured binding
    if (worker.variant.empty()) continue;
    const bool used = !worker.benched && std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& job) {
      return job->spec.model == worker.model && job->VariantIndex(worker.variant) >= 0;
    });
    if (used) continue;
    worker.model.clear();
    worker.variant.clear();
    worker.max_sequence_tokens = 0;
    worker.max_batch = 1;
    Touch(worker);
  }
}

void Scheduler::Impl::AskForSurveys() {
  for (const auto& job : jobs_) {
    if (job->planned) continue;
    const auto asked = workers_.find(job->survey_worker);
    if (asked != workers_.end() && asked->second.Live()) continue;
    job->survey_worker.clear();
    for (auto& [id, worker] : workers_) {
      // Tokenizing takes processor time: not beside a measurement.
      if (!worker.Live() || turns_.count(worker.device.id) > 0 || worker.FindModel(job->spec.model) == nullptr)
        continue;
      job->survey_worker = id;
      Touch(worker);
      break;
    }
  }
}

bool Scheduler::Impl::CanHost(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const {
  if (!job.device_kind.empty() && job.device_kind != worker.device_kind) return false;
  if (job.load_failures[variant].count(worker.id) > 0) return false;
  const VariantInfo* info = worker.FindVariant(job.spec.model, job.spec.variants[variant]);
  return info != nullptr && info->fits;
}

bool Scheduler::Impl::MayRun(const ActiveJob& job, std::int32_t chunk, std::int32_t variant,
                             const WorkerEntry& worker) const {
  const std::vector<WorkerId>& failed = job.FailedOn(chunk);
  const auto has_failed = [&](const WorkerId& id) { return std::count(failed.begin(), failed.end(), id) > 0; };
  if (!has_failed(worker.id)) return true;
  return std::none_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
    return entry.second.Live() && !has_failed(entry.first) && CanHost(job, variant, entry.second);
  });
}

std::optional<Scheduler::Impl::Position> Scheduler::Impl::FirstRunnable(const ActiveJob& job, std::int32_t variant,
                                                                        const WorkerEntry& worker) const {
  const ActiveJob::Queue& queue = job.queues[variant];
  std::optional<Position> best;
  if (!queue.fresh.empty()) best = *queue.fresh.begin();
  for (const Position& position : queue.retry) {
    if (best.has_value() && *best < position) break;
    if (MayRun(job, position.second, variant, worker)) return position;
  }
  return best;
}

std::int32_t Scheduler::Impl::HostedIndex(const ActiveJob& job, const WorkerEntry& worker) const {
  if (worker.variant.empty() || worker.model != job.spec.model) return -1;
  const std::int32_t variant = job.VariantIndex(worker.variant);
  return variant >= 0 && CanHost(job, variant, worker) ? variant : -1;
}

bool Scheduler::Impl::Served(const ActiveJob& job, std::int32_t variant, const WorkerEntry& but) const {
  const auto& hosts = HostsOf(job.spec.model, job.spec.variants[variant]);
  return std::any_of(hosts.begin(), hosts.end(), [&](const WorkerEntry* host) {
    return host != &but && CanHost(job, variant, *host) && FirstRunnable(job, variant, *host).has_value();
  });
}

bool Scheduler::Impl::LeftToOthers(const ActiveJob& job, std::int32_t variant, const WorkerEntry& worker) const {
  const std::int32_t twin = job.TwinOf(variant);
  if (twin < 0) return false;
  const auto timed_twin = [&](const WorkerEntry& w) { return job.timed_by[twin].count(w.session) > 0; };
  return timed_twin(worker) && std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
           const WorkerEntry& other = entry.second;
           return other.Live() && !timed_twin(other) && CanHost(job, variant, other) &&
                  FirstRunnable(job, variant, other).has_value();
         });
}

std::int32_t Scheduler::Impl::PickVariant(const ActiveJob& job, const WorkerEntry& worker) const {
  std::int32_t spare = -1;
  for (std::int32_t v : HostingOrder(job.spec)) {
    if (!CanHost(job, v, worker) || !FirstRunnable(job, v, worker).has_value()) continue;
    if (LeftToOthers(job, v, worker)) continue;
    if (!Served(job, v, worker)) return v;
    // A second host helps only on another device, and only where more waits than the hosts will soon have taken.
    const auto& hosts = HostsOf(job.spec.model, job.spec.variants[v]);
    const bool here = std::any_of(hosts.begin(), hosts.end(),
                                  [&](const WorkerEntry* host) { return host->device.id == worker.device.id; });
    const std::size_t soon = hosts.size() * static_cast<std::size_t>(options_.pipeline);
    if (here || job.queues[v].fresh.size() <= soon) continue;
    if (spare < 0 || job.queues[v].fresh.size() > job.queues[spare].fresh.size()) spare = v;
  }
  return spare;
}

ActiveJob* Scheduler::Impl::ServedJob(const std::string& device, const std::vector<WorkerEntry*>& live) const {
  const auto turn = turns_.find(device);
  for (const auto& job : jobs_) {
    if (!job->planned) continue;
    if (!job->device_kind.empty() && job->device_kind != live.front()->device_kind) continue;
    if (turn != turns_.end()) {
      const auto& leases = workers_.at(turn->second.holder).leases;
      const bool runs_here = std::any_of(leases.begin(), leases.end(), [&](const LeaseState& lease) {
        return lease.device == device && lease.job == job.get();
      });
      if (runs_here) return job.get();
    }
    for (const WorkerEntry* worker : live) {
      const std::int32_t hosted = HostedIndex(*job, *worker);
      const bool waits = job->WaitsForBaseline() || job->WaitsForSummaries();
      const bool gated = hosted >= 0 && waits && job->open_chunks(hosted) > 0;
      if (gated || (hosted >= 0 && FirstRunnable(*job, hosted, *worker).has_value()) ||
          PickVariant(*job, *worker) >= 0) {
        return job.get();
      }
    }
  }
  return nullptr;
}

void Scheduler::Impl::PlaceDevice(const std::string& device, const std::vector<WorkerEntry*>& live, Instant now) {
  ActiveJob* job = ServedJob(device, live);
  if (job == nullptr) return;
  const bool load_waits = Assign(job, device, live);
  if (!load_waits) Grant(job, device, live, now);
}

bool Scheduler::Impl::Assign(ActiveJob* job, const std::string& device, const std::vector<WorkerEntry*>& live) {
  const auto turn = turns_.find(device);
  const bool timing = turn != turns_.end() && turn->second.timing > 0;
  const std::int32_t tokens = MaxSequenceTokens(job->spec, job->survey);
  const std::int32_t batch = MaxBatch(job->spec);
  bool waits = false;
  bool lacks_room = false;
  // Those that host nothing come first: what they take need not be loaded twice.
  std::vector<WorkerEntry*> order = live;
  std::stable_partition(order.begin(), order.end(), [](const WorkerEntry* w) { return w->variant.empty(); });
  for (WorkerEntry* worker : order) {
    if (!worker->leases.empty()) continue;
    std::int32_t want = HostedIndex(*job, *worker);
    if (want >= 0 && FirstRunnable(*job, want, *worker).has_value()) {
      if (worker->max_sequence_tokens >= tokens && worker->max_batch >= batch) continue;
    } else {
      want = PickVariant(*job, *worker);
      if (want < 0) continue;
    }
    if (!HasRoom(*job, want, *worker)) {
      lacks_room = true;
      continue;
    }
    if (timing) {
      waits = true;
      continue;
    }
    worker->model = job->spec.model;
    worker->variant = job->spec.variants[want];
    worker->max_sequence_tokens = tokens;
    worker->max_batch = batch;
    if (job->device_kind.empty()) job->device_kind = worker->device_kind;
    Touch(*worker);
    Touch(*job);
    IndexHosts();
  }
  if (lacks_room) MakeRoom(*job, live);
  return waits;
}

void Scheduler::Impl::Grant(ActiveJob* job, const std::string& device, const std::vector<WorkerEntry*>& live,
                            Instant now) {
  const bool loading = std::any_of(live.begin(), live.end(), [](const WorkerEntry* w) { return w->Loading(); });
  for (;;) {
    const auto turn = turns_.find(device);
    const bool taken = turn != turns_.end();
    if (taken && turn->second.leases >= options_.pipeline) return;
    WorkerEntry* next = nullptr;
    std::optional<Position> first;
    for (WorkerEntry* worker : live) {
      const std::int32_t hosted = worker->Ready() ? HostedIndex(*job, *worker) : -1;
      if (hosted < 0) continue;
      const std::optional<Position> runnable = FirstRunnable(*job, hosted, *worker);
      if (!runnable.has_value() || (first.has_value() && *first <= *runnable)) continue;
      first = runnable;
      next = worker;
    }
    if (next == nullptr || (taken && turn->second.holder != next->id)) return;
    if (loading && IsTimed(job->chunks[first->second].kind)) return;
    GrantLease(job, first->second, next, now);
  }
}

void Scheduler::Impl::GrantLease(ActiveJob* job, std::int32_t chunk, WorkerEntry* worker, Instant now) {
  if (job->device_kind.empty()) job->device_kind = worker->device_kind;
  if (job->state == JobState::kQueued) {
    job->state = JobState::kRunning;
    job->start_wall_ns = now.wall_ns;
    mutations_.push_back(SetJobState{job->id, JobState::kRunning, now.wall_ns, "", job->device_kind});
  }
  LeaseState lease;
  lease.id = {job->id, chunk, job->Lease(chunk)};
  lease.job = job;
  lease.session = worker->session;
  lease.device = worker->device.id;
  lease.granted_ns = now.mono_ns;
  lease.deadline_ns = now.mono_ns + job->spec.lease_ns;
  lease.seen.resize(lease.chunk().count);
  mutations_.push_back(LeaseChunk{lease.id, worker->id, worker->session, worker->device.id});
  Turn& turn = turns_[lease.device];
  turn.holder = worker->id;
  ++turn.leases;
  turn.timing += IsTimed(lease.chunk().kind);
  if (lease.chunk().kind == ChunkKind::kTiming) job->timed_by[lease.chunk().variant].insert(worker->session);
  lease_owner_[{job->id, chunk}] = worker->id;
  worker->leases.push_back(std::move(lease));
  Touch(*worker);
  Touch(*job);
}

}  // namespace uaqf::core
