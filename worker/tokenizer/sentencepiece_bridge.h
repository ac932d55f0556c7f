// SentencePiece behind standard types only.
//
// Its public header defines absl::string_view for itself, so no file that includes it may see Abseil: it is included
// in sentencepiece_bridge.cc and nowhere else.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace uaqf::tokenizer {

// A loaded SentencePiece model. Immutable once loaded; then any thread.
class SentencePieceBridge {
 public:
  enum class Kind { kNormal, kUnknown, kControl, kByte, kUnused };

  SentencePieceBridge();
  ~SentencePieceBridge();

  // Loads a serialized model. On failure returns false and says why in `error`; the object must not be used then.
  [[nodiscard]] bool Load(std::string_view serialized, std::string& error);
  // On failure returns false and says why in `error`.
  [[nodiscard]] bool Encode(std::string_view text, std::vector<int>& ids, std::string& error) const;

  int size() const;
  const std::string& piece(int id) const;
  Kind kind(int id) const;
  // -1 where the model has none.
  int bos() const;
  int eos() const;
  int unknown() const;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace uaqf::tokenizer
