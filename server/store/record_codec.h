// How records lie in the database, and the checks that tell damaged ones.
//
// Figures lie in typed columns of `record`; the serialized records of a batch lie together in `batch.body`:
//   { int32 item, int32 repeat, uint32 length, `length` bytes } ...      little endian
// SQLite has no checksums of its own, so both carry one: a flipped bit is DATA_LOSS, never a wrong figure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/record.h"

namespace uaqf::store {

// A checksum over the typed columns. Positive, so that SQLite stores it like any other number.
std::int64_t Check(const core::RecordRow& record);
std::int64_t Check(const std::string& bytes);

std::string EncodeBatch(const std::vector<core::RecordRow>& records);

struct EncodedRecord {
  std::int32_t item = 0;
  std::int32_t repeat = 0;
  std::string blob;
};
// DataLoss: not what EncodeBatch made.
[[nodiscard]] absl::StatusOr<std::vector<EncodedRecord>> DecodeBatch(const std::string& body);

}  // namespace uaqf::store
