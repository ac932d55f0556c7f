#include "worker/tokenizer/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/tokenizer/fixtures.h"
#include "worker/model/checkpoint.h"
#include "worker/tokenizer/load.h"

namespace uaqf::tokenizer {
namespace {

using ::testing::HasSubstr;

nlohmann::json Oracle() {
  return nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/data/chat_oracle.json")));
}

std::string FormatOf(const std::string& family) {
  if (family.rfind("mistral", 0) == 0) return "mistral";
  if (family.rfind("llama-3", 0) == 0) return "llama-3";
  if (family == "llama-2") return "llama-2";
  return "chatml";
}

// What Jinja renders (null where the template raises an error) is what we render.
TEST(ChatTemplate, RendersEveryFamilyAsJinjaDoes) {
  int refused = 0;
  for (const auto& family : Oracle()) {
    const std::string name = family["name"];
    auto found = ChatTemplate::Recognize(family["template"].get<std::string>(), family["bos"].get<std::string>(),
                                         family["eos"].get<std::string>());
    ASSERT_TRUE(found.ok()) << name << ": " << found.status();
    EXPECT_EQ(found->name(), FormatOf(name));
    for (const auto& one : family["cases"]) {
      std::vector<ChatMessage> messages;
      for (const auto& message : one["messages"]) messages.push_back({message["role"], message["content"]});
      const auto text = found->Render(messages, one["add_generation_prompt"]);
      if (one["text"].is_null()) {
        EXPECT_TRUE(absl::IsInvalidArgument(text.status())) << name << one["messages"];
        ++refused;
        continue;
      }
      ASSERT_TRUE(text.ok()) << name << ": " << text.status();
      EXPECT_EQ(*text, one["text"].get<std::string>()) << name << one["messages"];
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(ChatTemplate, OfSmolLm2PutsItsOwnSystemTurnFirst) {
  UAQF_NEED_FILE(test::DefaultModel());
  const auto checkpoint = model::Checkpoint::Open(test::DefaultModel()).value();
  const auto tokenizer = LoadTokenizer(*checkpoint).value();
  const auto found = LoadChatTemplate(*checkpoint, *tokenizer);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->format(), ChatFormat::kChatMl);
  EXPECT_EQ(found->default_system(), "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  EXPECT_EQ(found->Render({{"user", "Hi"}}, true).value(),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, QuotesATemplateItDoesNotKnow) {
  const auto found = ChatTemplate::Recognize("{{ '<start_of_turn>user' }}", "", "");
  EXPECT_TRUE(absl::IsUnimplemented(found.status()));
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("<start_of_turn>user"));
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("supported are chatml, llama-2, llama-3 and mistral"));
}

TEST(ChatTemplate, RefusesAConversationItCannotRender) {
  const auto chatml = ChatTemplate::Recognize("<|im_start|>", "", "").value();
  EXPECT_TRUE(absl::IsInvalidArgument(chatml.Render({}, true).status()));
  const auto role = chatml.Render({{"tool", "x"}}, true).status();
  EXPECT_THAT(std::string(role.message()), HasSubstr("message 0 has the role \"tool\""));

  const auto llama2 = ChatTemplate::Recognize("[INST] <<SYS>>", "<s>", "</s>").value();
  const auto order = llama2.Render({{"user", "a"}, {"user", "b"}}, true).status();
  EXPECT_THAT(std::string(order.message()), HasSubstr("expected assistant"));
  EXPECT_TRUE(absl::IsInvalidArgument(llama2.Render({{"system", "alone"}}, true).status()));
}

}  // namespace
}  // namespace uaqf::tokenizer
