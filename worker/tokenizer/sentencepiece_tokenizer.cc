#include "worker/tokenizer/sentencepiece_tokenizer.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "worker/model/bounded_json.h"
#include "worker/tokenizer/byte_alphabet.h"
#include "worker/tokenizer/json_fields.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/sentencepiece_bridge.h"

namespace uaqf::tokenizer {
namespace {

constexpr char kMark[] = "\xE2\x96\x81";
// What SentencePiece itself decodes an unknown piece to.
constexpr char kUnknownSurface[] = " \xE2\x81\x87 ";

class SentencePieceSegmenter : public Segmenter {
 public:
  SentencePieceSegmenter(std::unique_ptr<SentencePieceBridge> bridge, bool prefixes_space)
      : bridge_(std::move(bridge)), prefixes_space_(prefixes_space) {}

  // SentencePiece normalizes while it encodes.
  std::string Normalize(std::string_view text) const override { return std::string(text); }

  absl::Status Encode(std::string_view normalized, bool /*at_start*/, std::vector<int32_t>& ids) const override {
    std::vector<int> piece_ids;
    std::string error;
    if (!bridge_->Encode(normalized, piece_ids, error)) {
      return absl::InternalError(absl::StrCat("SentencePiece cannot encode ", normalized.size(), " bytes: ", error));
    }
    ids.insert(ids.end(), piece_ids.begin(), piece_ids.end());
    return absl::OkStatus();
  }

  bool prefixes_space() const override { return prefixes_space_; }

 private:
  std::unique_ptr<SentencePieceBridge> bridge_;
  bool prefixes_space_;
};

Token TokenOf(const SentencePieceBridge& bridge, int id) {
  const std::string& piece = bridge.piece(id);
  switch (bridge.kind(id)) {
    case SentencePieceBridge::Kind::kUnknown:
      return {kUnknownSurface, TokenKind::kUnknown};
    case SentencePieceBridge::Kind::kControl:
      return {piece, TokenKind::kControl};
    case SentencePieceBridge::Kind::kByte:
      if (const auto byte = ByteOfByteToken(piece); byte.has_value()) return {std::string(1, static_cast<char>(*byte))};
      break;
    case SentencePieceBridge::Kind::kNormal:
    case SentencePieceBridge::Kind::kUnused:
      break;
  }
  return {Normalize({{NormalizerStep::kReplace, kMark, " "}}, piece)};
}

// The model file does not say so through its interface, but "a" becomes "▁a" where a space is put before texts.
bool PrefixesSpace(const SentencePieceBridge& bridge) {
  std::vector<int> ids;
  std::string error;
  return bridge.Encode("a", ids, error) && !ids.empty() && bridge.piece(ids.front()).rfind(kMark, 0) == 0;
}

// Tokens that a Hugging Face folder adds to the model's own.
absl::Status AddExtraTokens(const Json& config, std::vector<Token>& tokens, std::vector<AddedToken>& added) {
  const auto own = static_cast<int32_t>(tokens.size());
  const Json& extra = Member(config, "added_tokens_decoder");
  if (!extra.is_object()) return absl::OkStatus();
  for (const auto& [key, entry] : extra.items()) {
    int32_t id = -1;
    if (!absl::SimpleAtoi(key, &id) || id < 0 || id >= own + static_cast<int32_t>(extra.size())) {
      return absl::InvalidArgumentError(absl::StrCat("added_tokens_decoder has the id \"", key,
                                                     "\", expected ids from 0 that follow the ", own,
                                                     " of tokenizer.model without a gap"));
    }
    if (id < own) continue;
    absl::StatusOr<AddedToken> token = ParseAddedToken(entry, id);
    if (!token.ok()) return token.status();
    token->normalized = false;
    if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
    tokens[static_cast<size_t>(id)] = {token->content, token->control ? TokenKind::kControl : TokenKind::kUserDefined};
    added.push_back(*std::move(token));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseSentencePiece(std::string_view serialized,
                                                              std::string_view tokenizer_config,
                                                              const ModelTokens& model) {
  auto bridge = std::make_unique<SentencePieceBridge>();
  std::string error;
  if (!bridge->Load(serialized, error)) {
    return absl::InvalidArgumentError(absl::StrCat("tokenizer.model (", serialized.size(),
                                                   " bytes) is not a SentencePiece model: ", error,
                                                   "; fetch the file again"));
  }
  Json config;
  if (!tokenizer_config.empty()) {
    absl::StatusOr<Json> parsed = model::ParseJson(tokenizer_config, "tokenizer_config.json");
    if (!parsed.ok()) return parsed.status();
    config = *std::move(parsed);
  }
  std::vector<Token> tokens;
  std::vector<AddedToken> added;
  for (int id = 0; id < bridge->size(); ++id) {
    tokens.push_back(TokenOf(*bridge, id));
    if (tokens.back().kind == TokenKind::kControl && !tokens.back().bytes.empty()) {
      added.push_back({.content = tokens.back().bytes, .id = id, .control = true});
    }
  }
  if (absl::Status status = AddExtraTokens(config, tokens, added); !status.ok()) return status;
  absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Create(std::move(tokens), std::move(added));
  if (!vocabulary.ok()) return vocabulary.status();

  absl::StatusOr<bool> add_bos = BoolMember(config, "add_bos_token", true);
  if (!add_bos.ok()) return add_bos.status();
  SpecialTokens special;
  special.bos = bridge->bos();
  special.eos = bridge->eos();
  special.unknown = bridge->unknown();
  special.add_bos = *add_bos && special.bos >= 0;
  std::vector<int32_t> eos = model.eos;
  if (eos.empty()) eos.push_back(special.eos);
  special.stop = CollectStopTokens(*vocabulary, eos);
  const bool prefixes_space = PrefixesSpace(*bridge);
  auto segmenter = std::make_unique<SentencePieceSegmenter>(std::move(bridge), prefixes_space);
  return std::make_unique<Tokenizer>(*std::move(vocabulary), std::move(segmenter), std::move(special));
}

}  // namespace uaqf::tokenizer
