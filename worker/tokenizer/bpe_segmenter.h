// Byte-pair encoding over bytes (GPT-2, Llama 3, Qwen2, SmolLM2) or over characters (Llama 2 and its kin when they come
// as tokenizer.json).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/tokenizer/bpe_merges.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/pre_tokenizer.h"
#include "worker/tokenizer/segmenter.h"

namespace uaqf::tokenizer {

// Marks word starts instead of spaces: the Metaspace pre-tokenizer of tokenizer.json.
struct Metaspace {
  std::string mark = "\xE2\x96\x81";
  enum { kNever, kFirst, kAlways } prepend = kAlways;
  // Is each word a piece of its own?
  bool split = true;
};

struct BpeModel {
  // Token as the file writes it -> id.
  absl::flat_hash_map<std::string, int32_t> ids;
  BpeMerges merges;
  std::vector<NormalizerStep> normalizer;
  PreTokenizer pre_tokenizer;
  std::optional<Metaspace> metaspace;
  // For characters (or bytes) that have no token; -1 drops them, as the Hugging Face tokenizers and llama.cpp do.
  int32_t unknown = -1;
  // Are neighbouring unknown characters one token?
  bool fuse_unknown = false;
  // Bytes, written in the alphabet of byte_alphabet.h, rather than characters.
  bool byte_level = false;
  // Characters without a token become their bytes, where the vocabulary has all of these ("<0xE2>").
  bool byte_fallback = false;
  // A piece that is a token as a whole is that token, whatever the merges would give.
  bool ignore_merges = false;
  // Put a space before a text that does not begin with one (ByteLevel's add_prefix_space).
  bool prefix_space = false;
  // Does decoding take a leading space away?
  bool strips_prefix = false;
};

class BpeSegmenter : public Segmenter {
 public:
  explicit BpeSegmenter(BpeModel model);

  std::string Normalize(std::string_view text) const override;
  absl::Status Encode(std::string_view normalized, bool at_start, std::vector<int32_t>& ids) const override;
  bool prefixes_space() const override { return model_.strips_prefix; }

 private:
  std::string MarkSpaces(std::string_view text, bool at_start) const;
  std::vector<int32_t> EncodePiece(std::string_view piece) const;
  std::vector<int32_t> SymbolsOfBytes(std::string_view piece) const;
  std::vector<int32_t> SymbolsOfCharacters(std::string_view piece) const;
  int32_t Find(std::string_view token) const;

  BpeModel model_;
  // Id of each byte: in the byte alphabet for byte-level models, else of the byte tokens. -1 for none.
  std::array<int32_t, 256> byte_ids_;
};

}  // namespace uaqf::tokenizer
