// Finds and reads the tokenizer and the chat template that belong to a model.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "worker/model/checkpoint.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace uaqf::tokenizer {

// Bytes for a synthetic model; from the metadata of a GGUF file; from tokenizer.json, else tokenizer.model, of a
// Hugging Face folder. NOT_FOUND: the model has none. INVALID_ARGUMENT: damaged. FAILED_PRECONDITION: it is another
// model's (see CheckVocabulary). UNIMPLEMENTED: a kind that is not supported; the message names the part.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const model::Checkpoint& checkpoint);

// NOT_FOUND: the model's files hold no chat template. UNIMPLEMENTED: of no known format.
[[nodiscard]] absl::StatusOr<ChatTemplate> LoadChatTemplate(const model::Checkpoint& checkpoint,
                                                            const Tokenizer& tokenizer);

}  // namespace uaqf::tokenizer
