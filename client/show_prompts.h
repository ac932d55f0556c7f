// A set of prompts before it is uploaded, as text for people and as JSON for programs. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "client/datasets/import.h"
#include "client/table.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

// "gsm8k     200 of 1319 items of test.jsonl (sha256 3730d312f6e3…), drawn with seed 7", without a line end.
std::string SourceLine(const v1::PromptSource& source);

// Category, group and number of prompts, in the order of the set.
Table CategoriesTable(const std::vector<v1::Prompt>& prompts);

// The first `count` prompts of the set and one of each further category, a paragraph each: id, beginning, what makes an
// output right.
std::string PreviewText(const std::vector<v1::Prompt>& prompts, std::size_t count);

// What makes an output right, in a line: "18", "A (bank) of 5 choices", "Sunset Boulevard, or 4 aliases", …; "" when
// nothing does.
std::string AnswerLine(const v1::Prompt& prompt);

// The set as the coordinator would name and count it.
v1::PromptSet DescribeSet(const std::string& display_name, v1::PromptSetKind kind, const ImportedSet& set);

// {"prompt_set": PromptSet, "preview": [the first `count` Prompts]}
std::string DryRunJson(const v1::PromptSet& described, const std::vector<v1::Prompt>& prompts, std::size_t count);

}  // namespace uaqf::client
