#include "worker/tokenizer/tokenizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {

Tokenizer::Tokenizer(Vocabulary vocabulary, std::unique_ptr<Segmenter> segmenter, SpecialTokens special)
    : vocabulary_(std::move(vocabulary)), segmenter_(std::move(segmenter)), special_(std::move(special)) {}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text, EncodeOptions options) const {
  if (const size_t at = FindInvalidUtf8(text); at < text.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("text is not UTF-8: byte 0x%02X at offset %d of %d; expected UTF-8, convert the text first",
                        static_cast<unsigned char>(text[at]), at, text.size()));
  }
  std::vector<int32_t> ids;
  if (options.add_bos && special_.add_bos && special_.bos >= 0) ids.push_back(special_.bos);
  for (const Section& section : vocabulary_.Split(text, /*normalized=*/false, options.parse_special)) {
    if (section.id >= 0) {
      ids.push_back(section.id);
      continue;
    }
    const bool at_start = section.text.data() == text.data();
    if (absl::Status status = EncodeText(section.text, at_start, options.parse_special, ids); !status.ok()) {
      return status;
    }
  }
  return ids;
}

absl::Status Tokenizer::EncodeText(std::string_view text, bool at_start, bool parse_special,
                                   std::vector<int32_t>& ids) const {
  const std::string normalized = segmenter_->Normalize(text);
  for (const Section& section : vocabulary_.Split(normalized, /*normalized=*/true, parse_special)) {
    if (section.id >= 0) {
      ids.push_back(section.id);
      continue;
    }
    const bool first = at_start && section.text.data() == normalized.data();
    if (absl::Status status = segmenter_->Encode(section.text, first, ids); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const int32_t> ids) const {
  StreamDecoder decoder(*this);
  std::string text;
  for (const int32_t id : ids) {
    absl::StatusOr<std::string> piece = decoder.Push(id);
    if (!piece.ok()) return piece.status();
    text += *piece;
  }
  return text + decoder.Finish();
}

absl::StatusOr<std::string> StreamDecoder::Push(int32_t id) {
  const Vocabulary& vocabulary = tokenizer_->vocabulary();
  if (absl::Status status = vocabulary.CheckId(id); !status.ok()) return status;
  const Token& token = vocabulary.token(id);
  if (token.kind == TokenKind::kControl || token.bytes.empty()) return std::string();
  std::string_view bytes = token.bytes;
  if (!started_ && tokenizer_->prefixes_space() && bytes.front() == ' ') bytes.remove_prefix(1);
  started_ = true;
  pending_ += bytes;
  return TakeUtf8(pending_, /*final=*/false);
}

std::string StreamDecoder::Finish() { return TakeUtf8(pending_, /*final=*/true); }

absl::Status CheckVocabulary(const Tokenizer& tokenizer, int64_t model_vocab_size, std::string_view what) {
  const int64_t ids = tokenizer.vocab_size();
  if (ids <= model_vocab_size && model_vocab_size - ids <= model_vocab_size / 64) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "wrong tokenizer for ", absl::string_view(what.data(), what.size()), ": it has ", ids, " ids, expected ",
      model_vocab_size, " as the model's embedding has rows; put the tokenizer files of this very model beside it"));
}

}  // namespace uaqf::tokenizer
