#include "worker/link/records.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "proto/wire/channel.h"
#include "spdlog/spdlog.h"

namespace uaqf::link {
namespace {

// Room for an attempt's end, and for the batch's own fields, below the wire's limit.
constexpr int64_t kBatchOverheadBytes = 16 << 10;

}  // namespace

Records::Records(Options options, v1::WorkerService::StubInterface* stub, Listener listener)
    : options_(std::move(options)), stub_(stub), listener_(std::move(listener)) {}

Records::~Records() {
  std::unique_ptr<RecordStream> stream;
  {
    const absl::MutexLock lock(&mutex_);
    stream = std::move(stream_);
  }
  // Its end waits for handlers that take the lock.
  stream.reset();
}

void Records::Begin(const Attempt& attempt) {
  if (open_.batch != nullptr && open_.attempt == attempt) return;
  open_ = {};
  open_.attempt = attempt;
  open_.batch = std::make_shared<v1::RecordBatch>();
}

void Records::Add(const Attempt& attempt, v1::Record record) {
  const int64_t bytes = static_cast<int64_t>(record.ByteSizeLong()) + 8;
  const absl::MutexLock lock(&mutex_);
  Begin(attempt);
  if (open_.bytes + bytes > wire::kBatchBytes - kBatchOverheadBytes) SendOpen();
  open_.bytes += bytes;
  *open_.batch->add_records() = std::move(record);
  ++open_.record_count;
  if (open_.batch->records_size() >= options_.batch_records) SendOpen();
}

void Records::FlushIfDue(absl::Time now) {
  const absl::MutexLock lock(&mutex_);
  if (open_.batch == nullptr || open_.batch->records_size() == 0) return;
  if (now - last_flush_ >= options_.flush_interval) SendOpen();
}

void Records::End(const Attempt& attempt, v1::AttemptEnd end) {
  const absl::MutexLock lock(&mutex_);
  Begin(attempt);
  end.set_record_count(open_.record_count);
  *open_.batch->mutable_end() = std::move(end);
  SendOpen();
  open_ = {};
}

void Records::SendOpen() {
  open_.batch->set_worker(options_.worker);
  *open_.batch->mutable_attempt() = ToProto(open_.attempt);
  open_.batch->set_sequence(open_.next_sequence++);
  unacknowledged_records_ += open_.batch->records_size();
  unacknowledged_bytes_ += open_.bytes;
  unacknowledged_.push_back({open_.attempt, open_.batch, open_.bytes});
  if (stream_ != nullptr && !stream_ended_) stream_->Send(open_.batch);
  open_.batch = std::make_shared<v1::RecordBatch>();
  open_.bytes = 0;
  last_flush_ = absl::Now();
}

void Records::Drop(const Attempt& attempt) {
  const absl::MutexLock lock(&mutex_);
  Forget(attempt);
}

void Records::Forget(const Attempt& attempt) {
  if (open_.batch != nullptr && open_.attempt == attempt) open_ = {};
  const auto belongs = [&attempt](const Sent& sent) { return sent.attempt == attempt; };
  for (const Sent& sent : unacknowledged_) {
    if (!belongs(sent)) continue;
    unacknowledged_records_ -= sent.batch->records_size();
    unacknowledged_bytes_ -= sent.bytes;
  }
  unacknowledged_.erase(std::remove_if(unacknowledged_.begin(), unacknowledged_.end(), belongs), unacknowledged_.end());
}

bool Records::HasRoom() const {
  return unacknowledged_records_ < options_.most_unacknowledged &&
         unacknowledged_bytes_ < options_.most_unacknowledged_bytes;
}

bool Records::WaitForRoom(absl::Duration patience) {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(this, &Records::HasRoom), patience);
}

bool Records::Empty() const {
  const absl::MutexLock lock(&mutex_);
  return unacknowledged_.empty() && (open_.batch == nullptr || open_.batch->records_size() == 0);
}

void Records::OnAck(const v1::RecordAck& ack) {
  const Attempt attempt = FromProto(ack.attempt());
  bool ended = false;
  bool lost = false;
  {
    const absl::MutexLock lock(&mutex_);
    backoff_.Reset();
    const auto it = std::find_if(unacknowledged_.begin(), unacknowledged_.end(), [&](const Sent& sent) {
      return sent.attempt == attempt && sent.batch->sequence() == ack.sequence();
    });
    // Not there: dropped meanwhile, or acknowledged on an earlier stream.
    if (it == unacknowledged_.end()) return;
    if (ack.verdict() == v1::RECORD_VERDICT_STORED) {
      ended = it->batch->has_end();
      unacknowledged_records_ -= it->batch->records_size();
      unacknowledged_bytes_ -= it->bytes;
      unacknowledged_.erase(it);
    } else {
      lost = true;
      Forget(attempt);
    }
  }
  if (lost) listener_.lost(attempt, ack.reason());
  if (ended) listener_.stored(attempt);
}

std::optional<Attempt> Records::GiveUp() {
  if (unacknowledged_.empty()) return std::nullopt;
  const Sent& first = unacknowledged_.front();
  // Once it may have been the one behind it, read before the answer to this one was on its way.
  if (suspect_ != first.batch) {
    suspect_ = first.batch;
    return std::nullopt;
  }
  Attempt attempt = first.attempt;
  Forget(attempt);
  return attempt;
}

void Records::OnEnd(const grpc::Status& status) {
  std::optional<Attempt> given_up;
  {
    const absl::MutexLock lock(&mutex_);
    stream_ended_ = true;
    retry_at_ = absl::Now() + backoff_.Next();
    if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) given_up = GiveUp();
  }
  spdlog::debug("record stream ended: {} (code {})", status.error_message(), static_cast<int>(status.error_code()));
  if (given_up.has_value()) listener_.invalid(*given_up, status.error_message());
  listener_.wake();
}

absl::Time Records::Tend(absl::Time now) {
  std::unique_ptr<RecordStream> old;
  {
    const absl::MutexLock lock(&mutex_);
    if (!stream_ended_) return absl::InfiniteFuture();
    if (now < retry_at_) return retry_at_;
    old = std::move(stream_);
  }
  old.reset();
  auto fresh = std::make_unique<RecordStream>(RecordStream::Handlers{
      [this](const v1::RecordAck& ack) { OnAck(ack); }, [this](const grpc::Status& status) { OnEnd(status); }});
  RecordStream* const started = fresh.get();
  const absl::MutexLock lock(&mutex_);
  stream_ended_ = false;
  stream_ = std::move(fresh);
  started->Start([this](grpc::ClientContext* context, auto* reactor) { stub_->async()->Records(context, reactor); });
  for (const Sent& sent : unacknowledged_) started->Send(sent.batch);
  return absl::InfiniteFuture();
}

}  // namespace uaqf::link
