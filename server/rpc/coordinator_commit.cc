// The second half of a turn of the loop: one transaction, then all that waited for it.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/rpc/convert.h"
#include "server/rpc/coordinator.h"
#include "server/rpc/errors.h"
#include "server/rpc/tally.h"

namespace uaqf::rpc {
void Coordinator::Commit(Round round, core::Effects effects, core::Instant now) {
  std::vector<core::Mutation> mutations;
  mutations.reserve(round.creates.size() + effects.mutations.size());
  for (const CreateEvent& create : round.creates) mutations.emplace_back(create.job);
  for (core::Mutation& mutation : effects.mutations) mutations.push_back(std::move(mutation));
  std::vector<store::MutationResult> results;
  if (!mutations.empty()) {
    const auto start = std::chrono::steady_clock::now();
    auto committed = jobs_->Commit(mutations);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::int64_t records = 0;
    for (const core::Mutation& mutation : mutations) {
      if (auto* append = std::get_if<core::AppendRecords>(&mutation)) {
        records += static_cast<std::int64_t>(append->records.size());
      }
    }
    metrics_->CountCommit(committed.ok(), seconds, records);
    if (!committed.ok()) {
      // Health first: whoever is refused can look and see why.
      StoreFailed(committed.status(), now);
      return Refuse(round, StoreUnavailable(committed.status()), now);
    }
    results = *std::move(committed);
  }
  const bool drift = std::any_of(results.begin() + static_cast<std::ptrdiff_t>(round.creates.size()), results.end(),
                                 [](const auto& result) { return result.applied != store::Applied::kYes; });
  if (drift) {
    spdlog::error(
        "the store refused a step of the scheduler; another program may write to it. Beginning again from it");
    const absl::Status cause = absl::AbortedError("its state was not the expected one");
    StoreFailed(cause, now);
    return Refuse(round, StoreUnavailable(cause), now);
  }
  CountMutations(mutations, *metrics_);
  for (const std::string& notice : effects.notices) spdlog::warn("{}", notice);
  Answer(round, effects, results, now);
}

void Coordinator::Answer(Round& round, const core::Effects& effects, const std::vector<store::MutationResult>& results,
                         core::Instant now) {
  for (PendingAck& ack : round.acks) {
    CountBatch(ack.reply.verdict, *metrics_);
    if (ack.reply.verdict == core::Verdict::kGap) {
      ack.stream->End(wire::Error(absl::StatusCode::kUnavailable, "BATCH_MISSING",
                                  absl::StrCat("got batch ", ack.sequence, " of ", core::ToString(ack.attempt),
                                               " before an earlier one; send again all that is not acknowledged")));
    } else {
      ack.stream->Ack(ack.attempt, ack.sequence, ack.reply);
    }
  }
  for (const core::WorkerId& worker : effects.workers) round.answer[worker] = true;
  for (const auto& [worker, unused] : round.answer) {
    const auto session = sessions_.find(worker);
    if (session != sessions_.end()) session->second.stream->Send(scheduler_.Desired(worker, now));
  }
  for (const core::JobId& id : effects.ended) {
    std::optional<core::JobView> view = scheduler_.Job(id, now);
    if (!view.has_value()) continue;
    Tally(*view, ended_);
    dirty_.erase(id);
    published_.erase(id);
    spdlog::info("{} ended: {}, {} of {} records", wire::JobName(id), core::Name(view->state),
                 view->progress.records_done, view->progress.records_total);
    board_->Publish(ToProto(*view), /*final=*/true);
  }
  for (const core::JobId& id : effects.jobs) {
    if (std::find(effects.ended.begin(), effects.ended.end(), id) != effects.ended.end()) continue;
    dirty_.emplace(id, published_[id] + options_.publish_period_ns);
  }
  for (PendingCancel& cancel : round.cancels) {
    std::optional<core::JobView> view;
    if (cancel.status.ok()) view = scheduler_.Job(cancel.id, now);
    cancel.reply(view.has_value() ? absl::StatusOr<core::JobView>(*std::move(view))
                                  : absl::StatusOr<core::JobView>(absl::NotFoundError(cancel.id)));
  }
  AnswerCreates(round.creates, results, now);
  for (const core::JobId& id : effects.looks) {
    if (on_round_ != nullptr) on_round_(*this, id);
  }
  for (View& view : round.views) view(scheduler_, now);
}

void Coordinator::AnswerCreates(std::vector<CreateEvent>& creates, const std::vector<store::MutationResult>& results,
                                core::Instant now) {
  for (std::size_t i = 0; i < creates.size(); ++i) {
    CreateEvent& create = creates[i];
    switch (results[i].applied) {
      case store::Applied::kYes: {
        const core::JobId id = create.job.id;
        scheduler_.AddJob(id, std::move(create.job.spec), create.job.prompt_count, now);
        PublishJob(id, now);
        create.reply(*scheduler_.Job(id, now));
        wake_ns_ = 0;
        break;
      }
      case store::Applied::kExists: {
        const std::optional<core::JobView> active = scheduler_.Job(results[i].existing, now);
        create.reply(active.has_value() ? absl::StatusOr<core::JobView>(*active) : jobs_->GetJob(results[i].existing));
        break;
      }
      case store::Applied::kRequestReused:
        create.reply(wire::Error(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
                                 absl::StrCat("got request_id ", create.job.request.request_id,
                                              " again with another spec; choose a new one for a new job")));
        break;
      case store::Applied::kIdTaken:
      case store::Applied::kLost: {
        auto reply = std::make_shared<JobReply>(std::move(create.reply));
        CreateEvent again{std::move(create.job),
                          [reply](absl::StatusOr<core::JobView> view) { (*reply)(std::move(view)); }};
        if (!Post(std::move(again), /*bounded=*/false)) (*reply)(Stopping());
        break;
      }
    }
  }
}

void Coordinator::Refuse(Round& round, const absl::Status& status, core::Instant now) {
  for (PendingAck& ack : round.acks) ack.stream->End(status);
  for (CreateEvent& create : round.creates) create.reply(status);
  for (PendingCancel& cancel : round.cancels) cancel.reply(status);
  for (View& view : round.views) view(scheduler_, now);
}

}  // namespace uaqf::rpc
