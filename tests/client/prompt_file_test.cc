#include "client/prompt_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/test_data.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const std::string& bytes) {
  const auto prompts = ParsePrompts(bytes, "p.jsonl");
  if (prompts.ok()) return "accepted";
  EXPECT_TRUE(absl::IsInvalidArgument(prompts.status()));
  return std::string(prompts.status().message());
}

TEST(PromptFile, ReadsTextsConversationsAndReferences) {
  const auto prompts = ParsePrompts(
      "{\"id\": \"math-1\", \"category\": \"math\", \"text\": \"6 × 7?\\n\", \"reference\": \"42\"}\n"
      "\r\n"
      "{\"id\": \"chat.1\", \"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"},"
      " {\"role\": \"user\", \"content\": \"Hi\"}]}",
      "p.jsonl");
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  ASSERT_EQ(prompts->size(), 2u);
  EXPECT_EQ((*prompts)[0].id(), "math-1");
  EXPECT_EQ((*prompts)[0].category(), "math");
  EXPECT_EQ((*prompts)[0].text(), "6 × 7?\n");
  EXPECT_EQ((*prompts)[0].reference(), "42");
  EXPECT_EQ((*prompts)[1].category(), "");
  ASSERT_EQ((*prompts)[1].messages_size(), 2);
  EXPECT_EQ((*prompts)[1].messages(1).role(), "user");
}

TEST(PromptFile, ReadsOverLabelsOfTheKeeper) {
  const auto plain = ParsePrompts("{\"id\": \"a\", \"text\": \"x\"}", "p.jsonl");
  const auto labelled = ParsePrompts(
      "{\"id\": \"a\", \"topic\": \"tea\", \"language\": \"en\", \"length\": \"short\", \"text\": \"x\"}", "p.jsonl");
  ASSERT_TRUE(labelled.ok()) << labelled.status();
  EXPECT_EQ((*labelled)[0].SerializeAsString(), (*plain)[0].SerializeAsString());
  EXPECT_EQ(Refusal("{\"id\": \"a\", \"topic\": 7, \"text\": \"x\"}"),
            "p.jsonl:1: got \"topic\" as number, expected a string");
}

TEST(PromptFile, PassesOverAByteOrderMark) {
  EXPECT_EQ(Refusal("\xEF\xBB\xBF{\"id\": \"a\", \"text\": \"x\"}\n"), "accepted");
}

struct BadLine {
  const char* name;
  const char* bytes;
  const char* told;
};

class PromptFileRefuses : public ::testing::TestWithParam<BadLine> {};

