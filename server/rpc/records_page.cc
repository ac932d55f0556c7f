#include "server/rpc/records_page.h"

#include <algorithm>

#include "proto/wire/channel.h"
#include "proto/wire/status.h"
#include "server/core/ids.h"
#include "server/rpc/convert.h"

namespace uaqf::rpc {
namespace {

constexpr std::size_t kKeptSets = 8;
constexpr std::int32_t kItemsPerRead = 1000;
// Room for the names around the records.
constexpr std::size_t kPageBytes = wire::kMaxMessageBytes * 3 / 4;

}  // namespace

absl::StatusOr<std::shared_ptr<const PromptLabels::Labels>> PromptLabels::Of(const std::string& digest) {
  if (digest.empty()) return std::make_shared<const Labels>();
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [kept, labels] : kept_) {
      if (kept == digest) return labels;
    }
  }
  auto labels = std::make_shared<Labels>();
  while (true) {
    auto items = prompts_->ReadPrompts(digest, static_cast<std::int32_t>(labels->size()), kItemsPerRead);
    if (!items.ok()) return items.status();
    for (store::PromptItem& item : *items) labels->emplace_back(std::move(item.id), std::move(item.category));
    if (items->size() < static_cast<std::size_t>(kItemsPerRead)) break;
  }
  absl::MutexLock lock(&mutex_);
  kept_.emplace_front(digest, labels);
  if (kept_.size() > kKeptSets) kept_.pop_back();
  return std::shared_ptr<const Labels>(labels);
}

absl::StatusOr<RecordsPage> ReadRecordsPage(store::Store* store, PromptLabels* labels, const core::JobId& job,
                                            const core::JobSpec& spec, const store::RecordCursor& cursor,
                                            const store::RecordFilter& filter, std::int32_t limit) {
  auto prompts = labels->Of(spec.prompt_set);
  if (!prompts.ok()) return prompts.status();
  auto tasks = spec.quality.task_set.empty() ? prompts : labels->Of(spec.quality.task_set);
  if (!tasks.ok()) return tasks.status();
  RecordsPage page;
  page.next = cursor;
  std::size_t bytes = 0;
  // Records differ much in size: read some, and stop where the message is full.
  constexpr std::int32_t kRecordsPerRead = 250;
  while (!page.at_end && bytes < kPageBytes / 2 && static_cast<std::int32_t>(page.records.size()) < limit) {
    const std::int32_t left = limit - static_cast<std::int32_t>(page.records.size());
    auto read = store->ReadRecords(job, page.next, filter, std::min(left, kRecordsPerRead));
    if (!read.ok()) return read.status();
    page.next = read->next;
    page.at_end = read->at_end;
    for (const store::StoredRecord& record : read->records) {
      v1::StoredRecord message = ToProto(record, job, spec);
      const auto& items = record.kind == core::ChunkKind::kTask ? **tasks : **prompts;
      if (core::OverPrompts(record.kind) && static_cast<std::size_t>(record.item) < items.size()) {
        message.set_prompt_id(items[static_cast<std::size_t>(record.item)].first);
        message.set_category(items[static_cast<std::size_t>(record.item)].second);
      }
      bytes += message.ByteSizeLong();
      page.records.push_back(std::move(message));
    }
    if (read->records.empty()) break;
  }
  return page;
}

std::string EncodeCursor(const store::RecordCursor& cursor) {
  return core::Encode({"records", cursor.attempt, cursor.record});
}

absl::StatusOr<store::RecordCursor> DecodeCursor(const std::string& text) {
  auto token = core::DecodePageToken("records", text);
  if (!token.ok()) return wire::WithReason(token.status(), "INVALID_PAGE_TOKEN");
  return store::RecordCursor{token->a, token->b};
}

}  // namespace uaqf::rpc
