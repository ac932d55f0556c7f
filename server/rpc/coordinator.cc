#include "server/rpc/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/core/ids.h"
#include "server/rpc/convert.h"
#include "server/rpc/errors.h"
#include "server/rpc/tally.h"

namespace uaqf::rpc {
namespace {

constexpr std::int64_t kMetricsPeriodNs = 1'000'000'000;

core::Instant Now() {
  const auto ns = [](auto duration) { return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count(); };
  return {ns(std::chrono::steady_clock::now().time_since_epoch()),
          ns(std::chrono::system_clock::now().time_since_epoch())};
}

}  // namespace

Coordinator::Coordinator(const Options& options, store::JobStore* jobs, JobBoard* board, metrics::Metrics* metrics,
                         OnServing on_serving, OnRound on_round)
    : options_(options),
      jobs_(jobs),
      board_(board),
      metrics_(metrics),
      on_serving_(std::move(on_serving)),
      on_round_(std::move(on_round)),
      scheduler_(options.scheduler),
      random_(std::mt19937_64(std::random_device()())) {}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Create(const Options& options, store::JobStore* jobs,
                                                                 JobBoard* board, metrics::Metrics* metrics,
                                                                 OnServing on_serving, OnRound on_round) {
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(options, jobs, board, metrics, std::move(on_serving), std::move(on_round)));
  if (absl::Status loaded = coordinator->Load(); !loaded.ok()) return loaded;
  coordinator->thread_ = std::thread([loop = coordinator.get()] { loop->Run(); });
  return coordinator;
}

Coordinator::~Coordinator() { Stop(); }

void Coordinator::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

// --- from any thread

bool Coordinator::Post(Event event, bool bounded) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || (bounded && mailbox_.size() >= options_.mailbox_capacity)) return false;
  mailbox_.push_back(std::move(event));
  return true;
}

void Coordinator::CreateJob(core::CreateJob job, JobReply reply) {
  auto shared = std::make_shared<JobReply>(std::move(reply));
  CreateEvent event{std::move(job), [shared](absl::StatusOr<core::JobView> view) { (*shared)(std::move(view)); }};
  if (!Post(std::move(event), /*bounded=*/true)) (*shared)(stopped() ? Stopping() : Overloaded());
}

void Coordinator::CancelJob(core::JobId id, JobReply reply) {
  auto shared = std::make_shared<JobReply>(std::move(reply));
  CancelEvent event{std::move(id), [shared](absl::StatusOr<core::JobView> view) { (*shared)(std::move(view)); }};
  if (!Post(std::move(event), /*bounded=*/true)) (*shared)(stopped() ? Stopping() : Overloaded());
}

bool Coordinator::Look(View view) { return Post(LookEvent{std::move(view)}, /*bounded=*/true); }

void Coordinator::StopMeasuring(core::JobId id, std::vector<core::StopOrder> orders, std::string decided) {
  // After Stop, and while a store is broken, the next round is looked at again.
  if (!Post(StopEvent{std::move(id), std::move(orders), std::move(decided)}, /*bounded=*/false)) return;
}

void Coordinator::PostReport(std::shared_ptr<WorkerSession> session) {
  const auto copy = session;
  if (!Post(ReportEvent{std::move(session)}, /*bounded=*/false)) copy->End(Stopping());
}

void Coordinator::PostDisconnect(std::shared_ptr<WorkerSession> session) {
  if (!Post(DisconnectEvent{std::move(session)}, /*bounded=*/false)) return;  // nothing is left to tell
}

void Coordinator::PostBatch(std::shared_ptr<RecordStream> stream, core::RecordBatch batch) {
  const auto copy = stream;
  if (!Post(BatchEvent{std::move(stream), std::move(batch)}, /*bounded=*/false)) copy->End(Stopping());
}

void Coordinator::Drain(absl::AnyInvocable<void()> drained) {
  // After Stop nobody waits for the drain any more.
  if (!Post(DrainEvent{std::move(drained)}, /*bounded=*/false)) return;
}

// --- the loop

absl::Status Coordinator::Load() {
  auto snapshot = jobs_->LoadSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  std::int64_t before = 0;
  do {
    auto page = jobs_->ListJobs(before, 1000);
    if (!page.ok()) return page.status();
    for (const core::JobView& job : page->jobs) {
      if (core::Ended(job.state)) Tally(job, ended_);
    }
    before = page->next;
  } while (before != 0);
  const core::Instant now = Now();
  returned_ns_ = now.mono_ns + options_.workers_return_ns;
  Begin(*std::move(snapshot), now);
  for (const core::JobId& id : scheduler_.ActiveJobs()) PublishJob(id, now);
  PublishMetrics(now);
  return absl::OkStatus();
}

void Coordinator::Run() {
  on_serving_(true);
  while (!stopped()) Turn();
  for (auto& [worker, session] : sessions_) session.stream->End(Stopping());
  std::deque<Event> left;
  {
    absl::MutexLock lock(&mutex_);
    left.swap(mailbox_);
  }
  for (Event& event : left) {
    if (auto* report = std::get_if<ReportEvent>(&event)) report->session->End(Stopping());
    if (auto* batch = std::get_if<BatchEvent>(&event)) batch->stream->End(Stopping());
  }
}

