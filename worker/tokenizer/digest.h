// What a tokenizer is, whatever the format of the file it was read from.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

// SHA-256 in lower-case hex over every token of the vocabulary (kind and bytes, by id) and the ids that a fixed text of
// many scripts, spacings and numbers becomes: different where vocabulary, merges, normalization or BOS are. Fails as
// Encode.
[[nodiscard]] absl::StatusOr<std::string> TokenizerDigest(const Tokenizer& tokenizer);

}  // namespace uaqf::tokenizer
