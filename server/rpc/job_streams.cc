#include "server/rpc/job_streams.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"
#include "server/rpc/errors.h"

namespace uaqf::rpc {
namespace {

constexpr std::int32_t kRecordsPerMessage = 1000;

}  // namespace

// --- WatchJob

WatchStream* WatchStream::Start(const ServiceContext& context, std::string name) {
  auto stream = std::make_shared<WatchStream>(context, std::move(name));
  stream->weak_ = stream;
  stream->Begin(stream);
  auto state = context.board->Watch(stream->name_, stream);
  if (!state.ok()) {
    stream->End(state.status());
  } else if (state->has_value()) {
    stream->OnJob(**state);
  } else if (!context.executor->Post([stream] { stream->ReadEnded(); })) {
    stream->End(Overloaded());
  }
  return stream.get();
}

void WatchStream::OnJob(const JobState& state) {
  grpc::ByteBuffer bytes = Serialize(*state.job);
  absl::MutexLock lock(&order_);
  if (state.version <= version_) return;
  version_ = state.version;
  Put(std::move(bytes), state.final);
}

void WatchStream::ReadEnded() {
  auto id = wire::ParseJobName(name_);
  auto view = context_.store->GetJob(*id);
  if (!view.ok()) return End(OrMissing(view.status(), NoSuchJob(*id)));
  if (core::Ended(view->state)) return Put(Serialize(ToProto(*view)), /*last=*/true);
  // It came onto the board after we looked.
  auto state = context_.board->Watch(name_, weak_.lock());
  if (!state.ok()) return End(state.status());
  if (state->has_value()) return OnJob(**state);
  End(wire::Error(absl::StatusCode::kUnavailable, "JOB_MOVING", "the job just changed its state; watch again"));
}

// --- StreamRecords

RecordsOutStream::RecordsOutStream(const ServiceContext& context, PromptLabels* labels, core::JobId job,
                                   store::RecordCursor cursor, bool follow)
    : OutStream(context, "EvaluationService/StreamRecords"),
      labels_(labels),
      job_(std::move(job)),
      follow_(follow),
      cursor_(cursor) {}

RecordsOutStream* RecordsOutStream::Start(const ServiceContext& context, PromptLabels* labels, core::JobId job,
                                          store::RecordCursor cursor, bool follow) {
  auto stream = std::make_shared<RecordsOutStream>(context, labels, std::move(job), cursor, follow);
  stream->weak_ = stream;
  stream->Begin(stream);
  if (follow) {
    auto state = context.board->Watch(wire::JobName(stream->job_), stream);
    if (!state.ok()) {
      stream->End(state.status());
      return stream.get();
    }
  }
  stream->Wake(/*news=*/true);
  return stream.get();
}

void RecordsOutStream::OnSent() {
  {
    absl::MutexLock lock(&state_mutex_);
    busy_ = false;
  }
  Wake(/*news=*/true);
}

void RecordsOutStream::OnJob(const JobState&) { Wake(/*news=*/true); }

void RecordsOutStream::OnEnd() {
  if (follow_) context_.board->Unwatch(wire::JobName(job_), this);
}

void RecordsOutStream::Wake(bool news) {
  {
    absl::MutexLock lock(&state_mutex_);
    news_ = news_ || news;
    if (busy_) return;
    busy_ = true;
    news_ = false;
  }
  auto self = weak_.lock();
  if (!context_.executor->Post([self] { self->Read(); })) End(Overloaded());
}

void RecordsOutStream::Read() {
  // After a page was put the stream stays busy until OnSent: at most one page waits, and none is replaced.
  while (!ended() && !ReadPage()) {
    absl::MutexLock lock(&state_mutex_);
    if (!news_) {
      busy_ = false;
      return;
    }
    news_ = false;
  }
}

bool RecordsOutStream::ReadPage() {
  // The state is read first: what is stored before the end is then seen by the read after it.
  auto view = context_.store->GetJob(job_);
  if (!view.ok()) {
    End(OrMissing(view.status(), NoSuchJob(job_)));
    return true;
  }
  auto page = ReadRecordsPage(context_.store, labels_, job_, view->spec, cursor_, {}, kRecordsPerMessage);
  if (!page.ok()) {
    End(page.status());
    return true;
  }
  const bool last = page->at_end && (!follow_ || core::Ended(view->state));
  if (page->records.empty() && !last) return false;
  cursor_ = page->next;
  v1::StreamRecordsResponse message;
  for (v1::StoredRecord& record : page->records) *message.add_records() = std::move(record);
  message.set_cursor(EncodeCursor(cursor_));
  Put(Serialize(message), last);
  return true;
}

}  // namespace uaqf::rpc
