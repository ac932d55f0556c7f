#include "worker/link/board.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace uaqf::link {
namespace {

// Results of older jobs have been heard of long ago.
constexpr size_t kMostSurveys = 256;

int64_t Nanoseconds(const google::protobuf::Duration& duration) {
  return duration.seconds() * 1'000'000'000 + duration.nanos();
}

bool Hosts(const v1::HostedVariant& hosted, const v1::VariantAssignment& wanted) {
  return hosted.model() == wanted.model() && hosted.variant() == wanted.variant() &&
         hosted.max_sequence_tokens() == wanted.max_sequence_tokens() && hosted.max_batch() == wanted.max_batch();
}

}  // namespace

Board::Board(Options options, std::function<void()> report_wanted)
    : options_(std::move(options)), report_wanted_(std::move(report_wanted)) {}

void Board::Apply(const v1::DesiredState& desired, int64_t now_ns) {
  const absl::MutexLock lock(&mutex_);
  desired_ = desired;
  listed_.clear();
  for (const v1::Lease& lease : desired.leases()) {
    listed_[FromProto(lease.attempt())] = now_ns + Nanoseconds(lease.duration()) / 3 * 2;
  }
  for (auto it = progress_.begin(); it != progress_.end();) {
    const bool listed = listed_.count(it->first) > 0;
    if (!listed && it->second.stage == Progress::Stage::kRunning) cancelled_ = true;
    it = !listed && it->second.stage == Progress::Stage::kFailed ? progress_.erase(it) : std::next(it);
  }
  for (auto it = settled_.begin(); it != settled_.end();) {
    it = listed_.count(*it) == 0 ? settled_.erase(it) : std::next(it);
  }
  ++changes_;
}

v1::WorkerState Board::Report() {
  const absl::MutexLock lock(&mutex_);
  v1::WorkerState state;
  state.set_worker(options_.worker);
  state.set_session(options_.session);
  state.set_sequence(++sequence_);
  *state.mutable_device() = options_.device;
  state.set_build(options_.build);
  state.mutable_models()->Assign(models_.begin(), models_.end());
  if (!hosted_.model().empty()) *state.mutable_hosted() = hosted_;
  for (const auto& [attempt, progress] : progress_) {
    v1::AttemptProgress& out = *state.add_attempts();
    *out.mutable_attempt() = ToProto(attempt);
    out.set_records_made(progress.records_made);
    out.set_error(progress.error);
  }
  // A lease that waits for its turn is held as well; one that is not reported is given back.
  if (!draining_) {
    for (const auto& [attempt, until] : listed_) {
      if (progress_.count(attempt) == 0 && settled_.count(attempt) == 0) {
        *state.add_attempts()->mutable_attempt() = ToProto(attempt);
      }
    }
  }
  state.mutable_surveys()->Assign(surveys_.begin(), surveys_.end());
  state.set_draining(draining_);
  return state;
}

Board::Next Board::NextLocked() const {
  for (const v1::Survey& survey : desired_.surveys()) {
    const bool done = std::any_of(surveys_.begin(), surveys_.end(),
                                  [&](const v1::SurveyResult& result) { return result.job() == survey.job(); });
    if (!done && !draining_) return {.survey = &survey};
  }
  if (!desired_.has_assignment() || draining_) return {.drop_hosted = !hosted_.model().empty()};
  if (!Hosts(hosted_, desired_.assignment())) return {.assignment = &desired_.assignment()};
  if (hosted_.state() != v1::VARIANT_STATE_READY || desired_.drain()) return {};
  for (const v1::Lease& lease : desired_.leases()) {
    const Attempt attempt = FromProto(lease.attempt());
    if (progress_.count(attempt) == 0 && settled_.count(attempt) == 0) return {.lease = &lease};
  }
  return {};
}

bool Board::HasTaskLocked() const {
  if (stopped_) return true;
  const Next next = NextLocked();
  return next.survey != nullptr || next.assignment != nullptr || next.lease != nullptr || next.drop_hosted;
}

Task Board::WaitForTask() {
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &Board::HasTaskLocked));
  if (stopped_) return {};
  const Next next = NextLocked();
  if (next.survey != nullptr) return *next.survey;
  if (next.assignment != nullptr) return *next.assignment;
  if (next.lease != nullptr) return *next.lease;
  if (next.drop_hosted) return DropHosted{};
  return {};
}

void Board::WaitForChange(absl::Duration patience) {
  const absl::MutexLock lock(&mutex_);
  const int64_t seen = changes_;
  const auto changed = [this, seen]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changes_ != seen; };
  mutex_.AwaitWithTimeout(absl::Condition(&changed), patience);
}

