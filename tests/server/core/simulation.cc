#include "tests/server/core/simulation.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/core/divergence.h"

namespace uaqf::core {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kSecond = 1'000 * kMs;
constexpr int kSettleRounds = 3000;
constexpr char kModel[] = "m";
const char* const kVariants[] = {"fp16", "rtn-w8", "rtn-w4"};

// Bytes a hosted variant takes, whatever its sequence.
const std::map<std::string, std::int64_t> kResident = {{"fp16", 4}, {kBaselineTwin, 4}, {"rtn-w8", 2}, {"rtn-w4", 1}};

ModelInfo Model() {
  ModelInfo model;
  model.model = kModel;
  model.context_tokens = 4096;
  for (const char* name : kVariants) model.variants.push_back({name, "", true, "", kResident.at(name)});
  return model;
}

}  // namespace

Simulation::Simulation(std::uint64_t seed, const Profile& profile, SimStore* store)
    : seed_(seed), profile_(profile), random_(seed), store_(store), scheduler_(std::make_unique<Scheduler>()) {
  const std::int32_t count = (profile_.sick ? 2 : 1) + static_cast<std::int32_t>(random_.Below(3));
  const std::int32_t devices = 1 + static_cast<std::int32_t>(random_.Below(2));
  // From one that holds no variant but alone to one that holds all.
  const std::int64_t memory = profile_.small_devices ? 3 + static_cast<std::int64_t>(random_.Below(5)) : 0;
  for (std::int32_t i = 0; i < count; ++i) {
    SimWorker worker;
    worker.id = absl::StrCat("w", i);
    worker.device.id = absl::StrCat("d", i % devices);
    worker.device.name = "sim";
    worker.device.backend = "cpu";
    worker.device.memory_bytes = memory;
    worker.sick = profile_.sick && i == 0;
    worker.cannot_load = profile_.load_failures && Chance(40);
    workers_.push_back(std::move(worker));
  }
}

void Simulation::Fail(const std::string& what) { problems_.push_back(absl::StrCat("seed ", seed_, ": ", what)); }

void Simulation::SubmitJob() {
  CreateJob create;
  create.id = absl::StrCat("j", jobs_.size());
  const std::size_t variants = 1 + random_.Below(3);
  for (std::size_t v = 0; v < variants; ++v) create.spec.variants.emplace_back(kVariants[v]);
  create.request.request_id = create.id;
  create.spec.model = kModel;
  create.spec.prompt_set = "p";
  create.spec.timing.repeats = 1 + static_cast<std::int32_t>(random_.Below(2));
  create.spec.timing.block_prompts = 1 + static_cast<std::int32_t>(random_.Below(4));
  create.spec.timing.max_output_tokens = 8;
  create.spec.timing.output_length = static_cast<OutputLength>(1 + random_.Below(3));
  if (Chance(40)) create.spec.quality.text_set = "t";
  create.spec.quality.context_tokens = 16;
  create.spec.seed = random_.Next();
  // From the seed, not from another draw: histories that are known by their number stay what they are.
  create.spec.quality.divergence = !create.spec.quality.text_set.empty() && create.spec.seed % 4 > 0;
  if (create.spec.seed % 3 == 0) create.spec.agreement = {5, 1, {}};
  create.spec.quality.divergence_mode = static_cast<DivergenceMode>(1 + create.spec.seed / 4 % 3);
  if (variants > 1 && create.spec.seed / 16 % 2 == 0) create.spec.variants.emplace_back(kBaselineTwin);
  if (!profile_.rounds && create.spec.seed / 32 % 3 == 0) create.spec.grid = {{1, 4}, {8}, {2, 4}, 2};
  if (profile_.rounds) create.spec.allocation = {0.95, "balanced", 0};
  create.spec.lease_ns = kSecond;
  create.spec.attempt_limit = profile_.attempt_limit;
  create.prompt_count = 1 + static_cast<std::int32_t>(random_.Below(6));
  if (profile_.poison) poison_item_ = static_cast<std::int32_t>(random_.Below(create.prompt_count));
  jobs_.push_back(create.id);
  const JobSpec spec = create.spec;
  const std::int32_t prompts = create.prompt_count;
  const std::vector<Mutation> mutations = {std::move(create)};
  if (!store_->Commit(mutations).front()) Fail("a new job was not stored");
  scheduler_->AddJob(jobs_.back(), spec, prompts, now());
}

