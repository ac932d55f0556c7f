// Tokenizers that come as Hugging Face's tokenizer.json.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

// `tokenizer_json` and `tokenizer_config` are whole files; the second may be empty. Known parts: model BPE;
// normalizers Prepend, Replace (of a string) and NFC; pre-tokenizers Split, Digits, ByteLevel and Metaspace;
// post-processors ByteLevel and TemplateProcessing (a token before the text); sequences of these.
// INVALID_ARGUMENT: damaged. UNIMPLEMENTED: another part, which the message names.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view tokenizer_json,
                                                                            std::string_view tokenizer_config,
                                                                            const ModelTokens& model);

}  // namespace uaqf::tokenizer
