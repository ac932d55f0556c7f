#include "worker/tokenizer/load.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/model/bounded_json.h"
#include "worker/tokenizer/byte_tokenizer.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/json_fields.h"
#include "worker/tokenizer/sentencepiece_tokenizer.h"
#include "worker/tokenizer/tokenizer_json.h"

namespace uaqf::tokenizer {
namespace {

// The text of a file beside the weights; empty where there is none.
absl::StatusOr<std::string> OptionalFile(const model::Checkpoint& checkpoint, const std::string& name) {
  absl::StatusOr<std::string> text = checkpoint.ReadCompanion(name);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseFolder(const model::Checkpoint& checkpoint) {
  const ModelTokens model{.bos = checkpoint.config().bos_id, .eos = checkpoint.config().eos_ids};
  absl::StatusOr<std::string> config = OptionalFile(checkpoint, "tokenizer_config.json");
  if (!config.ok()) return config.status();
  absl::StatusOr<std::string> json = OptionalFile(checkpoint, "tokenizer.json");
  if (!json.ok()) return json.status();
  if (!json->empty()) return ParseTokenizerJson(*json, *config, model);
  absl::StatusOr<std::string> pieces = OptionalFile(checkpoint, "tokenizer.model");
  if (!pieces.ok()) return pieces.status();
  if (!pieces->empty()) return ParseSentencePiece(*pieces, *config, model);
  return absl::NotFoundError(absl::StrCat("no tokenizer.json and no tokenizer.model in ", checkpoint.path(),
                                          "; copy the tokenizer files of the model there"));
}

// Templates come as a string, or as a list of {name, template} of which one is "default".
absl::StatusOr<std::string> TemplateOfConfig(const std::string& text) {
  absl::StatusOr<Json> config = model::ParseJson(text, "tokenizer_config.json");
  if (!config.ok()) return config.status();
  const Json& chat_template = Member(*config, "chat_template");
  if (chat_template.is_string()) return chat_template.get<std::string>();
  if (chat_template.is_array()) {
    for (const Json& entry : chat_template) {
      if (IsText(Member(entry, "name"), "default")) return StringMember(entry, "template", "");
    }
  }
  return std::string();
}

absl::StatusOr<std::string> FindTemplate(const model::Checkpoint& checkpoint) {
  if (const model::GgufMetadata* gguf = checkpoint.gguf(); gguf != nullptr) {
    return gguf->Has("tokenizer.chat_template") ? gguf->String("tokenizer.chat_template") : std::string();
  }
  absl::StatusOr<std::string> jinja = OptionalFile(checkpoint, "chat_template.jinja");
  if (!jinja.ok() || !jinja->empty()) return jinja;
  absl::StatusOr<std::string> config = OptionalFile(checkpoint, "tokenizer_config.json");
  if (!config.ok() || config->empty()) return config;
  return TemplateOfConfig(*config);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const model::Checkpoint& checkpoint) {
  if (checkpoint.synthetic()) return MakeByteTokenizer(static_cast<int32_t>(checkpoint.config().vocab));
  const model::GgufMetadata* gguf = checkpoint.gguf();
  auto tokenizer = gguf != nullptr ? ParseGgufTokenizer(*gguf) : ParseFolder(checkpoint);
  if (!tokenizer.ok()) {
    return absl::Status(tokenizer.status().code(),
                        absl::StrCat("tokenizer of ", checkpoint.path(), ": ", tokenizer.status().message()));
  }
  if (absl::Status status = CheckVocabulary(**tokenizer, checkpoint.config().vocab, checkpoint.path()); !status.ok()) {
    return status;
  }
  return tokenizer;
}

absl::StatusOr<ChatTemplate> LoadChatTemplate(const model::Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  absl::StatusOr<std::string> jinja = FindTemplate(checkpoint);
  if (!jinja.ok()) return jinja.status();
  if (jinja->empty()) {
    return absl::NotFoundError(
        absl::StrCat("the model ", checkpoint.path(), " has no chat template; give the prompt as plain text"));
  }
  const auto text = [&](int32_t id) { return id < 0 ? std::string() : tokenizer.vocabulary().token(id).bytes; };
  return ChatTemplate::Recognize(*jinja, text(tokenizer.special().bos), text(tokenizer.special().eos));
}

}  // namespace uaqf::tokenizer