void Simulation::Flush(bool commit_fails) {
  const Effects effects = scheduler_->TakeEffects(now());
  if (commit_fails) {
    // Nothing is acknowledged and the streams end: workers send again.
    replies_.clear();
    scheduler_->Restore(store_->Load(), now());
    for (SimWorker& worker : workers_) {
      for (auto& [name, attempt] : worker.attempts) {
        for (const RecordBatch& batch : attempt.unacknowledged) Send(batch);
      }
    }
    return;
  }
  if (!effects.mutations.empty()) {
    const std::vector<bool> applied = store_->Commit(effects.mutations);
    for (std::size_t i = 0; i < applied.size(); ++i) {
      if (!applied[i]) Fail(absl::StrCat("mutation ", effects.mutations[i].index(), " was lost"));
    }
    Check();
  }
  for (const auto& [batch, reply] : replies_) {
    for (SimWorker& worker : workers_) {
      const auto it = worker.attempts.find(ToString(batch.attempt));
      if (worker.id != batch.worker || !worker.alive || worker.stopped || it == worker.attempts.end()) continue;
      auto& waiting = it->second.unacknowledged;
      if (reply.verdict == Verdict::kGap) {
        for (const RecordBatch& again : waiting) Send(again);
      } else if (reply.verdict == Verdict::kStored) {
        while (!waiting.empty() && waiting.front().sequence <= batch.sequence) waiting.pop_front();
      } else {
        worker.attempts.erase(it);
      }
    }
  }
  replies_.clear();
  for (const WorkerId& id : effects.workers) {
    for (SimWorker& worker : workers_) {
      if (worker.id == id && worker.alive && !worker.stopped && !Chance(profile_.faults ? 20 : 0)) {
        Receive(&worker, scheduler_->Desired(id, now()));
      }
    }
  }
  for (const JobId& id : effects.looks) Decide(id);
}

// As a look at the job's records may find: one is beaten, all is decided, or neither.
void Simulation::Decide(const JobId& id) {
  const std::uint64_t found = random_.Below(4);
  if (found == 0) scheduler_->Stop(id, {{1, "another is surely better"}}, "", now());
  if (found == 1) scheduler_->Stop(id, {}, "decided", now());
}

void Simulation::RestartCoordinator() {
  replies_.clear();
  if (Chance(50)) wire_.clear();
  scheduler_ = std::make_unique<Scheduler>();
  scheduler_->Restore(store_->Load(), now());
}

void Simulation::Check() {
  std::map<std::string, std::set<WorkerId>> holders;
  for (const JobSnapshot& job : store_->Load().jobs) {
    for (const OpenAttempt& attempt : job.attempts) holders[attempt.device].insert(attempt.worker);
  }
  for (const auto& [device, workers] : holders) {
    if (workers.size() > 1) Fail(absl::StrCat(workers.size(), " workers hold leases on device ", device));
  }
  for (const JobId& id : jobs_) {
    for (const std::string& problem : CheckInvariants(store_->Dump(id))) Fail(problem);
  }
  if (profile_.small_devices && !profile_.faults) CheckMemory();
}

// Only where the coordinator hears of all that happens: a killed process may still hold what nobody knows of.
void Simulation::CheckMemory() {
  std::map<std::string, std::vector<std::int64_t>> held;
  for (const SimWorker& worker : workers_) {
    if (worker.alive && !worker.hosted.variant.empty()) {
      held[worker.device.id].push_back(kResident.at(worker.hosted.variant));
    }
  }
  for (const auto& [device, bytes] : held) {
    const std::int64_t sum = std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
    if (bytes.size() > 1 && sum > workers_.front().device.memory_bytes) {
      Fail(absl::StrCat("device ", device, " holds ", sum, " of ", workers_.front().device.memory_bytes, " bytes"));
    }
  }
}

