// Rows of each format in small, and what is told of wrong ones.
#include "client/datasets/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/datasets/import.h"

namespace uaqf::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<v1::Prompt> Read(const char* dataset, const std::string& bytes) {
  const auto prompts = ReadDataset(*FindDataset(dataset), bytes, "f");
  EXPECT_TRUE(prompts.ok()) << prompts.status();
  return prompts.ok() ? *prompts : std::vector<v1::Prompt>{};
}

TEST(Datasets, AreFoundByName) {
  EXPECT_EQ(Datasets().size(), 5u);
  EXPECT_STREQ(FindDataset("ifeval")->name, "ifeval");
  EXPECT_EQ(FindDataset("mmlu"), nullptr);
}

TEST(Gsm8k, KeepsTheNumberAsTheFileWritesIt) {
  const auto prompts = Read("gsm8k", R"({"question": "How many?", "answer": "Some.\n#### 2,125"})");
  ASSERT_EQ(prompts.size(), 1u);
  EXPECT_EQ(prompts[0].text(), "Question: How many?\nAnswer:");
  EXPECT_EQ(prompts[0].reference(), "Some.\n#### 2,125");
  EXPECT_EQ(prompts[0].task().numeric().value(), "2,125");
  EXPECT_EQ(prompts[0].category(), "math_reasoning");
  EXPECT_THAT(prompts[0].task().stop(), ElementsAre("Question:", "</s>", "<|im_end|>"));
}

TEST(Gsm8k, NamesAnItemByItsContentAndNotItsPlace) {
  const std::string a = R"({"question": "A?", "answer": "#### 1"})", b = R"({"question": "B?", "answer": "#### 2"})";
  const auto one = Read("gsm8k", a + "\n" + b);
  const auto other = Read("gsm8k", b + "\n\n" + a + "\n" + a);
  ASSERT_EQ(other.size(), 2u) << "a row repeated word for word is one item";
  EXPECT_EQ(one[0].id(), other[1].id());
  EXPECT_EQ(one[1].id(), other[0].id());
}

TEST(CommonsenseQa, ReadsTheAuthorsFormAndTheHubsAlike) {
  const auto hub = Read("commonsense_qa", R"({"id": "q1", "question": "Where? ", "question_concept": "x", )"
                                          R"("choices": {"label": ["A", "B"], "text": ["here", "there"]}, )"
                                          R"("answerKey": "B"})");
  const auto authors = Read("commonsense_qa", R"({"id": "q1", "question": {"stem": "Where?", "question_concept": "x", )"
                                              R"("choices": [{"label": "A", "text": "here"}, {"label": "B", )"
                                              R"("text": "there"}]}, "answerKey": "B"})");
  ASSERT_EQ(hub.size(), 1u);
  ASSERT_EQ(authors.size(), 1u);
  EXPECT_EQ(hub[0].SerializeAsString(), authors[0].SerializeAsString());
  EXPECT_EQ(hub[0].text(), "Question: Where?\nA. here\nB. there\nAnswer:");
  EXPECT_EQ(hub[0].id(), "commonsense_qa-q1");
  EXPECT_EQ(hub[0].reference(), "there");
  EXPECT_EQ(hub[0].task().max_output_tokens(), 0);
}

TEST(TriviaQa, TakesTheValueThenEachAliasOnce) {
  const auto prompts = Read("triviaqa", R"({
    "Version": 1.0,
    "Data": [{"QuestionId": "tc_1", "Question": "Who", "Answer": {"Value": "Ann", "Aliases": ["Anna", "Ann"],
              "NormalizedAliases": ["anna"]}, "SearchResults": [{"Rank": 0}]},
             {"QuestionId": "tc_2", "Question": "Two", "Answer": {"Value": "2", "Aliases": []}}],
    "Other": [{"not": "a row"}]
  })");
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].text(), "Question: Who?\nAnswer:");
  EXPECT_THAT(prompts[0].task().short_answer().answers(), ElementsAre("Ann", "Anna"));
  EXPECT_EQ(prompts[1].id(), "triviaqa-tc_2");
}

TEST(TriviaQa, ReadsTheHubsForm) {
  const auto prompts =
      Read("triviaqa", R"({"question": "Who?", "question_id": "tc_9", "answer": {"value": "Bo", "aliases": ["B"]}})");
  ASSERT_EQ(prompts.size(), 1u);
  EXPECT_EQ(prompts[0].id(), "triviaqa-tc_9");
  EXPECT_THAT(prompts[0].task().short_answer().answers(), ElementsAre("Bo", "B"));
}

