// SentencePiece BPE as GGUF files carry it: pieces with scores ("tokenizer.ggml.model" is "llama"), without the
// SentencePiece model itself.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/tokenizer/segmenter.h"

namespace uaqf::tokenizer {

struct ScoredPiece {
  int32_t id;
  double score;
};

struct ScoredModel {
  // Piece as the file writes it, with U+2581 for a space. Control and byte tokens are not in here.
  absl::flat_hash_map<std::string, ScoredPiece> pieces;
  // Byte -> its token, -1 for none.
  std::array<int32_t, 256> byte_ids;
  int32_t unknown = -1;
  // Put a space before each stretch of text.
  bool prefix_space = true;
};

class ScoredSegmenter : public Segmenter {
 public:
  explicit ScoredSegmenter(ScoredModel model) : model_(std::move(model)) {}

  std::string Normalize(std::string_view text) const override { return std::string(text); }
  absl::Status Encode(std::string_view normalized, bool at_start, std::vector<int32_t>& ids) const override;
  bool prefixes_space() const override { return model_.prefix_space; }

 private:
  const ScoredPiece* Find(std::string_view piece) const;
  void AppendSymbol(std::string_view symbol, std::vector<int32_t>& ids) const;

  ScoredModel model_;
};

}  // namespace uaqf::tokenizer
