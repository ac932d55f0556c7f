#include "worker/link/prompt_cache.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/wire/status.h"
#include "worker/link/convert.h"

namespace uaqf::link {
namespace {

constexpr size_t kMostSets = 8;

}  // namespace

absl::StatusOr<std::shared_ptr<const measure::PromptSet>> PromptCache::Get(const std::string& name,
                                                                           absl::Duration deadline) {
  const auto known = std::find_if(sets_.begin(), sets_.end(), [&](const auto& set) { return set->name == name; });
  if (known != sets_.end()) {
    std::rotate(sets_.begin(), known, known + 1);
    return sets_.front();
  }
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
  v1::FetchPromptsRequest request;
  request.set_prompt_set(name);
  auto reader = stub_->FetchPrompts(&context, request);
  auto set = std::make_shared<measure::PromptSet>();
  set->name = name;
  v1::PromptBatch batch;
  while (reader->Read(&batch)) {
    for (const v1::Prompt& prompt : batch.prompts()) set->prompts.push_back(FromProto(prompt));
  }
  if (absl::Status status = wire::FromGrpc(reader->Finish()); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("fetching ", name, ": ", status.message()));
  }
  sets_.push_front(std::move(set));
  if (sets_.size() > kMostSets) sets_.pop_back();
  return sets_.front();
}

}  // namespace uaqf::link