TEST(Alpaca, RendersWithAnInputAndWithout) {
  const auto prompts = Read(
      "alpaca", R"([{"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "Sing.", "input": ""}])");
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_THAT(prompts[0].text(), HasSubstr("### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:"));
  EXPECT_THAT(prompts[1].text(), HasSubstr("### Instruction:\nSing.\n\n### Response:"));
  EXPECT_EQ(prompts[0].reference(), "3");
  EXPECT_EQ(prompts[1].task().open().instruction(), "Sing.") << "no output is needed: none is the right one";
}

TEST(Ifeval, PassesOverNullsAndTakesWholeFloats) {
  const auto prompts =
      Read("ifeval", R"({"key": 7, "prompt": "Write.", "instruction_id_list": ["detectable_format:multiple_sections"],)"
                     R"("kwargs": [{"num_sections": 3.0, "section_spliter": "Part", "keywords": null}]})");
  ASSERT_EQ(prompts.size(), 1u);
  EXPECT_EQ(prompts[0].id(), "ifeval-7");
  const v1::Instruction& instruction = prompts[0].task().instructions().instructions(0);
  EXPECT_EQ(instruction.num_sections(), 3);
  EXPECT_EQ(instruction.section_splitter(), "Part");
  EXPECT_TRUE(instruction.keywords().empty());
}

struct BadRow {
  const char* name;
  const char* dataset;
  const char* bytes;
  const char* told;
};

class DatasetRefuses : public ::testing::TestWithParam<BadRow> {};