std::deque<Coordinator::Event> Coordinator::Take() {
  std::deque<Event> events;
  const absl::Duration wait = absl::Nanoseconds(std::max<std::int64_t>(0, wake_ns_ - Now().mono_ns));
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(this, &Coordinator::HasEvents), wait);
  events.swap(mailbox_);
  return events;
}

void Coordinator::Turn() {
  std::deque<Event> events = Take();
  const core::Instant now = Now();
  Round round;
  if (!store_ok_) TryStoreAgain(now);
  for (Event& event : events) Handle(std::move(event), round, now);
  if (store_ok_) {
    scheduler_.OnTick(now);
    core::Effects effects = scheduler_.TakeEffects(now);
    Commit(std::move(round), std::move(effects), now);
  } else {
    Refuse(round, StoreUnavailable(absl::UnavailableError("a write failed")), now);
  }
  PublishDue(now);
  if (now.mono_ns >= next_metrics_ns_) PublishMetrics(now);
  NoticeDrained();
  wake_ns_ = NextWakeNs(now);
}

void Coordinator::Handle(Event event, Round& round, core::Instant now) {
  if (auto* create = std::get_if<CreateEvent>(&event)) {
    HandleCreate(std::move(*create), round, now);
  } else if (auto* cancel = std::get_if<CancelEvent>(&event)) {
    absl::Status status = store_ok_ ? scheduler_.CancelJob(cancel->id, now) : absl::OkStatus();
    round.cancels.push_back({std::move(cancel->id), std::move(status), std::move(cancel->reply)});
  } else if (auto* look = std::get_if<LookEvent>(&event)) {
    round.views.push_back(std::move(look->view));
  } else if (auto* stop = std::get_if<StopEvent>(&event)) {
    if (store_ok_) scheduler_.Stop(stop->id, stop->orders, stop->decided, now);
  } else if (auto* report = std::get_if<ReportEvent>(&event)) {
    HandleReport(report->session, round, now);
  } else if (auto* gone = std::get_if<DisconnectEvent>(&event)) {
    const auto found = std::find_if(sessions_.begin(), sessions_.end(),
                                    [&](const auto& entry) { return entry.second.stream == gone->session; });
    if (found == sessions_.end()) return;
    scheduler_.OnDisconnect(found->first, found->second.id, now);
    sessions_.erase(found);
  } else if (auto* batch = std::get_if<BatchEvent>(&event)) {
    PendingAck ack{std::move(batch->stream), batch->batch.attempt, batch->batch.sequence, {}};
    if (store_ok_) ack.reply = scheduler_.OnBatch(std::move(batch->batch), now);
    round.acks.push_back(std::move(ack));
  } else if (auto* drain = std::get_if<DrainEvent>(&event)) {
    draining_ = true;
    scheduler_.SetDraining(true, now);
    on_serving_(false);
    drained_.push_back(std::move(drain->drained));
  }
}

void Coordinator::HandleReport(const std::shared_ptr<WorkerSession>& stream, Round& round, core::Instant now) {
  std::optional<core::WorkerReport> report = stream->TakeReport();
  // Level-triggered: what is dropped here comes again.
  if (!report.has_value() || !store_ok_) return;
  const core::WorkerId worker = report->worker;
  const std::string id = report->session;
  if (absl::Status status = scheduler_.OnReport(*std::move(report), now); !status.ok()) {
    stream->End(absl::IsAborted(status) ? wire::WithReason(status, "SESSION_REPLACED") : status);
    return;
  }
  Session& session = sessions_[worker];
  if (session.stream != nullptr && session.stream != stream) {
    session.stream->End(wire::Error(
        absl::StatusCode::kAborted, "SESSION_REPLACED",
        absl::StrCat("a newer session of ", wire::WorkerName(worker), " came; give every worker a name of its own")));
  }
  session = {stream, id};
  round.answer[worker] = true;
}

void Coordinator::HandleCreate(CreateEvent event, Round& round, core::Instant now) {
  if (draining_) return event.reply(Stopping());
  if (store_ok_) {
    const std::vector<core::WorkerView> workers = scheduler_.Workers();
    std::vector<const core::ModelInfo*> models;
    for (const core::WorkerView& worker : workers) {
      for (const core::ModelInfo& model : worker.models) models.push_back(&model);
    }
    if (absl::Status fits = core::ValidateAgainstModels(event.job.spec, models); !fits.ok()) {
      const bool missing = absl::IsFailedPrecondition(fits);
      if (missing && now.mono_ns < returned_ns_) {
        return event.reply(wire::WithRetryDelay(
            wire::Error(absl::StatusCode::kUnavailable, "WORKERS_RETURNING",
                        absl::StrCat(fits.message(),
                                     "; the coordinator has just started, and its workers are still "
                                     "coming back: try again")),
            absl::Seconds(1)));
      }
      return event.reply(wire::WithReason(fits, missing ? "MODEL_NOT_SERVED" : "VARIANT_NOT_SERVED"));
    }
    const std::size_t waiting = scheduler_.ActiveJobs().size() + round.creates.size();
    if (waiting >= static_cast<std::size_t>(options_.limits.max_active_jobs)) {
      return event.reply(wire::WithRetryDelay(
          wire::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_JOBS",
                      absl::StrCat("got one job more than the limit of ", options_.limits.max_active_jobs,
                                   " that have not ended; wait for one, or cancel one")),
          absl::Seconds(10)));
    }
  }
  event.job.id = core::NewJobId(random_);
  round.creates.push_back(std::move(event));
}

