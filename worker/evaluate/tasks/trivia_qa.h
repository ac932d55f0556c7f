// TriviaQA, closed book: exact match with any alias, by the official normaliser and by lm-eval's (METHODS 7).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace uaqf::evaluate {

// The official script's: "_" and punctuation become spaces, lower case, no articles, single spaces.
std::string NormalizeTriviaOfficial(std::string_view text);
// lm-eval's: lower case, ASCII punctuation deleted.
std::string NormalizeTriviaLmEval(std::string_view text);

struct TriviaVerdict {
  bool official = false;
  bool lm_eval = false;
};

// `answer` is stripped first. An answer that normalises to nothing matches no alias.
TriviaVerdict ScoreTriviaQa(std::string_view answer, const std::vector<std::string>& aliases);

}  // namespace uaqf::evaluate
