// Tokenizers that lie in the metadata of a GGUF file.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "worker/model/gguf.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

// "tokenizer.ggml.model" gpt2 (byte-level BPE with the pre-tokenizers llama-bpe, smollm, gpt-2 and qwen2) or llama
// (SentencePiece BPE by scores). NOT_FOUND: the file has no tokenizer. INVALID_ARGUMENT: its parts contradict each
// other. UNIMPLEMENTED: another kind, or another pre-tokenizer, which the message names.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> ParseGgufTokenizer(const model::GgufMetadata& metadata);

}  // namespace uaqf::tokenizer
