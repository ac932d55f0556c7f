#include "client/show_prompts.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/datasets/categories.h"
#include "client/figures.h"
#include "client/json.h"
#include "client/utf8.h"
#include "proto/wire/digest.h"
#include "proto/wire/names.h"

namespace uaqf::client {
namespace {

constexpr int kPreviewColumns = 110;

std::string Beginning(const v1::Prompt& prompt) {
  const std::string& text = prompt.messages().empty() ? prompt.text() : prompt.messages(0).content();
  return FitToWidth(Printable(absl::StrReplaceAll(text, {{"\n", " "}})), kPreviewColumns);
}

std::string Paragraph(const v1::Prompt& prompt) {
  std::string text = absl::StrCat(prompt.id(), "\n  ", Beginning(prompt), "\n");
  if (prompt.messages_size() > 1) absl::StrAppend(&text, "  … a conversation of ", prompt.messages_size(), " turns\n");
  const std::string answer = AnswerLine(prompt);
  return answer.empty() ? text : absl::StrCat(text, "  right: ", FitToWidth(Printable(answer), kPreviewColumns), "\n");
}

std::string ChoiceLine(const v1::ChoiceAnswer& answer) {
  for (const v1::Choice& choice : answer.choices()) {
    if (choice.label() == answer.label()) {
      return absl::StrCat(choice.label(), " (", choice.text(), ") of ", answer.choices_size(), " choices");
    }
  }
  return answer.label();
}

std::string AliasesLine(const v1::ShortAnswer& answer) {
  if (answer.answers().empty()) return "";
  if (answer.answers_size() == 1) return answer.answers(0);
  return absl::StrCat(answer.answers(0), ", or one of ", answer.answers_size() - 1, " aliases");
}

std::string InstructionsLine(const v1::InstructionAnswer& answer) {
  std::vector<std::string> ids;
  for (const v1::Instruction& instruction : answer.instructions()) ids.push_back(instruction.id());
  return absl::StrJoin(ids, ", ");
}

}  // namespace

std::string SourceLine(const v1::PromptSource& source) {
  std::string line = absl::StrCat("source    ", source.dataset(), ": ");
  if (source.taken_items() < source.file_items()) absl::StrAppend(&line, source.taken_items(), " of ");
  absl::StrAppend(&line, Count(source.file_items(), "item"));
  if (!source.file().empty()) absl::StrAppend(&line, " of ", source.file());
  absl::StrAppend(&line, " (sha256 ", source.file_sha256().substr(0, 12), "…)");
  if (source.shots() > 0) {
    absl::StrAppend(&line, ", ", Count(source.shots(), "shot"), " (sha256 ", source.shots_sha256().substr(0, 12), "…)");
  }
  if (source.has_seed()) absl::StrAppend(&line, ", drawn with seed ", source.seed());
  return Printable(line);
}

Table CategoriesTable(const std::vector<v1::Prompt>& prompts) {
  std::vector<std::string> order;
  std::map<std::string, std::pair<v1::PromptGroup, int>> counts;
  for (const v1::Prompt& prompt : prompts) {
    const auto [entry, fresh] = counts.emplace(prompt.category(), std::make_pair(prompt.group(), 0));
    if (fresh) order.push_back(prompt.category());
    ++entry->second.second;
  }
  Table table({{"category"}, {"group"}, {"items", Align::kRight}});
  for (const std::string& category : order) {
    const auto& [group, count] = counts[category];
    table.AddRow({Printable(category), GroupName(group), absl::StrCat(count)});
  }
  return table;
}

std::string PreviewText(const std::vector<v1::Prompt>& prompts, std::size_t count) {
  std::string text;
  if (count == 0) return text;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const bool first_of_category = seen.insert(prompts[i].category()).second;
    if (i < count || first_of_category) absl::StrAppend(&text, Paragraph(prompts[i]));
  }
  return text;
}

std::string AnswerLine(const v1::Prompt& prompt) {
  const v1::Task& task = prompt.task();
  switch (task.answer_case()) {
    case v1::Task::kNumeric:
      return task.numeric().value();
    case v1::Task::kChoice:
      return ChoiceLine(task.choice());
    case v1::Task::kShortAnswer:
      return AliasesLine(task.short_answer());
    case v1::Task::kInstructions:
      return InstructionsLine(task.instructions());
    case v1::Task::kOpen:
      return "checked for its form";
    default:
      return "";
  }
}

v1::PromptSet DescribeSet(const std::string& display_name, v1::PromptSetKind kind, const ImportedSet& set) {
  v1::PromptSet described;
  wire::PromptSetDigest digest(kind);
  std::int64_t bytes = 0;
  std::map<std::string, int> categories;
  for (const v1::Prompt& prompt : set.prompts) {
    bytes += static_cast<std::int64_t>(digest.Add(prompt).size());
    if (!prompt.category().empty()) ++categories[prompt.category()];
  }
  described.set_name(wire::PromptSetName(digest.Finish()));
  described.set_display_name(display_name);
  described.set_kind(kind);
  described.set_prompt_count(static_cast<std::int32_t>(set.prompts.size()));
  described.set_size_bytes(bytes);
  for (const auto& [category, count] : categories) {
    v1::CategoryCount& entry = *described.add_categories();
    entry.set_category(category);
    entry.set_prompt_count(count);
  }
  for (const v1::PromptSource& source : set.sources) *described.add_sources() = source;
  return described;
}

std::string DryRunJson(const v1::PromptSet& described, const std::vector<v1::Prompt>& prompts, std::size_t count) {
  std::vector<std::string> preview;
  for (std::size_t i = 0; i < std::min(count, prompts.size()); ++i) {
    preview.push_back(std::string(absl::StripTrailingAsciiWhitespace(ToJson(prompts[i], true))));
  }
  const std::string set = ToJson(described);
  return absl::StrCat("{\"prompt_set\": ", std::string(absl::StripTrailingAsciiWhitespace(set)), ", \"preview\": [",
                      absl::StrJoin(preview, ", "), "]}\n");
}

}  // namespace uaqf::client