void Simulation::Load(SimWorker* worker, const DesiredState& desired) {
  HostedVariant& hosted = worker->hosted;
  const bool same = hosted.model == desired.model && hosted.variant == desired.variant &&
                    hosted.max_sequence_tokens >= desired.max_sequence_tokens && hosted.max_batch >= desired.max_batch;
  if (same && (hosted.state != VariantState::kLoading || Chance(50))) {
    if (hosted.state == VariantState::kLoading) hosted.state = VariantState::kReady;
    return;
  }
  if (same) return;
  hosted = HostedVariant{};
  if (desired.variant.empty()) return;
  hosted.model = desired.model;
  hosted.variant = desired.variant;
  hosted.max_sequence_tokens = desired.max_sequence_tokens;
  hosted.max_batch = desired.max_batch;
  hosted.state = worker->cannot_load ? VariantState::kFailed : VariantState::kLoading;
  hosted.error = worker->cannot_load ? "no memory" : "";
}

void Simulation::Receive(SimWorker* worker, const DesiredState& desired) {
  Load(worker, desired);
  worker->leases = desired.leases;
  std::set<std::string> listed;
  for (const Lease& lease : desired.leases) listed.insert(ToString(lease.attempt));
  for (auto it = worker->attempts.begin(); it != worker->attempts.end();) {
    it = listed.count(it->first) > 0 ? std::next(it) : worker->attempts.erase(it);
  }
  for (const SurveyRequest& request : desired.surveys) {
    SurveyResult result;
    result.job = request.job;
    result.survey.longest_input_tokens = 10;
    result.survey.text_windows = request.text_set.empty() ? 0 : 1 + static_cast<std::int32_t>(seed_ % 7);
    result.survey.articles = request.article_set.empty() ? 0 : 1 + static_cast<std::int32_t>(seed_ % 4);
    result.survey.task_items = request.task_set.empty() ? 0 : 1 + static_cast<std::int32_t>(seed_ % 5);
    worker->surveys.push_back(result);
  }
}

void Simulation::Report(SimWorker* worker) {
  if (!worker->alive || worker->stopped) return;
  WorkerReport report;
  report.worker = worker->id;
  report.session = worker->Session();
  report.sequence = ++worker->sequence;
  report.device = worker->device;
  report.models = {Model()};
  if (worker->hosted.state == VariantState::kLoading && Chance(60)) worker->hosted.state = VariantState::kReady;
  report.hosted = worker->hosted;
  for (const auto& [name, attempt] : worker->attempts) {
    for (const Lease& lease : worker->leases) {
      if (ToString(lease.attempt) == name) report.attempts.push_back({lease.attempt, attempt.made, attempt.error});
    }
  }
  report.surveys = worker->surveys;
  report.draining = worker->draining;
  const absl::Status status = scheduler_->OnReport(std::move(report), now());
  if (!status.ok()) Fail(absl::StrCat("a report was refused: ", status.ToString()));
  Receive(worker, scheduler_->Desired(worker->id, now()));
}

