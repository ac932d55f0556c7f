// GSM8K: {"question", "answer"}; the answer reasons, and ends with a line "#### NUMBER".
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/datasets/readers.h"

namespace uaqf::client {
namespace {

// [-]digits with commas, perhaps a fraction.
bool IsNumber(absl::string_view text) {
  absl::ConsumePrefix(&text, "-");
  const std::size_t whole = std::min(text.find_first_not_of("0123456789,"), text.size());
  if (whole == 0 || text[0] == ',') return false;
  text.remove_prefix(whole);
  if (text.empty()) return true;
  return absl::ConsumePrefix(&text, ".") && !text.empty() &&
         text.find_first_not_of("0123456789") == absl::string_view::npos;
}

}  // namespace

Problem ReadGsm8k(const Json& row, v1::Prompt* prompt) {
  std::string question;
  std::string answer;
  for (Problem problem : {NeedText(row, "question", &question), NeedText(row, "answer", &answer)}) {
    if (!problem.empty()) return problem;
  }
  const std::size_t mark = answer.rfind("####");
  if (mark == std::string::npos) return "got an answer without \"####\", expected one that ends with \"#### NUMBER\"";
  const std::string value = Trimmed(answer.substr(mark + 4));
  if (!IsNumber(value)) {
    return absl::StrCat("got \"", value, "\" behind \"####\", expected a number such as 18, 2,125 or -10");
  }
  prompt->set_id(StableId("gsm8k", "", {question, answer}));
  prompt->set_text(absl::StrCat("Question: ", question, "\nAnswer:"));
  prompt->set_reference(answer);
  v1::Task& task = *prompt->mutable_task();
  task.mutable_numeric()->set_value(value);
  for (const char* stop : {"Question:", "</s>", "<|im_end|>"}) task.add_stop(stop);
  task.set_max_output_tokens(256);
  return "";
}

std::string Gsm8kTarget(const v1::Prompt& prompt) { return absl::StrCat(" ", prompt.reference()); }

}  // namespace uaqf::client
