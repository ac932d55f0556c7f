// lm-eval's `wikitext` v2.0 recipe (METHODS 7): whole articles, every token scored once. Its figures are not comparable
// with those of the GPTQ recipe (worker/evaluate/perplexity.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace uaqf::evaluate {

// The articles of a raw WikiText file, verbatim: a new one begins at each " = Title = " line.
std::vector<std::string> SplitArticles(std::string_view raw);

// The article as a model is to read it: WikiText's tokenization undone by lm-eval's rules, its slips included.
std::string Detokenize(std::string_view article);

// What the log-likelihood of an article is divided by: pieces between white space, and bytes, both of the article as it
// stands in the file.
int64_t ArticleWords(std::string_view article);
int64_t ArticleBytes(std::string_view article);

// One forward pass: scores the last `scored` of tokens[begin, begin + count), given those before. Where `prefix` is
// set, a token that no text contains (BOS or EOS) stands before them.
struct RollingWindow {
  int64_t begin = 0;
  int32_t count = 0;
  int32_t scored = 0;
  bool prefix = false;
};

// Windows that score each of `tokens` tokens once in a model of `context_tokens` >= 2 with a context of one: the first
// sees the prefix and then tokens; each later one begins with the last token of the one before; the last one is filled
// up with earlier tokens.
std::vector<RollingWindow> RollingWindows(int64_t tokens, int32_t context_tokens);

}  // namespace uaqf::evaluate