TEST_P(PromptFileRefuses, WithPlaceGotAndExpected) {
  EXPECT_THAT(Refusal(GetParam().bytes), HasSubstr(GetParam().told));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, PromptFileRefuses,
    ::testing::Values(
        BadLine{"Empty", "", "p.jsonl: got no prompts, expected one JSON object on each line"},
        BadLine{"BlankLines", "\n \n", "p.jsonl: got no prompts"},
        BadLine{"NoJson", "hello", "p.jsonl:1: got no JSON (at column 1), expected an object"},
        BadLine{"HugeNumber", "{\"id\": 1e999}", "p.jsonl:1: got no JSON"},
        BadLine{"Array", "[1]", "p.jsonl:1: got a JSON array, expected an object"},
        BadLine{"InvalidUtf8", "\n{\"id\": \"a\", \"text\": \"\xff\"}",
                "p.jsonl:2: got invalid UTF-8 (byte 0xff in column"},
        BadLine{"LoneSurrogate", "{\"id\": \"a\", \"text\": \"\\ud800\"}", "p.jsonl:1: got no JSON"},
        BadLine{"NoId", "{\"text\": \"x\"}", "p.jsonl:1: got no \"id\", expected one"},
        BadLine{"NumberAsId", "{\"id\": 7, \"text\": \"x\"}", "got \"id\" as number, expected a string"},
        BadLine{"SpaceInId", "{\"id\": \"a b\", \"text\": \"x\"}", "expected 1 to 128 characters of [A-Za-z0-9._-]"},
        BadLine{"EmptyText", "{\"id\": \"a\", \"text\": \"\"}", "got an empty \"text\", expected a prompt"},
        BadLine{"NeitherBody", "{\"id\": \"a\"}", "got neither \"text\" nor \"messages\", expected one of them"},
        BadLine{"BothBodies",
                "{\"id\": \"a\", \"text\": \"x\", \"messages\": [{\"role\": \"user\", \"content\": \"y\"}]}",
                "got both \"text\" and \"messages\", expected one of them"},
        BadLine{"NoTurns", "{\"id\": \"a\", \"messages\": []}", "got \"messages\" as an empty list, expected a list"},
        BadLine{"UnknownRole", "{\"id\": \"a\", \"messages\": [{\"role\": \"bot\", \"content\": \"y\"}]}",
                "got the role \"bot\", expected system, user or assistant"},
        BadLine{"SilentTurn", "{\"id\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"\"}]}",
                "got a message without content"},
        BadLine{"TurnAsText", "{\"id\": \"a\", \"messages\": [\"hi\"]}", "got a message as string, expected"},
        BadLine{"MistypedKey", "{\"id\": \"a\", \"text\": \"x\", \"catagory\": \"m\"}",
                "got the unknown key \"catagory\", expected only id, category, text, messages, reference"},
        BadLine{"RepeatedId", "{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \"a\", \"text\": \"y\"}",
                "p.jsonl:2: got the id \"a\" again, expected ids to be unique (first on line 1)"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(PromptFile, TellsEveryBadLineUpToTen) {
  std::string bytes;
  for (int i = 0; i < 12; ++i) bytes += "bad\n";
  const std::string told = Refusal(bytes);
  EXPECT_THAT(told, HasSubstr("p.jsonl:1:"));
  EXPECT_THAT(told, HasSubstr("p.jsonl:10:"));
  EXPECT_THAT(told, ::testing::Not(HasSubstr("p.jsonl:11:")));
  EXPECT_THAT(told, HasSubstr("and 2 more bad lines"));
}

TEST(PromptFile, RefusesAPromptThatFitsNoMessage) {
  EXPECT_THAT(Refusal(absl::StrCat("{\"id\": \"a\", \"text\": \"", std::string(1 << 20, 'x'), "\"}")),
              HasSubstr("expected at most"));
}

TEST(PromptFile, TakesTheFirstPromptsAndLooksNoFurther) {
  const auto prompts =
      ParsePrompts("{\"id\": \"a\", \"text\": \"x\"}\n\n{\"id\": \"b\", \"text\": \"y\"}\nbad\n", "f", 2);
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  EXPECT_EQ(prompts->size(), 2u);
  EXPECT_FALSE(ParsePrompts("bad\n{\"id\": \"a\", \"text\": \"x\"}\n", "f", 1).ok());
}

TEST(TextFile, IsCutAtCharactersAndStaysVerbatim) {
  const std::string text = "a€€é\r\n\n b";
  const auto pieces = CutText(text, "t.txt", 4);
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  std::string joined;
  for (const v1::Prompt& piece : *pieces) {
    EXPECT_LE(piece.text().size(), 4u);
    joined += piece.text();
  }
  EXPECT_EQ(joined, text);
  EXPECT_EQ((*pieces)[0].id(), "piece-000000");
  EXPECT_EQ((*pieces)[1].id(), "piece-000001");
}

TEST(TextFile, MustBeUtf8AndNotEmpty) {
  EXPECT_THAT(std::string(CutText("", "t.txt").status().message()), HasSubstr("t.txt: got an empty file"));
  EXPECT_THAT(std::string(CutText("ok\nbad \xff", "t.txt").status().message()),
              HasSubstr("t.txt:2: got invalid UTF-8 (byte 0xff at offset 7)"));
}

TEST(TextFile, HasItsLinesJoinedAsRows) {
  EXPECT_EQ(*JoinRows(" \n = Title = \n \n Text .\n", "t.txt"), "\n\n = Title = \n\n\n\n\n Text .\n");
  EXPECT_EQ(*JoinRows("no feed", "t.txt"), "no feed");
  EXPECT_THAT(std::string(JoinRows("\n\nbad \xff", "t.txt").status().message()),
              HasSubstr("t.txt:3: got invalid UTF-8"))
      << "the line is the file's, not that of the joined text";
}

TEST(WholeFile, TellsWhatCannotBeRead) {
  EXPECT_TRUE(absl::IsNotFound(ReadWholeFile("/no/such/file").status()));
  EXPECT_THAT(std::string(ReadWholeFile(test::ScratchFolder()).status().message()), HasSubstr("is a folder"));
}

// /dev/zero never ends, as a pipe may not.
TEST(WholeFile, EndsReadingAtTheLimit) {
  const absl::Status status = ReadWholeFile("/dev/zero", 5 << 20).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/zero has more than 5242880 bytes"));
}

TEST(PromptFile, RefusesAKeyThatIsThereTwice) {
  for (const char* line : {R"({"id": "a", "text": "x", "text": "y"})",
                           R"({"id": "a", "messages": [{"role": "user", "content": "x", "content": "y"}]})",
                           R"({"id": "a", "id": "a"})"}) {
    const auto prompts = ParsePrompts(line, "f");
    ASSERT_FALSE(prompts.ok()) << line;
    EXPECT_THAT(std::string(prompts.status().message()), HasSubstr("\" twice, expected each once")) << line;
  }
  EXPECT_TRUE(ParsePrompts(R"({"id": "a", "messages": [{"role": "user", "content": "x"}, )"
                           R"({"role": "assistant", "content": "y"}]})",
                           "f")
                  .ok())
      << "each message has its own keys";
}

}  // namespace
}  // namespace uaqf::client
