// Text to token ids and back, exactly as the model's own files say.
//
// Loaders are in worker/tokenizer/load.h. A tokenizer never changes once made: every method is const and may be
// called from any number of threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/tokenizer/segmenter.h"
#include "worker/tokenizer/special_tokens.h"
#include "worker/tokenizer/vocabulary.h"

namespace uaqf::tokenizer {

struct EncodeOptions {
  // Put BOS first, where the model's files ask for one (Tokenizer::special().add_bos); otherwise nothing is added.
  bool add_bos = true;
  // Read the text of control tokens ("<|im_end|>", "</s>") as those tokens: for rendered chat templates. Without it
  // they are ordinary characters, so that a prompt cannot inject them.
  bool parse_special = false;
};

class Tokenizer {
 public:
  Tokenizer(Vocabulary vocabulary, std::unique_ptr<Segmenter> segmenter, SpecialTokens special);

  // Token ids of `text`; none for an empty text (or only BOS). INVALID_ARGUMENT: not UTF-8 (the message names the
  // byte offset).
  [[nodiscard]] absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text, EncodeOptions options = {}) const;

  // The text of `ids`, always valid UTF-8: bytes that form no character become U+FFFD, control tokens become nothing.
  // The space that encoding puts before a text is taken away again. INVALID_ARGUMENT: an id outside the vocabulary.
  [[nodiscard]] absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids) const;

  // Number of ids, [0, vocab_size()).
  int32_t vocab_size() const { return vocabulary_.size(); }
  const SpecialTokens& special() const { return special_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  // Does encoding put a space before the text (SentencePiece's dummy prefix)?
  bool prefixes_space() const { return segmenter_->prefixes_space(); }

 private:
  absl::Status EncodeText(std::string_view text, bool at_start, bool parse_special, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  std::unique_ptr<Segmenter> segmenter_;
  SpecialTokens special_;
};

// Decodes a generation token by token: what Push and Finish return, joined, is Decode of all the ids. Bytes of an
// unfinished character are held back until it is complete. Borrows the tokenizer. Not thread-safe.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  // INVALID_ARGUMENT: an id outside the vocabulary.
  [[nodiscard]] absl::StatusOr<std::string> Push(int32_t id);
  std::string Finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
  bool started_ = false;
};

// FAILED_PRECONDITION unless the ids of `tokenizer` fit a model of `model_vocab_size` embedding rows. Rows may
// outnumber ids by up to 1/64, the padding that training frameworks add. `what` names the model in the message.
[[nodiscard]] absl::Status CheckVocabulary(const Tokenizer& tokenizer, int64_t model_vocab_size, std::string_view what);

}  // namespace uaqf::tokenizer
