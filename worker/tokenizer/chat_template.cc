#include "worker/tokenizer/chat_template.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::tokenizer {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool ContainsAny(std::string_view text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (Contains(text, part)) return true;
  }
  return false;
}

// What Python's str.strip(), and with it Jinja's trim, takes away.
bool IsPythonSpace(char32_t c) { return IsWhiteSpace(c) || (c >= 0x1C && c <= 0x1F); }

// Texts that are not UTF-8 come back as they are; encoding refuses them.
std::string Strip(std::string_view text) {
  if (FindInvalidUtf8(text) < text.size()) return std::string(text);
  size_t begin = text.size();
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(static_cast<unsigned char>(text[at]));
    if (!IsPythonSpace(DecodeUtf8(text, at))) {
      begin = std::min(begin, at);
      end = at + length;
    }
    at += length;
  }
  return begin < end ? std::string(text.substr(begin, end - begin)) : std::string();
}

// A Jinja literal may hold a newline itself or its escape.
std::string Unescape(std::string_view literal) {
  std::string out;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] == '\\' && i + 1 < literal.size()) {
      const char escaped = literal[++i];
      out += escaped == 'n' ? '\n' : escaped;
    } else {
      out += literal[i];
    }
  }
  return out;
}

// The system text that a ChatML template writes out: a literal from "<|im_start|>system" to "<|im_end|>".
std::string FindDefaultSystem(std::string_view jinja) {
  constexpr std::string_view kStart = "<|im_start|>system";
  constexpr std::string_view kEnd = "<|im_end|>";
  for (size_t at = jinja.find(kStart); at != std::string_view::npos; at = jinja.find(kStart, at + 1)) {
    std::string_view rest = jinja.substr(at + kStart.size());
    if (rest.substr(0, 1) == "\n") {
      rest.remove_prefix(1);
    } else if (rest.substr(0, 2) == "\\n") {
      rest.remove_prefix(2);
    } else {
      continue;
    }
    const size_t end = rest.find(kEnd);
    if (end == std::string_view::npos) break;
    const std::string_view literal = rest.substr(0, end);
    if (!ContainsAny(literal, {"{{", "}}", "{%", "%}", "' +", "\" +"})) return Unescape(literal);
  }
  return "";
}

bool TrimsContent(std::string_view jinja) {
  return ContainsAny(jinja, {"content'] | trim", "content']|trim", "content\"] | trim", "content\"]|trim",
                             "content | trim", "content|trim", "content'].strip()", "content.strip()"});
}

std::string Quote(std::string_view jinja) {
  constexpr size_t kShown = 160;
  std::string text(jinja.substr(0, kShown));
  text = TakeUtf8(text, /*final=*/true);
  return jinja.size() > kShown ? text + "..." : text;
}

}  // namespace

std::string_view ChatTemplate::name() const {
  switch (format_) {
    case ChatFormat::kChatMl:
      return "chatml";
    case ChatFormat::kLlama2:
      return "llama-2";
    case ChatFormat::kLlama3:
      return "llama-3";
    case ChatFormat::kMistral:
      return "mistral";
  }
  return "";
}

absl::StatusOr<ChatTemplate> ChatTemplate::Recognize(std::string_view jinja, std::string_view bos,
                                                     std::string_view eos) {
  ChatTemplate found;
  found.bos_ = bos;
  found.eos_ = eos;
  found.trims_content_ = TrimsContent(jinja);
  if (Contains(jinja, "<|im_start|>")) {
    found.format_ = ChatFormat::kChatMl;
    found.default_system_ = FindDefaultSystem(jinja);
  } else if (Contains(jinja, "<|start_header_id|>")) {
    found.format_ = ChatFormat::kLlama3;
    if (Contains(jinja, "Cutting Knowledge Date: December 2023")) {
      // The template's own fixed date: what is measured must not change with the day.
      found.system_preamble_ = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
    }
  } else if (Contains(jinja, "[INST]") && Contains(jinja, "<<SYS>>")) {
    found.format_ = ChatFormat::kLlama2;
    found.user_open_ = absl::StrCat(found.bos_, "[INST] ");
    found.user_close_ = " [/INST]";
    found.answer_open_.assign(1, ' ');
    found.answer_close_ = absl::StrCat(" ", found.eos_);
    found.trims_content_ = found.trims_answer_ = true;
    found.system_ = System::kFirstUser;
  } else if (Contains(jinja, "[INST]")) {
    found.format_ = ChatFormat::kMistral;
    const auto space_if = [&](std::initializer_list<std::string_view> parts) {
      return std::string(ContainsAny(jinja, parts) ? 1 : 0, ' ');
    };
    found.user_open_ = absl::StrCat(space_if({"' [INST]", "\" [INST]"}), "[INST] ");
    found.user_close_ = absl::StrCat(space_if({"' [/INST]", "\" [/INST]"}), "[/INST]");
    found.answer_open_ = space_if({"' ' + message", "\" \" + message"});
    found.answer_close_ = absl::StrCat(found.eos_, space_if({"eos_token + ' '", "eos_token + \" \""}));
    found.trims_answer_ = std::exchange(found.trims_content_, false);
    if (Contains(jinja, "loop.first and system_message")) found.system_ = System::kFirstUser;
    if (Contains(jinja, "loop.last and system_message")) found.system_ = System::kLastUser;
  } else {
    return absl::UnimplementedError(
        absl::StrCat("the model's chat template is of no known format: \"", Quote(jinja),
                     "\"; supported are chatml, llama-2, llama-3 and mistral, or give the prompt as plain text"));
  }
  return found;
}

