// IFEval: {"key", "prompt", "instruction_id_list": [..], "kwargs": [{..}, ..]}, one kwargs for each instruction. The
// hub's copy gives every kwarg to every instruction, null where it does not apply.
#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/datasets/readers.h"

namespace uaqf::client {
namespace {

// Every kind of instruction with the kwargs it is checked by.
const std::map<std::string, std::vector<std::string>>& Kinds() {
  static const auto* const kinds = new std::map<std::string, std::vector<std::string>>{
      {"change_case:capital_word_frequency", {"capital_relation", "capital_frequency"}},
      {"change_case:english_capital", {}},
      {"change_case:english_lowercase", {}},
      {"combination:repeat_prompt", {"prompt_to_repeat"}},
      {"combination:two_responses", {}},
      {"detectable_content:number_placeholders", {"num_placeholders"}},
      {"detectable_content:postscript", {"postscript_marker"}},
      {"detectable_format:constrained_response", {}},
      {"detectable_format:json_format", {}},
      {"detectable_format:multiple_sections", {"section_spliter", "num_sections"}},
      {"detectable_format:number_bullet_lists", {"num_bullets"}},
      {"detectable_format:number_highlighted_sections", {"num_highlights"}},
      {"detectable_format:title", {}},
      {"keywords:existence", {"keywords"}},
      {"keywords:forbidden_words", {"forbidden_words"}},
      {"keywords:frequency", {"relation", "keyword", "frequency"}},
      {"keywords:letter_frequency", {"let_relation", "letter", "let_frequency"}},
      {"language:response_language", {"language"}},
      {"length_constraints:nth_paragraph_first_word", {"first_word", "num_paragraphs", "nth_paragraph"}},
      {"length_constraints:number_paragraphs", {"num_paragraphs"}},
      {"length_constraints:number_sentences", {"relation", "num_sentences"}},
      {"length_constraints:number_words", {"relation", "num_words"}},
      {"punctuation:no_comma", {}},
      {"startend:end_checker", {"end_phrase"}},
      {"startend:quotation", {}}};
  return *kinds;
}

Problem Wrong(const std::string& key, const Json& value, const char* expected) {
  return absl::StrCat("got \"", key, "\" as ", value.dump(-1, ' ', false, Json::error_handler_t::replace),
                      ", expected ", expected);
}

bool IsRelation(const std::string& key) {
  return key == "relation" || key == "let_relation" || key == "capital_relation";
}

Problem SetText(const std::string& key, const Json& value, const google::protobuf::FieldDescriptor* field,
                v1::Instruction* out) {
  if (!value.is_string() || value.get<std::string>().empty()) return Wrong(key, value, "a string");
  const std::string text = value.get<std::string>();
  if (IsRelation(key) && text != "at least" && text != "less than") {
    return Wrong(key, value, "\"at least\" or \"less than\"");
  }
  out->GetReflection()->SetString(out, field, text);
  return "";
}

Problem SetCount(const std::string& key, const Json& value, const google::protobuf::FieldDescriptor* field,
                 v1::Instruction* out) {
  // Tools that pass rows through a table write 3 as 3.0.
  const double count = value.is_number() ? value.get<double>() : -1;
  if (count < 0 || count > std::numeric_limits<std::int32_t>::max() || count != static_cast<std::int32_t>(count)) {
    return Wrong(key, value, "a whole number, 0 or more");
  }
  out->GetReflection()->SetInt32(out, field, static_cast<std::int32_t>(count));
  return "";
}

Problem SetWords(const std::string& key, const Json& value, const google::protobuf::FieldDescriptor* field,
                 v1::Instruction* out) {
  if (!value.is_array() || value.empty()) return Wrong(key, value, "a list of strings");
  for (const Json& word : value) {
    if (!word.is_string()) return Wrong(key, value, "a list of strings");
    out->GetReflection()->AddString(out, field, word.get<std::string>());
  }
  return "";
}

// The message's fields have the names of the kwargs, but for one that IFEval misspells.
Problem SetArgument(const std::string& key, const Json& value, v1::Instruction* out) {
  const auto* field = out->GetDescriptor()->FindFieldByName(key == "section_spliter" ? "section_splitter" : key);
  if (field->is_repeated()) return SetWords(key, value, field, out);
  if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT32) return SetCount(key, value, field, out);
  return SetText(key, value, field, out);
}

Problem ReadInstruction(const std::string& id, const Json& kwargs, v1::Instruction* out) {
  out->set_id(id);
  const auto kind = Kinds().find(id);
  if (kind == Kinds().end()) return absl::StrCat("got the instruction \"", id, "\", expected one of IFEval's 25 kinds");
  if (!kwargs.is_object()) return absl::StrCat("got kwargs of ", id, " as ", JsonKind(kwargs), ", expected an object");
  const std::set<std::string> wanted(kind->second.begin(), kind->second.end());
  for (const auto& [key, value] : kwargs.items()) {
    if (value.is_null()) continue;
    if (wanted.count(key) == 0) {
      return absl::StrCat("got the kwarg \"", key, "\" for ", id, ", expected ",
                          wanted.empty() ? "none" : "only " + absl::StrJoin(wanted, ", "));
    }
    if (Problem problem = SetArgument(key, value, out); !problem.empty()) return problem;
  }
  for (const std::string& key : wanted) {
    const auto found = kwargs.find(key);
    if (found == kwargs.end() || found->is_null()) {
      return absl::StrCat("got no kwarg \"", key, "\" for ", id, ", expected it: it cannot be checked without");
    }
  }
  return "";
}

}  // namespace

Problem ReadIfeval(const Json& row, v1::Prompt* prompt) {
  if (Problem problem = NeedText(row, "prompt", prompt->mutable_text()); !problem.empty()) return problem;
  const auto ids = row.find("instruction_id_list");
  const auto kwargs = row.find("kwargs");
  if (ids == row.end() || !ids->is_array() || ids->empty()) {
    return "got no \"instruction_id_list\", expected a list of one instruction or more";
  }
  if (kwargs == row.end() || !kwargs->is_array() || kwargs->size() != ids->size()) {
    return absl::StrCat("got \"kwargs\" for ", kwargs != row.end() && kwargs->is_array() ? kwargs->size() : 0, " of ",
                        ids->size(), " instructions, expected an object for each");
  }
  v1::Task& task = *prompt->mutable_task();
  for (std::size_t i = 0; i < ids->size(); ++i) {
    if (!(*ids)[i].is_string()) return "got an instruction that is not a string, expected one of IFEval's 25 kinds";
    v1::Instruction* instruction = task.mutable_instructions()->add_instructions();
    Problem problem = ReadInstruction((*ids)[i].get<std::string>(), (*kwargs)[i], instruction);
    if (!problem.empty()) return problem;
  }
  prompt->set_id(StableId("ifeval", OwnId(row, "key"), {prompt->text()}));
  task.set_max_output_tokens(1280);
  return "";
}

}  // namespace uaqf::client
