// IFEval's checks: against lm-eval's verdicts, and against the published items.
#include "worker/evaluate/tasks/ifeval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/support/test_data.h"
#include "worker/evaluate/tasks/sentences.h"

namespace uaqf::evaluate {
namespace {

using testing::HasSubstr;

InstructionArguments Arguments(const nlohmann::json& object) {
  InstructionArguments arguments;
  for (const auto& [name, value] : object.items()) {
    if (value.is_number_integer()) arguments[name] = value.get<int64_t>();
    if (value.is_string()) arguments[name] = value.get<std::string>();
    if (value.is_array()) arguments[name] = value.get<std::vector<std::string>>();
  }
  return arguments;
}

Instruction Make(const char* id, const InstructionArguments& arguments) {
  auto made = MakeInstruction(id, arguments);
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? *made : Instruction{};
}

// tests/oracle/ifeval_cases.py wrote the verdicts.
TEST(IfEval, AgreesWithLmEvalOnEveryResponseOfTheOracle) {
  const auto oracle = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/data/ifeval_oracle.json")));
  std::set<std::string> kinds;
  for (size_t i = 0; i < oracle["instructions"].size(); ++i) {
    const auto& row = oracle["instructions"][i];
    const std::string id = row["id"];
    kinds.insert(id);
    const Instruction instruction = Make(id.c_str(), Arguments(row["kwargs"]));
    for (size_t r = 0; r < oracle["responses"].size(); ++r) {
      const std::string response = oracle["responses"][r];
      if (oracle["strict"][i].get<std::string>()[r] == '?') continue;
      const InstructionVerdict verdict = CheckInstruction(instruction, response);
      EXPECT_EQ(verdict.strict, oracle["strict"][i].get<std::string>()[r] == '1') << row << "\n" << response;
      EXPECT_EQ(verdict.loose, oracle["loose"][i].get<std::string>()[r] == '1') << row << "\n" << response;
    }
  }
  EXPECT_EQ(kinds.size() + 1, InstructionIds().size()) << "all but the number of sentences";
}

TEST(IfEval, KnowsTheTwentyFiveKinds) { EXPECT_EQ(InstructionIds().size(), 25U); }

TEST(IfEval, ReadsEveryPublishedItem) {
  UAQF_NEED_DATA("ifeval/input_data.jsonl");
  std::istringstream lines(test::ReadFile(test::SharedData("ifeval/input_data.jsonl")));
  int prompts = 0;
  int instructions = 0;
  for (std::string line; std::getline(lines, line); ++prompts) {
    const auto row = nlohmann::json::parse(line);
    for (size_t i = 0; i < row["instruction_id_list"].size(); ++i, ++instructions) {
      auto made = MakeInstruction(row["instruction_id_list"][i].get<std::string>(), Arguments(row["kwargs"][i]));
      ASSERT_TRUE(made.ok()) << made.status();
      EXPECT_FALSE(CheckInstruction(*made, "  ").loose) << "an empty response follows nothing";
    }
  }
  EXPECT_EQ(prompts, 541);
  EXPECT_EQ(instructions, 834);
}

TEST(IfEval, SaysWhatIsWrongWithAnInstruction) {
  EXPECT_THAT(std::string(MakeInstruction("keywords:rhyme", {}).status().message()),
              HasSubstr("expected one of IFEval's 25 kinds"));
  EXPECT_THAT(std::string(MakeInstruction("length_constraints:number_words", {}).status().message()),
              HasSubstr("without \"relation\""));
  EXPECT_THAT(
      std::string(MakeInstruction("length_constraints:number_words", {{"relation", "about"}, {"num_words", int64_t{5}}})
                      .status()
                      .message()),
      HasSubstr("\"less than\" or \"at least\""));
  EXPECT_THAT(
      std::string(MakeInstruction("detectable_format:number_bullet_lists", {{"num_bullets", "3"}}).status().message()),
      HasSubstr("expected a whole number"));
  EXPECT_THAT(
      std::string(
          MakeInstruction("keywords:existence", {{"keywords", std::vector<std::string>{"a(b"}}}).status().message()),
      HasSubstr("at byte"));
}

TEST(IfEval, CountsSentences) {
  const std::map<std::string, size_t> cases = {
      {"", 0},
      {"One", 1},
      {"One. Two! Three?", 3},
      {"Dr. Hall met Mr. Kane at 5 p.m. yesterday. They left.", 2},
      {"J. R. R. Tolkien wrote it. So he did.", 2},
      {"Pi is 3.14 or so. \"Really?\" he asked.", 3},
      {"Well... maybe not. Yes!", 2},
      {"First line.\nSecond line.\n\nThird", 3},
      {"What?! No way.", 2},
      {"E.g. this one. Then etc. and so on.", 2},
  };
  for (const auto& [text, count] : cases) EXPECT_EQ(CountSentences(text), count) << text;
}

TEST(IfEval, ComparesTheNumberOfSentences) {
  const Instruction few =
      Make("length_constraints:number_sentences", {{"relation", "less than"}, {"num_sentences", int64_t{3}}});
  EXPECT_TRUE(CheckInstruction(few, "One. Two.").strict);
  EXPECT_FALSE(CheckInstruction(few, "One. Two. Three.").strict);
  // Without its last line the same text has fewer.
  EXPECT_TRUE(CheckInstruction(few, "One. Two.\nThree.").loose);
}

}  // namespace
}  // namespace uaqf::evaluate
