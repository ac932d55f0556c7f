// The 13 categories of the paper's prompt suite and the 5 groups they are summed up in (section 4.1 of the paper).
//
// The paper names nine synthetic categories and aggregates them under "Other", which would leave its own Dialogue group
// empty; here dialogue_fluency is the Dialogue group, the eight others are Other.
#pragma once

#include <array>
#include <string>

#include "absl/strings/string_view.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

struct PaperCategory {
  absl::string_view name;
  v1::PromptGroup group;
};

// In the order of the paper: first the four that data sets fill, then the nine synthetic ones.
inline constexpr std::size_t kDatasetCategories = 4;
inline constexpr std::array<PaperCategory, 13> kPaperCategories = {{
    {"commonsense_reasoning", v1::PROMPT_GROUP_KNOWLEDGE_COMMONSENSE},
    {"math_reasoning", v1::PROMPT_GROUP_MATH_ANALYTICAL},
    {"instruction_following", v1::PROMPT_GROUP_INSTRUCTION},
    {"knowledge_recall", v1::PROMPT_GROUP_KNOWLEDGE_COMMONSENSE},
    {"dialogue_fluency", v1::PROMPT_GROUP_DIALOGUE},
    {"code_symbolic", v1::PROMPT_GROUP_OTHER},
    {"ethical_sensitivity", v1::PROMPT_GROUP_OTHER},
    {"creative_generation", v1::PROMPT_GROUP_OTHER},
    {"causal_reasoning", v1::PROMPT_GROUP_OTHER},
    {"metacognition", v1::PROMPT_GROUP_OTHER},
    {"multilingual_reasoning", v1::PROMPT_GROUP_OTHER},
    {"abstract_reasoning", v1::PROMPT_GROUP_OTHER},
    {"temporal_planning", v1::PROMPT_GROUP_OTHER},
}};

// The group of `category`; UNSPECIFIED when it is none of the 13.
v1::PromptGroup GroupOf(absl::string_view category);

// "Dialogue", "Instruction", "Knowledge/Commonsense", "Math/Analytical", "Other"; "" for UNSPECIFIED.
std::string GroupName(v1::PromptGroup group);

}  // namespace uaqf::client
