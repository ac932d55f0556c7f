#include "server/core/record_check.h"

#include "absl/strings/str_cat.h"
#include "server/core/plan.h"

namespace uaqf::core {
namespace {

RecordBody ExpectedBody(ChunkKind kind) {
  switch (kind) {
    case ChunkKind::kTiming:
      return RecordBody::kTiming;
    case ChunkKind::kGeneration:
      return RecordBody::kGeneration;
    case ChunkKind::kPerplexity:
      return RecordBody::kWindow;
    case ChunkKind::kTask:
      return RecordBody::kTask;
    case ChunkKind::kDivergence:
      return RecordBody::kDivergence;
    case ChunkKind::kArticle:
      return RecordBody::kArticle;
    case ChunkKind::kSummary:
      return RecordBody::kSummary;
    case ChunkKind::kTraffic:
      return RecordBody::kTraffic;
    case ChunkKind::kAgreement:
      return RecordBody::kAgreement;
  }
  return RecordBody::kFailure;
}

// The same of what a summary, or a divergence bounded with one, says of its k.
std::string SummaryContradiction(const RecordRow& record, const Chunk& chunk) {
  // Fewer where the vocabulary has fewer.
  const std::int32_t least = chunk.summary_k == 0 ? 0 : 1;
  if (record.summary_k < least || record.summary_k > chunk.summary_k) {
    return absl::StrCat("summary_k is ", record.summary_k, ", expected ", least, " to ", chunk.summary_k);
  }
  if (record.kl_upper_sum < record.kl_sum) {
    return absl::StrCat("kl_upper_sum is ", record.kl_upper_sum, ", expected at least ", record.kl_sum, ", the kl_sum");
  }
  return "";
}

// The same of a batch that is not the one to be timed.
std::string TrafficContradiction(const RecordRow& record, const TrafficCell& cell) {
  if (record.batch != cell.batch || record.input_tokens != cell.input_tokens ||
      record.output_tokens != cell.output_tokens) {
    return absl::StrCat("a batch of ", record.batch, " with ", record.input_tokens, " tokens in and ",
                        record.output_tokens, " out, expected ", cell.batch, " with ", cell.input_tokens, " and ",
                        cell.output_tokens);
  }
  if (record.latency_ns > 0) return "";
  return absl::StrCat("latency is ", record.latency_ns, " ns, expected more than 0");
}

}  // namespace

std::string Contradiction(const RecordRow& record, const Chunk& chunk, std::int32_t expected_tokens,
                          const TrafficGrid& grid) {
  const std::string item = absl::StrCat("item ", record.item, ": ");
  if (record.repeat != chunk.repeat) {
    return absl::StrCat(item, "repeat is ", record.repeat, ", expected ", chunk.repeat);
  }
  if (record.body == RecordBody::kFailure) {
    return record.failure.empty() ? absl::StrCat(item, "a failure without a reason") : std::string();
  }
  if (record.body != ExpectedBody(chunk.kind)) return absl::StrCat(item, "not a ", Name(chunk.kind), " record");
  if (record.body == RecordBody::kTiming) {
    if (record.latency_ns <= 0)
      return absl::StrCat(item, "latency is ", record.latency_ns, " ns, expected more than 0");
    if (expected_tokens > 0 && record.output_tokens != expected_tokens) {
      return absl::StrCat(item, "emitted ", record.output_tokens, " tokens, expected exactly ", expected_tokens);
    }
  }
  if (OverWindows(chunk.kind) && record.scored_tokens != expected_tokens) {
    return absl::StrCat(item, "scored ", record.scored_tokens, " tokens, expected exactly ", expected_tokens,
                        ", the window's length - 1");
  }
  if (record.body == RecordBody::kDivergence || record.body == RecordBody::kSummary) {
    if (std::string why = SummaryContradiction(record, chunk); !why.empty()) return absl::StrCat(item, why);
  }
  if (record.body == RecordBody::kTraffic) {
    const std::string why = TrafficContradiction(record, CellOf(grid, chunk.repeat, record.item));
    if (!why.empty()) return absl::StrCat(item, why);
  }
  if (record.body == RecordBody::kTask && record.checks.empty()) return absl::StrCat(item, "a task without a check");
  if (record.output_tokens < 0) return absl::StrCat(item, "emitted ", record.output_tokens, " tokens");
  return "";
}

}  // namespace uaqf::core