RecordRow Simulation::Measure(const Lease& lease, std::int32_t item) {
  RecordRow row;
  row.item = item;
  row.repeat = lease.repeat;
  row.blob = absl::StrCat(ToString(lease.attempt), " item ", item);
  if (lease.kind == ChunkKind::kPerplexity) {
    row.body = RecordBody::kWindow;
    row.scored_tokens = lease.context_tokens - 1;
    row.nll_sum = 2.5 * row.scored_tokens;
    return row;
  }
  if (lease.kind == ChunkKind::kDivergence) {
    row.body = RecordBody::kDivergence;
    row.scored_tokens = lease.context_tokens - 1;
    row.kl_sum = row.kl_upper_sum = 0.1 * row.scored_tokens;
    row.top_k = 10;
    row.summary_k = lease.summary_k;
    // Some windows are tight at once, some with the second k, some never.
    const std::int32_t tight = kFirstSummaryK << 2 * ((item + static_cast<std::int32_t>(seed_ % 5)) % 4);
    if (lease.summary_k > 0 && lease.summary_k < tight) row.kl_upper_sum += row.scored_tokens;
    return row;
  }
  if (lease.kind == ChunkKind::kSummary) {
    row.body = RecordBody::kSummary;
    row.scored_tokens = lease.context_tokens - 1;
    row.summary_k = lease.summary_k;
    return row;
  }
  if (lease.kind == ChunkKind::kArticle) {
    row.body = RecordBody::kArticle;
    row.scored_tokens = row.words = row.bytes = 9 + item;
    row.nll_sum = 2.5 * row.scored_tokens;
    return row;
  }
  if (lease.kind == ChunkKind::kTraffic) {
    const TrafficCell& cell = lease.cells[item - lease.first_item];
    row.body = RecordBody::kTraffic;
    row.batch = cell.batch;
    row.input_tokens = cell.input_tokens;
    row.output_tokens = cell.output_tokens;
    row.latency_ns = 1000 + item;
    return row;
  }
  if (lease.kind == ChunkKind::kAgreement) {
    row.body = RecordBody::kAgreement;
    row.output_tokens = lease.timing.max_output_tokens;
    return row;
  }
  if (lease.kind == ChunkKind::kTask) {
    row.body = RecordBody::kTask;
    row.checks = {{1, item % 2, 1}, {2, 1, 1}};
    return row;
  }
  row.body = lease.kind == ChunkKind::kTiming ? RecordBody::kTiming : RecordBody::kGeneration;
  row.output_tokens = lease.output_tokens.empty() ? item % 9 : lease.output_tokens[item - lease.first_item];
  row.latency_ns = row.body == RecordBody::kTiming ? 1000 + item : 0;
  return row;
}

void Simulation::Work(SimWorker* worker) {
  if (!worker->alive || worker->stopped || worker->hosted.state != VariantState::kReady) return;
  for (const Lease& lease : worker->leases) {
    if (lease.variant != worker->hosted.variant) continue;
    SimWorker::Attempt& attempt = worker->attempts[ToString(lease.attempt)];
    if (attempt.ended || !attempt.error.empty()) continue;
    if (worker->draining && attempt.made == 0) return;
    RecordBatch batch;
    batch.worker = worker->id;
    batch.attempt = lease.attempt;
    batch.sequence = attempt.next_sequence;
    const std::int32_t many = 1 + static_cast<std::int32_t>(random_.Below(3));
    for (std::int32_t i = 0; i < many && attempt.made < lease.item_count; ++i) {
      const std::int32_t item = lease.first_item + attempt.made;
      if (worker->sick || (item == poison_item_ && lease.kind == ChunkKind::kTiming)) {
        Kill(worker);
        return;
      }
      batch.records.push_back(Measure(lease, item));
      ++attempt.made;
    }
    if (profile_.faults && Chance(3)) {
      attempt.error = "it failed";
      return;
    }
    if (attempt.made == lease.item_count) {
      batch.has_end = true;
      batch.end.record_count = lease.item_count;
      if (profile_.taints && Chance(15)) batch.end.evidence.taints = {"foreign load"};
      attempt.ended = true;
    }
    if (profile_.faults && Chance(2)) batch.records.front().item += 100;  // it lies
    ++attempt.next_sequence;
    attempt.unacknowledged.push_back(batch);
    Send(std::move(batch));
    return;
  }
}

