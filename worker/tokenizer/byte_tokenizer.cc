#include "worker/tokenizer/byte_tokenizer.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace uaqf::tokenizer {
namespace {

constexpr int32_t kFirstByte = 3;

class ByteSegmenter final : public Segmenter {
 public:
  std::string Normalize(std::string_view text) const override { return std::string(text); }
  absl::Status Encode(std::string_view normalized, bool, std::vector<int32_t>& ids) const override {
    for (const char c : normalized) ids.push_back(kFirstByte + static_cast<unsigned char>(c));
    return absl::OkStatus();
  }
  bool prefixes_space() const override { return false; }
};

}  // namespace

std::unique_ptr<Tokenizer> MakeByteTokenizer(int32_t vocab) {
  std::vector<Token> tokens = {
      {"<unk>", TokenKind::kUnknown}, {"<s>", TokenKind::kControl}, {"</s>", TokenKind::kControl}};
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back({std::string(1, static_cast<char>(byte)), TokenKind::kNormal});
  while (static_cast<int32_t>(tokens.size()) < vocab) {
    tokens.push_back({absl::StrCat(" w", tokens.size()), TokenKind::kNormal});
  }
  SpecialTokens special;
  special.unknown = 0;
  special.bos = 1;
  special.eos = 2;
  special.add_bos = true;
  special.stop = {2};
  // There is no added token that could lie outside.
  return std::make_unique<Tokenizer>(Vocabulary::Create(std::move(tokens), {}).value(),
                                     std::make_unique<ByteSegmenter>(), std::move(special));
}

}  // namespace uaqf::tokenizer
