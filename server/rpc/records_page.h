// Stored records as clients get them: with prompt id and category, which are the prompt set's.
#pragma once

#include <uaqf/v1/record.pb.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/core/progress.h"
#include "server/store/job_store.h"

namespace uaqf::rpc {

// Id and category of every item of a set; none of the set "", which an imported job has. Sets never change, so the last
// few are kept. Thread-safe; reads the store.
class PromptLabels {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  explicit PromptLabels(store::PromptStore* prompts) : prompts_(prompts) {}
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Labels>> Of(const std::string& digest) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  store::PromptStore* const prompts_;
  absl::Mutex mutex_;
  std::deque<std::pair<std::string, std::shared_ptr<const Labels>>> kept_ ABSL_GUARDED_BY(mutex_);
};

// A page with its cursor. At most `limit` records, and as many as fit a message.
struct RecordsPage {
  std::vector<v1::StoredRecord> records;
  store::RecordCursor next;
  bool at_end = false;
};
[[nodiscard]] absl::StatusOr<RecordsPage> ReadRecordsPage(store::Store* store, PromptLabels* labels,
                                                          const core::JobId& job, const core::JobSpec& spec,
                                                          const store::RecordCursor& cursor,
                                                          const store::RecordFilter& filter, std::int32_t limit);

std::string EncodeCursor(const store::RecordCursor& cursor);
// Empty text is the beginning. INVALID_ARGUMENT: not one of ours.
[[nodiscard]] absl::StatusOr<store::RecordCursor> DecodeCursor(const std::string& text);

}  // namespace uaqf::rpc
