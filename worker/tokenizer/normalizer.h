// The normalizers of tokenizer.json that models of the Llama family use.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace uaqf::tokenizer {

struct NormalizerStep {
  enum Kind {
    // `to` goes before the text, unless that is empty.
    kPrepend,
    // Every `from` becomes `to`.
    kReplace,
    // Unicode normalization form C.
    kNfc,
  };
  Kind kind;
  std::string from;
  std::string to;
};

// `text`, valid UTF-8, after all steps in order.
std::string Normalize(const std::vector<NormalizerStep>& steps, std::string_view text);

}  // namespace uaqf::tokenizer