void Coordinator::StoreFailed(const absl::Status& status, core::Instant now) {
  if (store_ok_) spdlog::error("the store failed: {}. No leases are given until it works", status.ToString());
  store_ok_ = false;
  restore_needed_ = true;
  next_store_try_ns_ = now.mono_ns + options_.store_retry_ns;
  on_serving_(false);
}

void Coordinator::TryStoreAgain(core::Instant now) {
  if (now.mono_ns < next_store_try_ns_) return;
  if (restore_needed_) {
    auto snapshot = jobs_->LoadSnapshot();
    if (!snapshot.ok()) return StoreFailed(snapshot.status(), now);
    Begin(*std::move(snapshot), now);
    restore_needed_ = false;
  }
  if (probe_.has_value()) {
    const core::Mutation probe = *probe_;
    auto written = jobs_->Commit(absl::MakeConstSpan(&probe, 1));
    metrics_->CountCommit(written.ok(), 0, 0);
    if (!written.ok()) return StoreFailed(written.status(), now);
  }
  spdlog::info("the store works again");
  store_ok_ = true;
  if (!draining_) on_serving_(true);
}

void Coordinator::Begin(core::Snapshot snapshot, core::Instant now) {
  // Written back as it is, it changes nothing and shows that the store can be written.
  probe_.reset();
  for (const core::JobSnapshot& job : snapshot.jobs) {
    if (!job.variants.empty()) probe_ = core::SaveVariant{job.id, 0, job.variants[0]};
  }
  scheduler_.Restore(std::move(snapshot), now);
  if (draining_) scheduler_.SetDraining(true, now);
  for (const core::JobId& id : scheduler_.ActiveJobs()) dirty_.emplace(id, 0);
}

void Coordinator::PublishDue(core::Instant now) {
  // After a failed write the scheduler is ahead of the store until it begins again.
  if (!store_ok_) return;
  std::vector<core::JobId> due;
  for (const auto& [id, at_ns] : dirty_) {
    if (at_ns <= now.mono_ns) due.push_back(id);
  }
  for (const core::JobId& id : due) PublishJob(id, now);
}

void Coordinator::PublishJob(const core::JobId& id, core::Instant now) {
  dirty_.erase(id);
  const std::optional<core::JobView> view = scheduler_.Job(id, now);
  // A view that was published before the store failed may be ahead of the store; it comes right with the next.
  if (!view.has_value() || core::Ended(view->state)) return;
  published_[id] = now.mono_ns;
  board_->Publish(ToProto(*view), /*final=*/false);
}

void Coordinator::PublishMetrics(core::Instant now) {
  next_metrics_ns_ = now.mono_ns + kMetricsPeriodNs;
  if (!store_ok_) {
    figures_.serving = false;
    return metrics_->PublishCoordinator(figures_);
  }
  metrics::CoordinatorFigures figures = ended_;
  figures.serving = !draining_;
  for (const core::JobId& id : scheduler_.ActiveJobs()) {
    const std::optional<core::JobView> view = scheduler_.Job(id, now);
    if (!view.has_value()) continue;
    Tally(*view, figures);
    // Rate and remaining time move on without an event.
    if (view->state == core::JobState::kRunning) dirty_.emplace(id, published_[id] + options_.publish_period_ns);
  }
  for (const core::WorkerView& worker : scheduler_.Workers()) Tally(worker, figures);
  const core::SchedulerStats stats = scheduler_.Stats();
  figures.queue_chunks = stats.chunks_pending;
  figures.leased_chunks = stats.chunks_leased;
  figures.watchers = static_cast<std::int64_t>(board_->watchers());
  figures_ = figures;
  metrics_->PublishCoordinator(figures);
}

void Coordinator::NoticeDrained() {
  if (drained_.empty() || scheduler_.Stats().chunks_leased > 0) return;
  for (auto& drained : drained_) drained();
  drained_.clear();
}

std::int64_t Coordinator::NextWakeNs(core::Instant now) const {
  if (wake_ns_ == 0) return now.mono_ns;
  std::int64_t wake = next_metrics_ns_;
  if (store_ok_) wake = std::min(wake, scheduler_.NextDeadline());
  if (!store_ok_) wake = std::min(wake, next_store_try_ns_);
  for (const auto& [id, at_ns] : dirty_) wake = std::min(wake, at_ns);
  return wake;
}

}  // namespace uaqf::rpc
