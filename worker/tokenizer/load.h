// Finds and reads the tokenizer and the chat template of a model.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

// Largest tokenizer file that is read; a larger one is refused unread.
inline constexpr int64_t kMaxTokenizerBytes = int64_t{64} << 20;

// `model` is a GGUF file, a Hugging Face folder (tokenizer.json, else tokenizer.model), or one of these two files.
// NOT_FOUND: nothing there. INVALID_ARGUMENT: damaged. UNIMPLEMENTED: a kind of tokenizer that is not supported; the
// message names the part.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& model);

// The chat template of the same `model`. NOT_FOUND: its files hold none. UNIMPLEMENTED: of no known format.
[[nodiscard]] absl::StatusOr<ChatTemplate> LoadChatTemplate(const std::string& model, const Tokenizer& tokenizer);

}  // namespace uaqf::tokenizer
