// Unicode normalization form C (Unicode Standard Annex 15).
#pragma once

#include <string>
#include <string_view>

namespace uaqf::tokenizer {

// `text`, valid UTF-8, composed: canonically equal texts become the same bytes.
std::string ToNfc(std::string_view text);

}  // namespace uaqf::tokenizer
