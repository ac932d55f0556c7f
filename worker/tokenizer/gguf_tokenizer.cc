#include "worker/tokenizer/gguf_tokenizer.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/tokenizer/bpe_segmenter.h"
#include "worker/tokenizer/byte_alphabet.h"
#include "worker/tokenizer/scored_segmenter.h"
#include "worker/tokenizer/tokenizer_json_parts.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

constexpr char kMark[] = "\xE2\x96\x81";

// llama.cpp's token types.
enum GgufTokenType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct GgufTokens {
  const std::vector<std::string>* names;
  std::vector<int64_t> types;
};

absl::StatusOr<GgufTokens> ReadTokens(const model::GgufMetadata& metadata) {
  auto names = metadata.Strings("tokenizer.ggml.tokens");
  if (!names.ok()) return names.status();
  GgufTokens tokens{.names = *names, .types = std::vector<int64_t>((*names)->size(), kNormal)};
  if (metadata.Has("tokenizer.ggml.token_type")) {
    auto types = metadata.Ints("tokenizer.ggml.token_type");
    if (!types.ok()) return types.status();
    tokens.types = **types;
  }
  if (tokens.types.size() != tokens.names->size()) {
    return absl::InvalidArgumentError(absl::StrCat("the GGUF tokenizer has ", tokens.names->size(), " tokens and ",
                                                   tokens.types.size(),
                                                   " token types, expected as many; fetch the "
                                                   "file again"));
  }
  return tokens;
}

absl::StatusOr<bool> BoolOr(const model::GgufMetadata& metadata, std::string_view key, bool fallback) {
  return metadata.Has(key) ? metadata.Bool(key) : fallback;
}

// -1 where the file does not say.
absl::StatusOr<int32_t> IdOr(const model::GgufMetadata& metadata, std::string_view key, const Vocabulary& vocabulary) {
  if (!metadata.Has(key)) return -1;
  absl::StatusOr<int64_t> id = metadata.Int(key);
  if (!id.ok()) return id.status();
  if (*id < 0 || *id >= vocabulary.size()) {
    return absl::InvalidArgumentError(absl::StrCat(absl::string_view(key.data(), key.size()), " is ", *id,
                                                   ", expected a token from 0 to ", vocabulary.size() - 1));
  }
  return static_cast<int32_t>(*id);
}

absl::StatusOr<Vocabulary> MakeVocabulary(const GgufTokens& tokens, bool byte_level) {
  std::vector<Token> table;
  std::vector<AddedToken> added;
  for (size_t i = 0; i < tokens.names->size(); ++i) {
    const std::string& name = (*tokens.names)[i];
    const auto id = static_cast<int32_t>(i);
    const auto byte = ByteOfByteToken(name);
    if (tokens.types[i] == kControl || tokens.types[i] == kUserDefined) {
      const bool control = tokens.types[i] == kControl;
      table.push_back({name, control ? TokenKind::kControl : TokenKind::kUserDefined});
      if (!name.empty()) added.push_back({.content = name, .id = id, .control = control});
    } else if (tokens.types[i] == kUnknown) {
      table.push_back({" \xE2\x81\x87 ", TokenKind::kUnknown});
    } else if (byte_level) {
      table.push_back({BytesOfToken(name).value_or(name)});
    } else if (tokens.types[i] == kByte && byte.has_value()) {
      table.push_back({std::string(1, static_cast<char>(*byte))});
    } else {
      table.push_back({Normalize({{NormalizerStep::kReplace, kMark, " "}}, name)});
    }
  }
  return Vocabulary::Create(std::move(table), std::move(added));
}

absl::StatusOr<SpecialTokens> MakeSpecial(const model::GgufMetadata& metadata, const Vocabulary& vocabulary,
                                          bool adds_bos) {
  SpecialTokens special;
  std::vector<int32_t> eos;
  int32_t turn_end = -1;
  for (const auto& [key, field] :
       {std::pair("tokenizer.ggml.bos_token_id", &special.bos), std::pair("tokenizer.ggml.eos_token_id", &special.eos),
        std::pair("tokenizer.ggml.eot_token_id", &turn_end),
        std::pair("tokenizer.ggml.unknown_token_id", &special.unknown)}) {
    absl::StatusOr<int32_t> id = IdOr(metadata, key, vocabulary);
    if (!id.ok()) return id.status();
    *field = *id;
  }
  absl::StatusOr<bool> add_bos = BoolOr(metadata, "tokenizer.ggml.add_bos_token", adds_bos);
  if (!add_bos.ok()) return add_bos.status();
  special.add_bos = *add_bos && special.bos >= 0;
  special.stop = CollectStopTokens(vocabulary, {special.eos, turn_end});
  return special;
}