TEST_P(DatasetRefuses, WithPlaceGotAndExpected) {
  const auto prompts = ReadDataset(*FindDataset(GetParam().dataset), GetParam().bytes, "f");
  ASSERT_FALSE(prompts.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(prompts.status()));
  EXPECT_THAT(std::string(prompts.status().message()), HasSubstr(GetParam().told));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DatasetRefuses,
    ::testing::Values(
        BadRow{"Empty", "gsm8k", "", "f:1: got no rows, expected one JSON object on each line"},
        BadRow{"EmptyArray", "alpaca", "[]", "f:1: got no rows, expected an array of objects"},
        BadRow{"NoJson", "gsm8k", "\nhello",
               "f:2: got no JSON (at column 1), expected an object such as {\"question\""},
        BadRow{"TornArray", "alpaca", "[\n{\"instruction\": \"A\"},\n{\"instr", "f:3: got no JSON, expected an array"},
        BadRow{"NumberInArray", "alpaca", "[\n{\"instruction\": \"A\"},\n7]",
               "f:3: got a JSON number, expected an object"},
        BadRow{"ArrayInArray", "alpaca", "[{\"instruction\": \"A\"},\n[{\"instruction\": \"B\"}]]",
               "f:2: got a JSON array, expected an object"},
        BadRow{"ObjectForTheRows", "triviaqa", "{\"Data\": {\"a\": {\"Question\": \"Q\"}}}",
               "f:1: got no rows, expected an array of objects, or an object with one under \"Data\""},
        BadRow{"InvalidUtf8", "alpaca", "[\n{\"instruction\": \"\xff\"}]", "f:2: got invalid UTF-8 (byte 0xff)"},
        BadRow{"KeyTwice", "alpaca", "[{\"instruction\": \"A\",\n\"instruction\": \"B\"}]",
               "f:1: got the key \"instruction\" twice"},
        BadRow{"AnotherDataset", "gsm8k", "{\"prompt\": \"x\"}", "is this a file of gsm8k? one has rows like"},
        BadRow{"NoAnswer", "gsm8k", "{\"question\": \"A?\", \"answer\": \"#### 1\"}\n{\"question\": \"B?\"}",
               "f:2: got no \"answer\", expected text"},
        BadRow{"NoMark", "gsm8k", "{\"question\": \"A?\", \"answer\": \"one\"}", "f:1: got an answer without \"####\""},
        BadRow{"NoNumber", "gsm8k", "{\"question\": \"A?\", \"answer\": \"#### many\"}",
               "f:1: got \"many\" behind \"####\", expected a number"},
        BadRow{"NoRightChoice", "commonsense_qa",
               "{\"question\": \"A?\", \"choices\": {\"label\": [\"A\", \"B\"], \"text\": [\"x\", \"y\"]}}",
               "f:1: got no answer in \"answerKey\""},
        BadRow{
            "StrangeChoice", "commonsense_qa",
            "{\"question\": \"A?\", \"choices\": {\"label\": [\"A\", \"B\"], \"text\": [\"x\", \"y\"]}, \"answerKey\": "
            "\"C\"}",
            "f:1: got the answer \"C\", expected one of A, B"},
        BadRow{
            "UnevenChoices", "commonsense_qa",
            "{\"question\": \"A?\", \"choices\": {\"label\": [\"A\", \"B\"], \"text\": [\"x\"]}, \"answerKey\": \"A\"}",
            "f:1: got 2 labels and 1 texts"},
        BadRow{"NoAliases", "triviaqa", "{\"question\": \"A?\", \"answers\": [\" \"]}", "f:1: got no answer, expected"},
        BadRow{"ItemWithoutAnswerInDocument", "triviaqa",
               "{\"Data\": [\n{\"QuestionId\": \"a\", \"Question\": \"Q\", \"Answer\": {\"Value\": \"v\"}},\n"
               "{\"QuestionId\": \"b\", \"Question\": \"R\"}]}",
               "f:3: got no answer"},
        BadRow{"SameIdForTwo", "triviaqa",
               "{\"id\": \"a\", \"question\": \"Q\", \"answers\": [\"1\"]}\n"
               "{\"id\": \"a\", \"question\": \"R\", \"answers\": [\"2\"]}",
               "f:2: got the id of the item on line 1 again (triviaqa-a)"},
        BadRow{"NoInstruction", "alpaca", "{\"instruction\": \" \"}", "f:1: got an empty \"instruction\""},
        BadRow{"NoInstance", "alpaca", "{\"instruction\": \"A\", \"instances\": []}",
               "f:1: got \"instances\" without one"},
        BadRow{"UnknownKind", "ifeval", "{\"prompt\": \"A\", \"instruction_id_list\": [\"x:y\"], \"kwargs\": [{}]}",
               "f:1: got the instruction \"x:y\", expected one of IFEval's 25 kinds"},
        BadRow{"MissingKwarg", "ifeval",
               "{\"prompt\": \"A\", \"instruction_id_list\": [\"startend:end_checker\"], \"kwargs\": [{}]}",
               "f:1: got no kwarg \"end_phrase\" for startend:end_checker"},
        BadRow{"StrayKwarg", "ifeval",
               "{\"prompt\": \"A\", \"instruction_id_list\": [\"punctuation:no_comma\"], \"kwargs\": [{\"frequency\": "
               "2}]}",
               "f:1: got the kwarg \"frequency\" for punctuation:no_comma, expected none"},
        BadRow{"StrangeRelation", "ifeval",
               "{\"prompt\": \"A\", \"instruction_id_list\": [\"length_constraints:number_words\"], \"kwargs\": "
               "[{\"relation\": \"about\", \"num_words\": 3}]}",
               "f:1: got \"relation\" as \"about\", expected \"at least\" or \"less than\""},
        BadRow{"HalfAWord", "ifeval",
               "{\"prompt\": \"A\", \"instruction_id_list\": [\"length_constraints:number_words\"], \"kwargs\": "
               "[{\"relation\": \"at least\", \"num_words\": 3.5}]}",
               "f:1: got \"num_words\" as 3.5, expected a whole number"},
        BadRow{"FewerKwargs", "ifeval",
               "{\"prompt\": \"A\", \"instruction_id_list\": [\"punctuation:no_comma\"], \"kwargs\": []}",
               "f:1: got \"kwargs\" for 0 of 1 instructions"}),
    [](const auto& info) { return info.param.name; });

TEST(Shots, StandInFrontButNeverHoldThePromptItself) {
  const std::string bytes =
      "{\"question\": \"A?\", \"answer\": \"#### 1\"}\n{\"question\": \"B?\", \"answer\": \"#### 2\"}\n"
      "{\"question\": \"C?\", \"answer\": \"#### 3\"}";
  ImportOptions options;
  options.shots = 2;
  options.shots_file = {"f", bytes};
  const auto set = ImportDataset(*FindDataset("gsm8k"), {"f", bytes}, options);
  ASSERT_TRUE(set.ok()) << set.status();
  for (const v1::Prompt& prompt : set->prompts) {
    const std::string question = prompt.reference() == "#### 1" ? "A?" : prompt.reference() == "#### 2" ? "B?" : "C?";
    EXPECT_EQ(prompt.text().find(question), prompt.text().rfind(question)) << prompt.text();
    EXPECT_THAT(prompt.text(), HasSubstr("\nAnswer: #### "));
  }
  options.shots = 3;
  const auto few = ImportDataset(*FindDataset("gsm8k"), {"f", bytes}, options);
  EXPECT_THAT(std::string(few.status().message()),
              HasSubstr("f: got 3 items to draw 3 shots from, expected at least 4"));
}

}  // namespace
}  // namespace uaqf::client
