#include "worker/engine/read_logits.h"

#include <utility>

namespace uaqf::engine {

BufferedReader::BufferedReader(std::span<const int32_t> window, int64_t vocab, Fill fill, std::function<void()> done)
    : pass_{window}, vocab_(static_cast<size_t>(vocab)), fill_(std::move(fill)), done_(std::move(done)) {}

BufferedReader::~BufferedReader() { done_(); }

absl::StatusOr<std::span<const float>> BufferedReader::Next() {
  if (rows_.empty()) {
    const absl::StatusOr<std::span<const float>> rows = fill_(pass_);
    if (!rows.ok()) return rows.status();
    rows_ = *rows;
  }
  if (rows_.empty()) return absl::OutOfRangeError("the window has no further position");
  const std::span<const float> row = rows_.first(vocab_);
  rows_ = rows_.subspan(vocab_);
  return row;
}

}  // namespace uaqf::engine
