// Chat templates, recognised from the template text that ships with a model. No template is ever executed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace uaqf::tokenizer {

struct ChatMessage {
  // "system", "user" or "assistant".
  std::string role;
  std::string content;
};

enum class ChatFormat { kChatMl, kLlama2, kLlama3, kMistral };

// One of the formats above with what a particular model's file adds to it. Immutable; any thread.
class ChatTemplate {
 public:
  // Recognises the format of a Jinja template. `bos` and `eos` are the texts of the model's tokens.
  // UNIMPLEMENTED: a template of none of the known formats; the message quotes its beginning.
  [[nodiscard]] static absl::StatusOr<ChatTemplate> Recognize(std::string_view jinja, std::string_view bos,
                                                              std::string_view eos);

  // The conversation as the text that the model was trained on, to be encoded with {add_bos = false, parse_special =
  // true}: it holds BOS itself where the format wants one. With `add_generation_prompt` it ends where the answer of
  // the assistant begins. INVALID_ARGUMENT: no message, an unknown role, or an order that the format does not allow.
  [[nodiscard]] absl::StatusOr<std::string> Render(const std::vector<ChatMessage>& messages,
                                                   bool add_generation_prompt) const;

  ChatFormat format() const { return format_; }
  // "chatml", "llama-2", "llama-3" or "mistral".
  std::string_view name() const;
  // What the template puts first when a conversation has no system turn; empty where it adds nothing.
  const std::string& default_system() const { return default_system_; }

 private:
  // Where the system turn goes in the formats that wrap it into a user turn.
  enum class System { kRefused, kFirstUser, kLastUser };

  absl::Status CheckTurns(const std::vector<ChatMessage>& messages) const;
  std::string RenderChatMl(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;
  std::string RenderLlama3(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;
  std::string RenderInstructions(const std::vector<ChatMessage>& messages) const;

  ChatFormat format_ = ChatFormat::kChatMl;
  std::string bos_;
  std::string eos_;
  std::string default_system_;
  // Goes before the system text (Llama 3.1's dates); the system turn is then always there.
  std::string system_preamble_;
  bool trims_content_ = false;
  // Llama 2 and Mistral: what stands around a user turn and around an answer.
  std::string user_open_;
  std::string user_close_;
  std::string answer_open_;
  std::string answer_close_;
  bool trims_answer_ = false;
  System system_ = System::kRefused;
};

}  // namespace uaqf::tokenizer