// Fills what the name of the pre-tokenizer stands for, and whether such models begin texts with BOS.
absl::StatusOr<bool> ApplyPreTokenizer(const std::string& name, BpeModel& model) {
  std::vector<const char*> expressions;
  bool adds_bos = false;
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") {
    expressions = {kLlama3Pattern};
    model.ignore_merges = true;
    adds_bos = true;
  } else if (name == "qwen2") {
    expressions = {kQwen2Pattern};
    // The file does not say so, but these models were trained on composed text.
    model.normalizer = {{NormalizerStep::kNfc, "", ""}};
  } else if (name == "smollm") {
    expressions = {kDigitPattern, kGpt2Pattern};
  } else if (name == "gpt-2") {
    expressions = {kGpt2Pattern};
  } else {
    return absl::UnimplementedError(absl::StrCat("the GGUF file names the pre-tokenizer \"", name,
                                                 "\"; supported are llama-bpe, smollm, gpt-2 and qwen2"));
  }
  for (const char* expression : expressions) {
    absl::StatusOr<Pattern> pattern = Pattern::Create(expression);
    if (!pattern.ok()) return pattern.status();
    model.pre_tokenizer.AddStep(*std::move(pattern), SplitBehavior::kIsolated);
  }
  return adds_bos;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseByteLevel(const model::GgufMetadata& metadata,
                                                          const GgufTokens& tokens) {
  auto pre = metadata.String("tokenizer.ggml.pre");
  if (!pre.ok()) return pre.status();
  auto merges = metadata.Strings("tokenizer.ggml.merges");
  if (!merges.ok()) return merges.status();
  BpeModel model;
  model.byte_level = true;
  absl::StatusOr<bool> adds_bos = ApplyPreTokenizer(*pre, model);
  if (!adds_bos.ok()) return adds_bos.status();
  for (size_t i = 0; i < tokens.names->size(); ++i) model.ids[(*tokens.names)[i]] = static_cast<int32_t>(i);
  model.merges.Reserve((*merges)->size());
  for (size_t rank = 0; rank < (*merges)->size(); ++rank) {
    const std::string& merge = (**merges)[rank];
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("merge ", rank, " of the GGUF tokenizer is \"", merge,
                                                     "\", expected two tokens; fetch the file again"));
    }
    if (absl::Status status = AddMerge(merge.substr(0, space), merge.substr(space + 1), rank, model); !status.ok()) {
      return status;
    }
  }
  absl::StatusOr<Vocabulary> vocabulary = MakeVocabulary(tokens, /*byte_level=*/true);
  if (!vocabulary.ok()) return vocabulary.status();
  absl::StatusOr<SpecialTokens> special = MakeSpecial(metadata, *vocabulary, *adds_bos);
  if (!special.ok()) return special.status();
  return std::make_unique<Tokenizer>(*std::move(vocabulary), std::make_unique<BpeSegmenter>(std::move(model)),
                                     *std::move(special));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseScored(const model::GgufMetadata& metadata, const GgufTokens& tokens) {
  auto scores = metadata.Floats("tokenizer.ggml.scores");
  if (!scores.ok()) return scores.status();
  if ((*scores)->size() != tokens.names->size()) {
    return absl::InvalidArgumentError(absl::StrCat("the GGUF tokenizer has ", tokens.names->size(), " tokens and ",
                                                   (*scores)->size(),
                                                   " scores, expected as many; fetch the file "
                                                   "again"));
  }
  absl::StatusOr<bool> prefix = BoolOr(metadata, "tokenizer.ggml.add_space_prefix", true);
  if (!prefix.ok()) return prefix.status();
  absl::StatusOr<Vocabulary> vocabulary = MakeVocabulary(tokens, /*byte_level=*/false);
  if (!vocabulary.ok()) return vocabulary.status();
  absl::StatusOr<SpecialTokens> special = MakeSpecial(metadata, *vocabulary, /*adds_bos=*/true);
  if (!special.ok()) return special.status();

  ScoredModel model;
  model.unknown = special->unknown;
  model.prefix_space = *prefix;
  model.byte_ids.fill(-1);
  for (size_t i = 0; i < tokens.names->size(); ++i) {
    const std::string& name = (*tokens.names)[i];
    const auto byte = ByteOfByteToken(name);
    if (tokens.types[i] == kByte && byte.has_value()) {
      model.byte_ids[*byte] = static_cast<int32_t>(i);
    } else if (tokens.types[i] == kNormal || tokens.types[i] == kUserDefined) {
      model.pieces.emplace(name, ScoredPiece{static_cast<int32_t>(i), (**scores)[i]});
    }
  }
  return std::make_unique<Tokenizer>(*std::move(vocabulary), std::make_unique<ScoredSegmenter>(std::move(model)),
                                     *std::move(special));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseGgufTokenizer(const model::GgufMetadata& metadata) {
  auto kind = metadata.String("tokenizer.ggml.model");
  if (!kind.ok()) return kind.status();
  absl::StatusOr<GgufTokens> tokens = ReadTokens(metadata);
  if (!tokens.ok()) return tokens.status();
  if (*kind == "gpt2") return ParseByteLevel(metadata, *tokens);
  if (*kind == "llama") return ParseScored(metadata, *tokens);
  return absl::UnimplementedError(absl::StrCat("the GGUF file has a tokenizer of kind \"", *kind,
                                               "\"; supported are gpt2 (byte-level BPE) and llama (SentencePiece)"));
}

}  // namespace uaqf::tokenizer