absl::Status ChatTemplate::CheckTurns(const std::vector<ChatMessage>& messages) const {
  if (messages.empty()) return absl::InvalidArgumentError("the conversation has no message, expected at least one");
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      return absl::InvalidArgumentError(
          absl::StrCat("message ", i, " has the role \"", role, "\", expected system, user or assistant"));
    }
  }
  if (format_ == ChatFormat::kChatMl || format_ == ChatFormat::kLlama3) return absl::OkStatus();
  const std::string_view format = name();
  const bool system = messages.front().role == "system";
  if (system && system_ == System::kRefused) {
    return absl::InvalidArgumentError(absl::StrCat("this model's ", absl::string_view(format.data(), format.size()),
                                                   " template has no place for a system message; put its text into "
                                                   "the first user message"));
  }
  const size_t first = system ? 1 : 0;
  for (size_t i = first; i < messages.size(); ++i) {
    const char* expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != expected) {
      return absl::InvalidArgumentError(
          absl::StrCat("message ", i, " has the role \"", messages[i].role, "\", expected ", expected, ": the ",
                       absl::string_view(format.data(), format.size()), " template takes user and assistant in turn"));
    }
  }
  if (first == messages.size()) {
    return absl::InvalidArgumentError("the conversation has only a system message, expected a user message after it");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                                 bool add_generation_prompt) const {
  if (absl::Status status = CheckTurns(messages); !status.ok()) return status;
  switch (format_) {
    case ChatFormat::kChatMl:
      return RenderChatMl(messages, add_generation_prompt);
    case ChatFormat::kLlama3:
      return RenderLlama3(messages, add_generation_prompt);
    case ChatFormat::kLlama2:
    case ChatFormat::kMistral:
      // In these the answer simply follows the instruction.
      return RenderInstructions(messages);
  }
  return absl::InternalError("unknown chat format");
}

std::string ChatTemplate::RenderChatMl(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const {
  std::string text;
  const auto turn = [&](const std::string& role, const std::string& content) {
    absl::StrAppend(&text, "<|im_start|>", role, "\n", content, "<|im_end|>\n");
  };
  if (!default_system_.empty() && messages.front().role != "system") turn("system", default_system_);
  for (const ChatMessage& message : messages) {
    turn(message.role, trims_content_ ? Strip(message.content) : message.content);
  }
  if (add_generation_prompt) text += "<|im_start|>assistant\n";
  return text;
}

std::string ChatTemplate::RenderLlama3(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const {
  std::string text = bos_;
  const auto turn = [&](const std::string& role, const std::string& content) {
    absl::StrAppend(&text, "<|start_header_id|>", role, "<|end_header_id|>\n\n", content, "<|eot_id|>");
  };
  const bool needs_preamble = !system_preamble_.empty();
  if (needs_preamble && messages.front().role != "system") turn("system", system_preamble_);
  for (const ChatMessage& message : messages) {
    const std::string content = trims_content_ ? Strip(message.content) : message.content;
    const bool first = &message == &messages.front();
    turn(message.role, first && needs_preamble && message.role == "system" ? system_preamble_ + content : content);
  }
  if (add_generation_prompt) text += "<|start_header_id|>assistant<|end_header_id|>\n\n";
  return text;
}

std::string ChatTemplate::RenderInstructions(const std::vector<ChatMessage>& messages) const {
  const bool llama2 = format_ == ChatFormat::kLlama2;
  const size_t first = messages.front().role == "system" ? 1 : 0;
  const size_t holder = system_ == System::kLastUser ? messages.size() - 1 : first;
  std::string text;
  if (!llama2) text = bos_;
  for (size_t i = first; i < messages.size(); ++i) {
    std::string content = messages[i].content;
    if (messages[i].role == "assistant") {
      absl::StrAppend(&text, answer_open_, trims_answer_ ? Strip(content) : content, answer_close_);
      continue;
    }
    if (first == 1 && i == holder) {
      const std::string& system = messages.front().content;
      content =
          llama2 ? absl::StrCat("<<SYS>>\n", system, "\n<</SYS>>\n\n", content) : absl::StrCat(system, "\n\n", content);
    }
    absl::StrAppend(&text, user_open_, trims_content_ ? Strip(content) : content, user_close_);
  }
  return text;
}

}  // namespace uaqf::tokenizer
