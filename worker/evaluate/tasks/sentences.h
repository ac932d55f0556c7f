// Sentences and words of English text, counted by rules.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace uaqf::evaluate {

// A sentence ends after '.', '!' or '?' (with the quotes and brackets that close after it) before white space, except
// after a known abbreviation or an initial, and after "..." or an abbreviation-like word before a lower-case letter.
// What follows the last end is a sentence if it holds anything but white space.
size_t CountSentences(std::string_view text);

// Words and punctuation as the Treebank conventions cut them, as far as capitals need it: punctuation stands apart
// (inner '.', '-' and '/' do not), and so do the endings n't, 's, 'll, 're, 've, 'd and 'm.
std::vector<std::string> WordTokens(std::string_view text);

}  // namespace uaqf::evaluate
