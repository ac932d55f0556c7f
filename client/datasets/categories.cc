#include "client/datasets/categories.h"

namespace uaqf::client {

v1::PromptGroup GroupOf(absl::string_view category) {
  for (const PaperCategory& known : kPaperCategories) {
    if (known.name == category) return known.group;
  }
  return v1::PROMPT_GROUP_UNSPECIFIED;
}

std::string GroupName(v1::PromptGroup group) {
  switch (group) {
    case v1::PROMPT_GROUP_DIALOGUE:
      return "Dialogue";
    case v1::PROMPT_GROUP_INSTRUCTION:
      return "Instruction";
    case v1::PROMPT_GROUP_KNOWLEDGE_COMMONSENSE:
      return "Knowledge/Commonsense";
    case v1::PROMPT_GROUP_MATH_ANALYTICAL:
      return "Math/Analytical";
    case v1::PROMPT_GROUP_OTHER:
      return "Other";
    default:
      return "";
  }
}

}  // namespace uaqf::client
