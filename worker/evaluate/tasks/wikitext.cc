#include "worker/evaluate/tasks/wikitext.h"

#include <algorithm>
#include <utility>

#include "worker/evaluate/tasks/regex.h"
#include "worker/evaluate/tasks/text.h"

namespace uaqf::evaluate {

std::vector<std::string> SplitArticles(std::string_view raw) {
  static const Regex title = Regex::Known(R"(\A = [^=\n]+ = \n?\z)");
  std::vector<std::string> articles;
  while (!raw.empty()) {
    const std::string_view line = raw.substr(0, std::min(raw.find('\n'), raw.size() - 1) + 1);
    if (title.Search(line) || articles.empty()) articles.emplace_back();
    articles.back() += line;
    raw.remove_prefix(line.size());
  }
  // What stands before the first title is no article when it is blank.
  if (!articles.empty() && Strip(articles.front()).empty()) articles.erase(articles.begin());
  return articles;
}

std::string Detokenize(std::string_view article) {
  const auto replace = [](std::string text, const std::vector<std::pair<const char*, const char*>>& pairs) {
    for (const auto& [from, to] : pairs) text = ReplaceAll(text, from, to);
    return text;
  };
  static const std::vector<std::pair<Regex, const char*>> brackets = {
      {Regex::Known(R"(\(\s*([^\)]*?)\s*\))"), "($1)"}, {Regex::Known(R"(\[\s*([^\]]*?)\s*\])"), "[$1]"},
      {Regex::Known(R"({\s*([^}]*?)\s*})"), "{$1}"},    {Regex::Known(R"("\s*([^"]*?)\s*")"), "\"$1\""},
      {Regex::Known(R"('\s*([^']*?)\s*')"), "'$1'"},
  };
  static const Regex digit_quote = Regex::Known(R"(/' [0-9]/)");
  std::string text = replace(std::string(article), {{"s '", "s'"}});
  text = digit_quote.Replace(text, "/'[0-9]/");
  text = replace(std::move(text), {{" @-@ ", "-"},
                                   {" @,@ ", ","},
                                   {" @.@ ", "."},
                                   {" : ", ": "},
                                   {" ; ", "; "},
                                   {" . ", ". "},
                                   {" ! ", "! "},
                                   {" ? ", "? "},
                                   {" , ", ", "}});
  for (const auto& [expression, replacement] : brackets) text = expression.Replace(text, replacement);
  return replace(std::move(text), {{"= = = =", "===="},
                                   {"= = =", "==="},
                                   {"= =", "=="},
                                   {" ° ", "°"},
                                   {" \n", "\n"},
                                   {"\n ", "\n"},
                                   {" N ", " 1 "},
                                   {" 's", "'s"}});
}

int64_t ArticleWords(std::string_view article) {
  static const Regex space = Regex::Known(R"(\s+)");
  return static_cast<int64_t>(space.Split(article).size());
}

int64_t ArticleBytes(std::string_view article) { return static_cast<int64_t>(article.size()); }

std::vector<RollingWindow> RollingWindows(int64_t tokens, int32_t context_tokens) {
  std::vector<RollingWindow> windows;
  if (tokens < 1) return windows;
  const auto first = static_cast<int32_t>(std::min<int64_t>(tokens, context_tokens));
  // The prefix takes the place of the last token's input, which is never read.
  windows.push_back({0, first, first, true});
  for (int64_t scored = first; scored < tokens;) {
    const auto more = static_cast<int32_t>(std::min<int64_t>(tokens - scored, context_tokens));
    const int64_t begin = scored + more - context_tokens - 1;
    windows.push_back({begin, context_tokens + 1, more, false});
    scored += more;
  }
  return windows;
}

}  // namespace uaqf::evaluate