void Simulation::Kill(SimWorker* worker) {
  if (!worker->alive) return;
  ++deaths_;
  worker->alive = false;
  worker->stopped = false;
  worker->attempts.clear();
  worker->leases.clear();
  worker->hosted = HostedVariant{};
  worker->surveys.clear();
  worker->draining = false;
  if (Chance(70)) scheduler_->OnDisconnect(worker->id, worker->Session(), now());
}

void Simulation::Start(SimWorker* worker) {
  if (worker->alive) return;
  worker->alive = true;
  ++worker->session;
  worker->sequence = 0;
  Report(worker);
}

void Simulation::Send(RecordBatch batch) { wire_.push_back(std::move(batch)); }

void Simulation::Deliver(RecordBatch batch) {
  const BatchReply reply = scheduler_->OnBatch(batch, now());
  replies_.emplace_back(std::move(batch), reply);
}

void Simulation::Step() {
  SimWorker* worker = AnyWorker();
  const std::uint64_t what = random_.Below(100);
  if (what < 30) {
    Report(worker);
  } else if (what < 60) {
    Work(worker);
  } else if (what < 80 && !wire_.empty()) {
    // Batches may overtake each other and come twice.
    const std::size_t at = profile_.faults && Chance(20) ? random_.Below(wire_.size()) : 0;
    RecordBatch batch = wire_[at];
    if (!profile_.faults || !Chance(10)) wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(at));
    Deliver(std::move(batch));
  } else if (what < 88) {
    now_ns_ += static_cast<std::int64_t>(random_.Below(600)) * kMs;
    if (profile_.faults) wall_skew_ns_ = (Chance(50) ? 1 : -1) * 3600 * kSecond;
    scheduler_->OnTick(now());
  } else if (what < 91 && profile_.faults) {
    Kill(worker);
  } else if (what < 93 && profile_.faults) {
    worker->stopped = worker->alive && !worker->stopped;
  } else if (what < 95 && profile_.faults) {
    RestartCoordinator();
  } else if (what < 96 && profile_.faults) {
    Flush(true);
  } else if (what < 97 && profile_.cancels && Chance(30)) {
    const JobId id = jobs_[random_.Below(jobs_.size())];
    if (!scheduler_->CancelJob(id, now()).ok() && scheduler_->Job(id, now()).has_value() &&
        !Ended(scheduler_->Job(id, now())->state)) {
      Fail("an active job could not be cancelled");
    }
  } else if (what < 98 && jobs_.size() < 2) {
    SubmitJob();
  } else if (what < 99 && profile_.faults) {
    worker->draining = worker->alive;
  } else {
    Start(worker);
  }
  Flush(false);
}

// The faults stop: everybody is started again and works in turn until nothing is left to do.
void Simulation::Settle() {
  for (SimWorker& worker : workers_) {
    worker.stopped = false;
    if (worker.draining) Kill(&worker);
    Start(&worker);
  }
  for (int round = 0; round < kSettleRounds && !scheduler_->ActiveJobs().empty(); ++round) {
    for (SimWorker& worker : workers_) {
      Start(&worker);
      Report(&worker);
      Flush(false);
      Work(&worker);
      for (auto& [name, attempt] : worker.attempts) {
        for (const RecordBatch& batch : attempt.unacknowledged) Send(batch);
      }
      while (!wire_.empty()) {
        RecordBatch batch = std::move(wire_.front());
        wire_.pop_front();
        Deliver(std::move(batch));
      }
      Flush(false);
    }
    now_ns_ += 100 * kMs;
    scheduler_->OnTick(now());
    Flush(false);
  }
  // A look at the last round may have ended a job.
  Flush(false);
  for (const JobId& id : scheduler_->ActiveJobs()) Fail(absl::StrCat("jobs/", id, " does not end"));
}

std::vector<std::string> Simulation::Run() {
  SubmitJob();
  for (std::int32_t step = 0; step < profile_.steps && problems_.empty(); ++step) Step();
  if (problems_.empty()) Settle();
  return problems_;
}

}  // namespace uaqf::core
