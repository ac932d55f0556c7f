#include "worker/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/model/bounded_json.h"
#include "worker/tokenizer/byte_alphabet.h"
#include "worker/tokenizer/tokenizer_json_parts.h"

namespace uaqf::tokenizer {
namespace {

struct Parts {
  BpeModel model;
  DecoderSpec decoder;
  std::vector<AddedToken> added;
  std::vector<int32_t> before_text;
};

absl::StatusOr<std::vector<AddedToken>> ParseAddedTokens(const Json& list) {
  std::vector<AddedToken> added;
  if (list.is_null()) return added;
  for (const Json& entry : list) {
    absl::StatusOr<int32_t> id = TokenId(Member(entry, "id"), "an added token");
    if (!id.ok()) return id.status();
    absl::StatusOr<AddedToken> token = ParseAddedToken(entry, *id);
    if (!token.ok()) return token.status();
    added.push_back(*std::move(token));
  }
  return added;
}

absl::StatusOr<Parts> ParseParts(const Json& file) {
  Parts parts;
  if (absl::Status status = ParseBpeModel(Member(file, "model"), parts.model); !status.ok()) return status;
  auto normalizer = ParseNormalizer(Member(file, "normalizer"));
  if (!normalizer.ok()) return normalizer.status();
  parts.model.normalizer = *std::move(normalizer);
  if (absl::Status status = ParsePreTokenizer(Member(file, "pre_tokenizer"), parts.model); !status.ok()) return status;
  auto decoder = ParseDecoder(Member(file, "decoder"));
  if (!decoder.ok()) return decoder.status();
  parts.decoder = *std::move(decoder);
  parts.decoder.byte_level = parts.decoder.byte_level || parts.model.byte_level;
  parts.model.strips_prefix = parts.decoder.strips_prefix;
  auto added = ParseAddedTokens(Member(file, "added_tokens"));
  if (!added.ok()) return added.status();
  parts.added = *std::move(added);
  auto before = ParsePostProcessor(Member(file, "post_processor"));
  if (!before.ok()) return before.status();
  parts.before_text = *std::move(before);
  if (parts.before_text.size() > 1) {
    return absl::UnimplementedError(
        absl::StrCat("tokenizer.json puts ", parts.before_text.size(), " tokens before a text; supported is one, BOS"));
  }
  return parts;
}

std::string BytesOf(const std::string& token, const DecoderSpec& decoder) {
  if (decoder.byte_level) return BytesOfToken(token).value_or(token);
  if (const auto byte = ByteOfByteToken(token); decoder.byte_fallback && byte.has_value()) {
    return std::string(1, static_cast<char>(*byte));
  }
  return decoder.mark.empty() ? token : Normalize({{NormalizerStep::kReplace, decoder.mark, " "}}, token);
}

// Every id must be taken once; a gap would be a token that nobody can name.
absl::StatusOr<Vocabulary> MakeVocabulary(Parts& parts) {
  int32_t size = 0;
  for (const auto& [token, id] : parts.model.ids) size = std::max(size, id + 1);
  for (const AddedToken& token : parts.added) size = std::max(size, token.id + 1);
  if (static_cast<size_t>(size) > parts.model.ids.size() + parts.added.size()) {
    return absl::InvalidArgumentError(absl::StrCat("tokenizer.json has ids up to ", size - 1, " but only ",
                                                   parts.model.ids.size() + parts.added.size(),
                                                   " tokens; expected ids without gaps, fetch the file again"));
  }
  std::vector<Token> tokens(static_cast<size_t>(size));
  for (const auto& [token, id] : parts.model.ids) tokens[static_cast<size_t>(id)] = {BytesOf(token, parts.decoder)};
  for (AddedToken& token : parts.added) {
    tokens[static_cast<size_t>(token.id)] = {token.content,
                                             token.control ? TokenKind::kControl : TokenKind::kUserDefined};
    // As in the Hugging Face tokenizers, a token that is sought in normalized text is itself normalized.
    if (token.normalized) token.content = Normalize(parts.model.normalizer, token.content);
  }
  return Vocabulary::Create(std::move(tokens), parts.added);
}

// Llama's tokenizer class obeys add_bos_token over the post-processor, the others go by the post-processor alone.
absl::StatusOr<bool> AddsBos(const Json& config, bool post_processor_does) {
  absl::StatusOr<std::string> type = StringMember(config, "tokenizer_class", "");
  if (!type.ok()) return type.status();
  if (type->rfind("Llama", 0) != 0) return post_processor_does;
  return BoolMember(config, "add_bos_token", post_processor_does);
}

// The text of a token that the configuration gives as a string or as an object with a content.
std::string ConfiguredToken(const Json& config, const char* key) {
  const Json& value = Member(config, key);
  const Json& text = value.is_object() ? Member(value, "content") : value;
  return text.is_string() ? text.get<std::string>() : "";
}

absl::StatusOr<SpecialTokens> MakeSpecial(const Parts& parts, const Json& config, const Vocabulary& vocabulary,
                                          const ModelTokens& model) {
  SpecialTokens special;
  special.bos = model.bos;
  if (const auto id = vocabulary.FindAdded(ConfiguredToken(config, "bos_token")); id.has_value()) special.bos = *id;
  if (!parts.before_text.empty()) special.bos = parts.before_text.front();
  special.eos = model.eos.empty() ? -1 : model.eos.front();
  if (const auto id = vocabulary.FindAdded(ConfiguredToken(config, "eos_token")); id.has_value()) special.eos = *id;
  for (const int32_t id : {special.bos, special.eos}) {
    if (id < 0) continue;
    if (absl::Status status = vocabulary.CheckId(id); !status.ok()) return status;
  }
  special.unknown = parts.model.unknown;
  absl::StatusOr<bool> add_bos = AddsBos(config, !parts.before_text.empty());
  if (!add_bos.ok()) return add_bos.status();
  special.add_bos = *add_bos && special.bos >= 0;
  std::vector<int32_t> eos = model.eos;
  eos.push_back(special.eos);
  special.stop = CollectStopTokens(vocabulary, eos);
  return special;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizerJson(std::string_view tokenizer_json,
                                                              std::string_view tokenizer_config,
                                                              const ModelTokens& model) {
  absl::StatusOr<Json> file = model::ParseJson(tokenizer_json, "tokenizer.json");
  if (!file.ok()) return file.status();
  Json config;
  if (!tokenizer_config.empty()) {
    absl::StatusOr<Json> parsed = model::ParseJson(tokenizer_config, "tokenizer_config.json");
    if (!parsed.ok()) return parsed.status();
    config = *std::move(parsed);
  }
  absl::StatusOr<Parts> parts = ParseParts(*file);
  if (!parts.ok()) return parts.status();
  absl::StatusOr<Vocabulary> vocabulary = MakeVocabulary(*parts);
  if (!vocabulary.ok()) return vocabulary.status();
  absl::StatusOr<SpecialTokens> special = MakeSpecial(*parts, config, *vocabulary, model);
  if (!special.ok()) return special.status();
  return std::make_unique<Tokenizer>(*std::move(vocabulary), std::make_unique<BpeSegmenter>(std::move(parts->model)),
                                     *std::move(special));
}

}  // namespace uaqf::tokenizer
