// Alpaca and the files it grew from:
//   alpaca_data.json:  [{"instruction", "input", "output"}]
//   self-instruct:     {"id", "instruction", "instances": [{"input", "output"}]}; the first instance is taken
// No output is the right one, so a row may come without.
#include "absl/strings/str_cat.h"
#include "client/datasets/readers.h"

namespace uaqf::client {
namespace {

// The template that Alpaca models were tuned with.
std::string Render(const std::string& instruction, const std::string& input) {
  if (input.empty()) {
    return absl::StrCat(
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\n",
        instruction, "\n\n### Response:");
  }
  return absl::StrCat(
      "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
      "response that appropriately completes the request.\n\n### Instruction:\n",
      instruction, "\n\n### Input:\n", input, "\n\n### Response:");
}

// Where a row keeps its input and output; null: `problem` says why nowhere.
const Json* InstanceOf(const Json& row, Problem* problem) {
  const auto instances = row.find("instances");
  if (instances == row.end()) return &row;
  if (instances->is_array() && !instances->empty() && instances->front().is_object()) return &instances->front();
  *problem = "got \"instances\" without one, expected a list of {\"input\", \"output\"}";
  return nullptr;
}

}  // namespace

Problem ReadAlpaca(const Json& row, v1::Prompt* prompt) {
  Problem wrong;
  const Json* instance = InstanceOf(row, &wrong);
  if (instance == nullptr) return wrong;
  v1::OpenAnswer& open = *prompt->mutable_task()->mutable_open();
  for (Problem problem :
       {NeedText(row, "instruction", open.mutable_instruction()), ReadString(*instance, "input", open.mutable_input()),
        ReadString(*instance, "output", prompt->mutable_reference())}) {
    if (!problem.empty()) return problem;
  }
  prompt->set_id(StableId("alpaca", OwnId(row, "id"), {open.instruction(), open.input(), prompt->reference()}));
  prompt->set_text(Render(open.instruction(), open.input()));
  prompt->mutable_task()->set_max_output_tokens(512);
  return "";
}

}  // namespace uaqf::client
