// CommonsenseQA, in the two forms that are published:
//   the hub's:    {"id", "question", "question_concept", "choices": {"label": [..], "text": [..]}, "answerKey"}
//   the authors': {"id", "question": {"stem", "question_concept", "choices": [{"label", "text"}]}, "answerKey"}
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/datasets/readers.h"

namespace uaqf::client {
namespace {

constexpr char kLists[] = "expected \"choices\" with \"label\" and \"text\", two lists of strings of the same length";

Problem ReadColumns(const Json& choices, v1::ChoiceAnswer* answer) {
  const auto labels = choices.find("label");
  const auto texts = choices.find("text");
  if (labels == choices.end() || texts == choices.end() || !labels->is_array() || !texts->is_array()) {
    return absl::StrCat("got choices without them, ", kLists);
  }
  if (labels->size() != texts->size()) {
    return absl::StrCat("got ", labels->size(), " labels and ", texts->size(), " texts, ", kLists);
  }
  for (std::size_t i = 0; i < labels->size(); ++i) {
    if (!(*labels)[i].is_string() || !(*texts)[i].is_string()) return absl::StrCat("got another type, ", kLists);
    v1::Choice& choice = *answer->add_choices();
    choice.set_label((*labels)[i].get<std::string>());
    choice.set_text((*texts)[i].get<std::string>());
  }
  return "";
}

Problem ReadObjects(const Json& choices, v1::ChoiceAnswer* answer) {
  for (const Json& object : choices) {
    if (!object.is_object())
      return absl::StrCat("got a choice as ", JsonKind(object), ", expected {\"label\", \"text\"}");
    v1::Choice& choice = *answer->add_choices();
    for (Problem problem :
         {NeedText(object, "label", choice.mutable_label()), NeedText(object, "text", choice.mutable_text())}) {
      if (!problem.empty()) return problem;
    }
  }
  return "";
}

Problem ReadChoices(const Json& holder, v1::ChoiceAnswer* answer) {
  const auto choices = holder.find("choices");
  if (choices == holder.end()) return absl::StrCat("got no \"choices\", ", kLists);
  Problem problem = absl::StrCat("got \"choices\" as ", JsonKind(*choices), ", ", kLists);
  if (choices->is_object()) problem = ReadColumns(*choices, answer);
  if (choices->is_array()) problem = ReadObjects(*choices, answer);
  if (!problem.empty()) return problem;
  if (answer->choices_size() < 2) {
    return absl::StrCat("got ", answer->choices_size(), " choices, expected two or more");
  }
  std::set<std::string> labels;
  for (const v1::Choice& choice : answer->choices()) {
    if (Trimmed(choice.text()).empty() || Trimmed(choice.label()).empty()) {
      return "got a choice with an empty label or text, expected both";
    }
    if (!labels.insert(choice.label()).second) {
      return absl::StrCat("got the label \"", choice.label(), "\" twice, expected each once");
    }
  }
  if (answer->label().empty()) {
    return "got no answer in \"answerKey\", expected the label of the right choice: the published test split has none, "
           "take validation or train";
  }
  if (labels.count(answer->label()) == 0) {
    return absl::StrCat("got the answer \"", answer->label(), "\", expected one of ", absl::StrJoin(labels, ", "));
  }
  return "";
}

}  // namespace

Problem ReadCommonsenseQa(const Json& row, v1::Prompt* prompt) {
  v1::Task& task = *prompt->mutable_task();
  v1::ChoiceAnswer& answer = *task.mutable_choice();
  const auto nested = row.find("question");
  const bool authors = nested != row.end() && nested->is_object();
  std::string question;
  for (Problem problem :
       {authors ? NeedText(*nested, "stem", &question) : NeedText(row, "question", &question),
        ReadString(row, "answerKey", answer.mutable_label()), ReadChoices(authors ? *nested : row, &answer)}) {
    if (!problem.empty()) return problem;
  }
  std::string text = absl::StrCat("Question: ", Trimmed(question), "\n");
  std::string key = question;
  for (const v1::Choice& choice : answer.choices()) {
    absl::StrAppend(&text, choice.label(), ". ", choice.text(), "\n");
    absl::StrAppend(&key, "\n", choice.text());
    if (choice.label() == answer.label()) prompt->set_reference(choice.text());
  }
  prompt->set_id(StableId("commonsense_qa", OwnId(row, "id"), {key, answer.label()}));
  prompt->set_text(absl::StrCat(text, "Answer:"));
  return "";
}

std::string CommonsenseQaTarget(const v1::Prompt& prompt) { return absl::StrCat(" ", prompt.task().choice().label()); }

}  // namespace uaqf::client
