// Tokenizers that come as a SentencePiece model ("tokenizer.model").
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

// `serialized` is the whole file. BOS is expected before a text unless `tokenizer_config`, the text of
// tokenizer_config.json or empty, says "add_bos_token": false; its added_tokens_decoder extends the vocabulary.
// INVALID_ARGUMENT: damaged.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> ParseSentencePiece(std::string_view serialized,
                                                                            std::string_view tokenizer_config,
                                                                            const ModelTokens& model);

}  // namespace uaqf::tokenizer
