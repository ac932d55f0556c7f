#include "worker/measure/input_length.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/measure/prose.h"

namespace uaqf::measure {
namespace {

using Ids = std::vector<int32_t>;

// The text that grows or shrinks: the prompt itself, or the last user turn of a conversation.
std::string& Content(Prompt& prompt) {
  for (auto turn = prompt.messages.rbegin(); turn != prompt.messages.rend(); ++turn) {
    if (turn->role == "user") return turn->content;
  }
  return prompt.messages.empty() ? prompt.text : prompt.messages.back().content;
}

// How many tokens at both ends belong to the template: those that do not depend on the content.
struct Frame {
  size_t head = 0;
  size_t tail = 0;
};

Frame CommonEnds(const Ids& a, const Ids& b) {
  Frame frame;
  const size_t shorter = std::min(a.size(), b.size());
  while (frame.head < shorter && a[frame.head] == b[frame.head]) ++frame.head;
  while (frame.tail < shorter - frame.head && a[a.size() - 1 - frame.tail] == b[b.size() - 1 - frame.tail]) {
    ++frame.tail;
  }
  return frame;
}

// Contents of two unlike one-letter prompts leave nothing in common but the template.
absl::StatusOr<Frame> FindFrame(TextModel& model, Prompt probe, bool chat) {
  Content(probe) = std::string(1, 'a');
  auto a = model.Encode(probe, chat);
  if (!a.ok()) return a.status();
  Content(probe) = std::string(1, '7');
  auto b = model.Encode(probe, chat);
  if (!b.ok()) return b.status();
  return CommonEnds(*a, *b);
}

// Puts just enough prose in front to reach the length or pass it by the tokens of a word.
absl::StatusOr<PreparedInput> Lengthen(TextModel& model, const Prompt& prompt, const GenerationRequest& request,
                                       size_t head) {
  const size_t wanted = static_cast<size_t>(request.input_tokens);
  PreparedInput input{prompt, request.chat, static_cast<int32_t>(head), 0, request.input_tokens};
  size_t words = 1;
  while (words <= 16 * wanted) {
    Prompt longer = prompt;
    std::string& content = Content(longer);
    content = absl::StrCat(Prose(request.prose_seed, static_cast<int32_t>(words)), "\n\n", content);
    auto ids = model.Encode(longer, request.chat);
    if (!ids.ok()) return ids.status();
    if (ids->size() >= wanted) {
      input.prompt = std::move(longer);
      input.erase_count = static_cast<int32_t>(ids->size() - wanted);
      return input;
    }
    // Even a tokenizer of a few hundred pieces seldom needs more than four tokens for a word: no step overshoots far.
    words += 1 + (wanted - ids->size()) / 4;
  }
  return absl::InvalidArgumentError(absl::StrCat("prompt ", prompt.id, ": prose does not bring it to ", wanted,
                                                 " tokens; check the model's tokenizer"));
}

}  // namespace

absl::StatusOr<PreparedInput> PrepareInput(TextModel& model, const Prompt& prompt, const GenerationRequest& request) {
  auto ids = model.Encode(prompt, request.chat);
  if (!ids.ok()) return ids.status();
  const size_t wanted = request.input_tokens > 0 ? static_cast<size_t>(request.input_tokens) : ids->size();
  PreparedInput input{prompt, request.chat, 0, 0, static_cast<int32_t>(wanted)};
  if (ids->size() == wanted) return input;
  auto frame = FindFrame(model, prompt, request.chat);
  if (!frame.ok()) return frame.status();
  if (wanted <= frame->head + frame->tail) {
    return absl::InvalidArgumentError(absl::StrCat("an input of ", wanted, " tokens: expected more than the ",
                                                   frame->head + frame->tail,
                                                   " that the template and the earlier turns of prompt ", prompt.id,
                                                   " take; ask for a longer input, or leave that prompt out"));
  }
  if (ids->size() < wanted) return Lengthen(model, prompt, request, frame->head);
  input.erase_count = static_cast<int32_t>(ids->size() - wanted);
  input.erase_at = static_cast<int32_t>(ids->size() - frame->tail) - input.erase_count;
  return input;
}

absl::StatusOr<std::vector<int32_t>> EncodeInput(TextModel& model, const PreparedInput& input) {
  auto ids = model.Encode(input.prompt, input.chat);
  if (!ids.ok()) return ids.status();
  const auto first = ids->begin() + input.erase_at;
  ids->erase(first, first + input.erase_count);
  return ids;
}

}  // namespace uaqf::measure