void Board::SurveyDone(v1::SurveyResult result) {
  {
    const absl::MutexLock lock(&mutex_);
    if (surveys_.size() == kMostSurveys) surveys_.erase(surveys_.begin());
    surveys_.push_back(std::move(result));
  }
  report_wanted_();
}

void Board::SetHosted(v1::HostedVariant hosted) {
  {
    const absl::MutexLock lock(&mutex_);
    hosted_ = std::move(hosted);
  }
  report_wanted_();
}

v1::HostedVariant Board::hosted() const {
  const absl::MutexLock lock(&mutex_);
  return hosted_;
}

bool Board::Wants(const v1::VariantAssignment& assignment) const {
  const absl::MutexLock lock(&mutex_);
  const v1::VariantAssignment& wanted = desired_.assignment();
  return !stopped_ && !draining_ && desired_.has_assignment() && wanted.model() == assignment.model() &&
         wanted.variant() == assignment.variant() && wanted.max_sequence_tokens() == assignment.max_sequence_tokens() &&
         wanted.max_batch() == assignment.max_batch();
}

void Board::Begin(const Attempt& attempt) {
  const absl::MutexLock lock(&mutex_);
  progress_[attempt] = {};
  // What is wanted may have changed since the task was taken.
  cancelled_ = stopped_ || listed_.count(attempt) == 0;
}

Board::Permit Board::MayContinue(const Attempt& attempt, int64_t now_ns) const {
  const absl::MutexLock lock(&mutex_);
  const auto listed = listed_.find(attempt);
  const auto running = progress_.find(attempt);
  if (stopped_ || listed == listed_.end() || running == progress_.end()) return Permit::kStop;
  if (running->second.stage != Progress::Stage::kRunning) return Permit::kStop;
  return now_ns < listed->second ? Permit::kGo : Permit::kWait;
}

void Board::RecordMade(const Attempt& attempt) {
  const absl::MutexLock lock(&mutex_);
  const auto it = progress_.find(attempt);
  if (it != progress_.end()) ++it->second.records_made;
}

bool Board::Ended(const Attempt& attempt) {
  const absl::MutexLock lock(&mutex_);
  const auto it = progress_.find(attempt);
  if (it == progress_.end() || it->second.stage != Progress::Stage::kRunning) return false;
  it->second.stage = Progress::Stage::kUnacknowledged;
  return true;
}

void Board::Failed(const Attempt& attempt, const std::string& error) {
  {
    const absl::MutexLock lock(&mutex_);
    const auto it = progress_.find(attempt);
    if (it == progress_.end()) return;
    if (it->second.stage == Progress::Stage::kRunning) cancelled_ = true;
    it->second.stage = Progress::Stage::kFailed;
    it->second.error = error;
    if (listed_.count(attempt) == 0) progress_.erase(it);
  }
  report_wanted_();
}

void Board::Dropped(const Attempt& attempt) { Settled(attempt); }

void Board::Settled(const Attempt& attempt) {
  const absl::MutexLock lock(&mutex_);
  const auto it = progress_.find(attempt);
  // A failure is told until it was heard.
  if (it != progress_.end() && it->second.stage == Progress::Stage::kFailed) return;
  if (it != progress_.end()) {
    // The runner is still inside: it finds out, and drops the attempt itself.
    if (it->second.stage == Progress::Stage::kRunning) cancelled_ = true;
    progress_.erase(it);
  }
  if (listed_.count(attempt) > 0) settled_.insert(attempt);
}

void Board::SetModels(std::vector<v1::ModelInfo> models) {
  {
    const absl::MutexLock lock(&mutex_);
    models_ = std::move(models);
  }
  report_wanted_();
}

void Board::Drain() {
  {
    const absl::MutexLock lock(&mutex_);
    draining_ = true;
    ++changes_;
  }
  report_wanted_();
}

bool Board::Quiescent() const { return WaitUntilQuiescent(absl::ZeroDuration()); }

bool Board::QuiescentLocked() const {
  return std::none_of(progress_.begin(), progress_.end(),
                      [](const auto& entry) { return entry.second.stage != Progress::Stage::kFailed; });
}

bool Board::WaitUntilQuiescent(absl::Duration patience) const {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(this, &Board::QuiescentLocked), patience);
}

void Board::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopped_ = true;
  cancelled_ = true;
  ++changes_;
}

bool Board::stopped() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_;
}

}  // namespace uaqf::link
