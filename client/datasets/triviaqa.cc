// TriviaQA, in the forms that are published:
//   the authors':  {"Data": [{"QuestionId", "Question", "Answer": {"Value", "Aliases": [..], "HumanAnswers": [..]}}]}
//   the hub's:     {"question_id", "question", "answer": {"value", "aliases": [..]}}
//   flat samples:  {"qid" or "id", "question", "gold_answer", "aliases": [..]}, {"id", "question", "answers": [..]}
// The authors' normalized aliases are left out: a scorer makes them from the aliases.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/datasets/readers.h"

namespace uaqf::client {
namespace {

constexpr char kExpected[] =
    "expected an \"Answer\" with \"Value\" and \"Aliases\", a \"gold_answer\" with \"aliases\", or \"answers\"";

void AddAnswer(const std::string& answer, v1::ShortAnswer* out) {
  if (Trimmed(answer).empty()) return;
  if (std::find(out->answers().begin(), out->answers().end(), answer) == out->answers().end()) out->add_answers(answer);
}

// The string or the strings under `key`, where there are any.
Problem AddAnswers(const Json& holder, const char* key, v1::ShortAnswer* out) {
  const auto found = holder.find(key);
  if (found == holder.end() || found->is_null()) return "";
  if (found->is_string()) {
    AddAnswer(found->get<std::string>(), out);
    return "";
  }
  if (!found->is_array()) {
    return absl::StrCat("got \"", key, "\" as ", JsonKind(*found), ", expected a string or a list of strings");
  }
  for (const Json& answer : *found) {
    if (!answer.is_string()) return absl::StrCat("got ", JsonKind(answer), " in \"", key, "\", expected strings");
    AddAnswer(answer.get<std::string>(), out);
  }
  return "";
}

Problem ReadAnswers(const Json& row, v1::ShortAnswer* out) {
  for (const char* key : {"Answer", "answer"}) {
    const auto nested = row.find(key);
    if (nested == row.end()) continue;
    if (!nested->is_object()) return absl::StrCat("got \"", key, "\" as ", JsonKind(*nested), ", ", kExpected);
    for (const char* inner : {"Value", "value", "Aliases", "aliases", "HumanAnswers", "human_answers"}) {
      if (Problem problem = AddAnswers(*nested, inner, out); !problem.empty()) return problem;
    }
  }
  for (const char* key : {"gold_answer", "aliases", "answers"}) {
    if (Problem problem = AddAnswers(row, key, out); !problem.empty()) return problem;
  }
  if (!out->answers().empty()) return "";
  return absl::StrCat("got no answer, ", kExpected, ": the published test split has none, take the dev split");
}

}  // namespace

Problem ReadTriviaQa(const Json& row, v1::Prompt* prompt) {
  v1::Task& task = *prompt->mutable_task();
  v1::ShortAnswer& answer = *task.mutable_short_answer();
  std::string question;
  for (Problem problem :
       {NeedText(row, row.contains("Question") ? "Question" : "question", &question), ReadAnswers(row, &answer)}) {
    if (!problem.empty()) return problem;
  }
  std::string own;
  // The flat sample's "question_id" is a row number beside the official "id".
  for (const char* key : {"QuestionId", "id", "qid", "question_id"}) {
    if (own.empty()) own = OwnId(row, key);
  }
  prompt->set_id(StableId("triviaqa", own, {question}));
  prompt->set_text(absl::StrCat("Question: ", question, "?\nAnswer:"));
  prompt->set_reference(answer.answers(0));
  for (const char* stop : {"\n", ".", ","}) task.add_stop(stop);
  // An answer that goes on longer equals none of the aliases.
  task.set_max_output_tokens(64);
  return "";
}

std::string TriviaQaTarget(const v1::Prompt& prompt) { return absl::StrCat(" ", prompt.reference()); }

}  // namespace uaqf::client
