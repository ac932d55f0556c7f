// How the records of a batch lie in the database, and the checks that tell damaged ones.
//
//   batch.body     { int32 item, int32 repeat, uint32 length, `length` bytes } ...    the serialized records as they
//   came batch.figures  { item, repeat, body, input_tokens, output_tokens, latency_ns, tokenize_ns, prefill_ns,
//   decode_ns,
//                    detokenize_ns, scored_tokens : int64, nll_sum : double } ...     what is decided and ranked on
//
// Bodies without times have other figures in those places: a task its checks, one in each, { metric, passed, made :
// uint16 } from the low end; a divergence same_top, top_k and shared_top in the first three, kl_sum in nll_sum and,
// where that is a lower side, summary_k and the bits of kl_upper_sum in the other two; an article words and bytes in
// the first two; a summary its summary_k in the fourth.
//
// Little endian. Ranking reads the figures of 100 records as one value, which takes SQLite a twentieth of the time that
// 100 rows of columns take. SQLite has no checksums of its own, so each part carries one: a flipped bit is
// DATA_LOSS, never a wrong figure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/record.h"

namespace uaqf::store {

// Of `body` or of `figures`. Positive, so that SQLite stores it like any other number.
std::int64_t Check(const std::string& bytes);

std::string EncodeBatch(const std::vector<core::RecordRow>& records);

struct EncodedRecord {
  std::int32_t item = 0;
  std::int32_t repeat = 0;
  std::string blob;
};
// DataLoss: not what EncodeBatch made.
[[nodiscard]] absl::StatusOr<std::vector<EncodedRecord>> DecodeBatch(const std::string& body);

std::string EncodeFigures(const std::vector<core::RecordRow>& records);
// Rows without blob and failure. DataLoss: not what EncodeFigures made.
[[nodiscard]] absl::StatusOr<std::vector<core::RecordRow>> DecodeFigures(const std::string& figures);

}  // namespace uaqf::store
