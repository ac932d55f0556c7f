#include "worker/evaluate/perplexity.h"

#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace uaqf::evaluate {

int32_t WindowCount(int64_t tokens, int32_t context_tokens) { return static_cast<int32_t>(tokens / context_tokens); }

absl::StatusOr<std::span<const int32_t>> FindWindow(const engine::Engine& engine, std::span<const int32_t> ids,
                                                    int32_t context_tokens, int32_t index) {
  if (context_tokens < 2 || context_tokens > engine.max_sequence_tokens()) {
    return absl::InvalidArgumentError(absl::StrCat("context of ", context_tokens, " tokens: expected 2 to ",
                                                   engine.max_sequence_tokens(), ", which the model is loaded for"));
  }
  const int32_t windows = WindowCount(static_cast<int64_t>(ids.size()), context_tokens);
  if (index < 0 || index >= windows) {
    return absl::InvalidArgumentError(absl::StrCat("window ", index, ": expected 0 to ", windows - 1, ", the text has ",
                                                   ids.size(), " tokens in windows of ", context_tokens));
  }
  const auto size = static_cast<size_t>(context_tokens);
  return ids.subspan(static_cast<size_t>(index) * size, size);
}

absl::StatusOr<measure::WindowScore> ScoreWindow(engine::Engine& engine, std::span<const int32_t> ids,
                                                 int32_t context_tokens, int32_t index) {
  const auto window = FindWindow(engine, ids, context_tokens, index);
  if (!window.ok()) return window.status();
  auto nll = engine.Score(*window);
  if (!nll.ok()) return nll.status();
  return measure::WindowScore{context_tokens - 1, std::accumulate(nll->begin(), nll->end(), 0.0)};
}

double MeanNll(const std::vector<double>& window_nll) {
  return std::accumulate(window_nll.begin(), window_nll.end(), 0.0) / static_cast<double>(window_nll.size());
}

std::string JoinPieces(const measure::PromptSet& text) {
  std::string joined;
  for (const measure::Prompt& piece : text.prompts) joined += piece.text;
  return joined;
}

std::string JoinRows(std::string_view raw) {
  std::string joined;
  for (size_t begin = 0; begin < raw.size();) {
    const size_t feed = raw.find('\n', begin);
    const size_t end = feed == std::string_view::npos ? raw.size() : feed + 1;
    const std::string_view row = raw.substr(begin, end - begin);
    if (begin > 0) joined += "\n\n";
    if (!absl::StripAsciiWhitespace({row.data(), row.size()}).empty()) joined += row;
    begin = end;
  }
  return joined;
}

}  // namespace uaqf::evaluate
