#include "worker/link/convert_task.h"

#include <string>
#include <vector>

namespace uaqf::link {
namespace {

using measure::TaskKind;

void Put(const char* name, bool has, int32_t value, measure::TaskInstruction& out) {
  if (has) out.arguments[name] = int64_t{value};
}

void Put(const char* name, bool has, const std::string& value, measure::TaskInstruction& out) {
  if (has) out.arguments[name] = value;
}

template <typename Words>
void PutWords(const char* name, const Words& words, measure::TaskInstruction& out) {
  if (!words.empty()) out.arguments[name] = std::vector<std::string>(words.begin(), words.end());
}

measure::TaskInstruction ToInstruction(const v1::Instruction& from) {
  measure::TaskInstruction out;
  out.id = from.id();
  Put("relation", from.has_relation(), from.relation(), out);
  Put("num_words", from.has_num_words(), from.num_words(), out);
  Put("num_sentences", from.has_num_sentences(), from.num_sentences(), out);
  Put("num_paragraphs", from.has_num_paragraphs(), from.num_paragraphs(), out);
  Put("nth_paragraph", from.has_nth_paragraph(), from.nth_paragraph(), out);
  Put("first_word", from.has_first_word(), from.first_word(), out);
  Put("num_bullets", from.has_num_bullets(), from.num_bullets(), out);
  Put("num_highlights", from.has_num_highlights(), from.num_highlights(), out);
  Put("num_sections", from.has_num_sections(), from.num_sections(), out);
  Put("section_spliter", from.has_section_splitter(), from.section_splitter(), out);
  Put("num_placeholders", from.has_num_placeholders(), from.num_placeholders(), out);
  Put("postscript_marker", from.has_postscript_marker(), from.postscript_marker(), out);
  PutWords("keywords", from.keywords(), out);
  PutWords("forbidden_words", from.forbidden_words(), out);
  Put("keyword", from.has_keyword(), from.keyword(), out);
  Put("frequency", from.has_frequency(), from.frequency(), out);
  Put("letter", from.has_letter(), from.letter(), out);
  Put("let_relation", from.has_let_relation(), from.let_relation(), out);
  Put("let_frequency", from.has_let_frequency(), from.let_frequency(), out);
  Put("capital_relation", from.has_capital_relation(), from.capital_relation(), out);
  Put("capital_frequency", from.has_capital_frequency(), from.capital_frequency(), out);
  Put("language", from.has_language(), from.language(), out);
  Put("prompt_to_repeat", from.has_prompt_to_repeat(), from.prompt_to_repeat(), out);
  Put("end_phrase", from.has_end_phrase(), from.end_phrase(), out);
  return out;
}

}  // namespace

measure::Task ToTask(const v1::Task& from) {
  measure::Task task;
  task.stops.assign(from.stop().begin(), from.stop().end());
  task.max_output_tokens = from.max_output_tokens();
  switch (from.answer_case()) {
    case v1::Task::kNumeric:
      task.kind = TaskKind::kNumeric;
      task.answers = {from.numeric().value()};
      break;
    case v1::Task::kChoice:
      task.kind = TaskKind::kChoice;
      task.answers = {from.choice().label()};
      for (const v1::Choice& choice : from.choice().choices()) task.labels.push_back(choice.label());
      break;
    case v1::Task::kShortAnswer:
      task.kind = TaskKind::kShortAnswer;
      task.answers.assign(from.short_answer().answers().begin(), from.short_answer().answers().end());
      break;
    case v1::Task::kInstructions:
      task.kind = TaskKind::kInstructions;
      for (const v1::Instruction& instruction : from.instructions().instructions()) {
        task.instructions.push_back(ToInstruction(instruction));
      }
      break;
    case v1::Task::kOpen:
      task.kind = TaskKind::kOpen;
      task.asked = from.open().instruction();
      break;
    default:
      task.kind = TaskKind::kNumeric;
  }
  return task;
}

}  // namespace uaqf::link
