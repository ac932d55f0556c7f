// WatchJob and StreamRecords: what follows a job.
#pragma once

#include <uaqf/v1/evaluation_service.pb.h>

#include <cstdint>
#include <memory>
#include <string>

#include "server/rpc/job_board.h"
#include "server/rpc/out_stream.h"
#include "server/rpc/records_page.h"

namespace uaqf::rpc {

// The latest state of a job, until its end.
class WatchStream final : public OutStream, public JobWatcher {
 public:
  // `name` is a valid job name. Never null.
  static WatchStream* Start(const ServiceContext& context, std::string name);
  WatchStream(const ServiceContext& context, std::string name)
      : OutStream(context, "EvaluationService/WatchJob"), name_(std::move(name)) {}

  void OnJob(const JobState& state) override ABSL_LOCKS_EXCLUDED(order_);

 protected:
  void OnEnd() override { context_.board->Unwatch(name_, this); }

 private:
  void ReadEnded();

  const std::string name_;
  std::weak_ptr<WatchStream> weak_;
  // Held while a state goes into the slot, so that an older one cannot replace a newer.
  absl::Mutex order_;
  std::int64_t version_ ABSL_GUARDED_BY(order_) = 0;
};

// Accepted records from a cursor on; with `follow` until the job ends.
class RecordsOutStream final : public OutStream, public JobWatcher {
 public:
  // `job` is a bare id. Never null.
  static RecordsOutStream* Start(const ServiceContext& context, PromptLabels* labels, core::JobId job,
                                 store::RecordCursor cursor, bool follow);
  RecordsOutStream(const ServiceContext& context, PromptLabels* labels, core::JobId job, store::RecordCursor cursor,
                   bool follow);

  void OnJob(const JobState& state) override ABSL_LOCKS_EXCLUDED(state_mutex_);

 protected:
  void OnSent() override ABSL_LOCKS_EXCLUDED(state_mutex_);
  void OnEnd() override;

 private:
  // Starts a read unless one runs or a page waits to be sent; then it comes after that.
  void Wake(bool news) ABSL_LOCKS_EXCLUDED(state_mutex_);
  void Read() ABSL_LOCKS_EXCLUDED(state_mutex_);
  // False: nothing new is there; wait for news of the job.
  bool ReadPage();

  PromptLabels* const labels_;
  const core::JobId job_;
  const bool follow_;
  std::weak_ptr<RecordsOutStream> weak_;
  store::RecordCursor cursor_;  // touched by the one running read
  absl::Mutex state_mutex_;
  bool busy_ ABSL_GUARDED_BY(state_mutex_) = false;
  bool news_ ABSL_GUARDED_BY(state_mutex_) = false;
};

}  // namespace uaqf::rpc
