#include "server/core/types.h"

#include "absl/strings/str_cat.h"
#include "server/core/chunk.h"

namespace uaqf::core {

const char* Name(ChunkKind kind) {
  switch (kind) {
    case ChunkKind::kTiming:
      return "timing";
    case ChunkKind::kGeneration:
      return "generation";
    case ChunkKind::kPerplexity:
      return "perplexity";
    case ChunkKind::kTask:
      return "task";
    case ChunkKind::kDivergence:
      return "divergence";
    case ChunkKind::kArticle:
      return "article";
    case ChunkKind::kSummary:
      return "summary";
    case ChunkKind::kTraffic:
      return "traffic";
  }
  return "unknown";
}

const char* Name(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kRunning:
      return "running";
    case JobState::kSucceeded:
      return "succeeded";
    case JobState::kCancelled:
      return "cancelled";
    case JobState::kFailed:
      return "failed";
  }
  return "unknown";
}

const char* Name(VariantState state) {
  switch (state) {
    case VariantState::kPending:
      return "pending";
    case VariantState::kLoading:
      return "loading";
    case VariantState::kReady:
      return "ready";
    case VariantState::kDone:
      return "done";
    case VariantState::kStopped:
      return "stopped";
    case VariantState::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string ToString(const AttemptId& id) {
  return absl::StrCat("jobs/", id.job, " chunk ", id.chunk, " epoch ", id.epoch);
}

}  // namespace uaqf::core
