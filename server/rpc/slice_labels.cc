#include "server/rpc/slice_labels.h"

#include <uaqf/v1/prompt_set.pb.h>

#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace uaqf::rpc {
namespace {

constexpr std::int32_t kPage = 1000;

absl::StatusOr<std::string> LabelOf(const store::PromptItem& item, v1::Split split) {
  if (split == v1::SPLIT_CATEGORY) return item.category;
  v1::Prompt prompt;
  if (!prompt.ParseFromString(item.blob)) {
    return absl::DataLossError(absl::StrCat("the stored prompt ", item.id, " cannot be read"));
  }
  if (prompt.group() == v1::PROMPT_GROUP_UNSPECIFIED) return std::string();
  return absl::AsciiStrToLower(absl::StripPrefix(v1::PromptGroup_Name(prompt.group()), "PROMPT_GROUP_"));
}

absl::StatusOr<std::vector<std::string>> ReadLabels(store::PromptStore& store, const std::string& digest,
                                                    v1::Split split) {
  std::vector<std::string> labels;
  while (true) {
    const auto page = store.ReadPrompts(digest, static_cast<std::int32_t>(labels.size()), kPage);
    if (!page.ok()) return page.status();
    for (const store::PromptItem& item : *page) {
      auto label = LabelOf(item, split);
      if (!label.ok()) return label.status();
      labels.push_back(*std::move(label));
    }
    if (static_cast<std::int32_t>(page->size()) < kPage) return labels;
  }
}

}  // namespace

absl::StatusOr<ranking::SliceLabels> LabelPrompts(store::PromptStore& store, const std::string& digest,
                                                  v1::Split split) {
  const auto labels = ReadLabels(store, digest, split);
  if (!labels.ok()) return labels.status();
  std::map<std::string, std::int32_t> numbers;
  for (const std::string& label : *labels) {
    if (!label.empty()) numbers.emplace(label, 0);
  }
  ranking::SliceLabels out;
  for (auto& [name, number] : numbers) {
    number = static_cast<std::int32_t>(out.names.size());
    out.names.push_back(name);
  }
  for (const std::string& label : *labels) out.of_item.push_back(label.empty() ? -1 : numbers.at(label));
  return out;
}

}  // namespace uaqf::rpc
