#include "worker/tokenizer/normalizer.h"

#include "worker/tokenizer/unicode_nfc.h"

namespace uaqf::tokenizer {
namespace {

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, begin)) {
    out.append(text.substr(begin, at - begin)).append(to);
    begin = at + from.size();
  }
  return out.append(text.substr(begin));
}

}  // namespace

std::string Normalize(const std::vector<NormalizerStep>& steps, std::string_view text) {
  std::string out(text);
  for (const NormalizerStep& step : steps) {
    switch (step.kind) {
      case NormalizerStep::kPrepend:
        if (!out.empty()) out.insert(0, step.to);
        break;
      case NormalizerStep::kReplace:
        out = ReplaceAll(out, step.from, step.to);
        break;
      case NormalizerStep::kNfc:
        out = ToNfc(out);
        break;
    }
  }
  return out;
}

}  // namespace uaqf::tokenizer
