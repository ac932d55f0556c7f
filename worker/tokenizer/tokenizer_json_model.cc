// The model part of tokenizer.json: vocabulary and merges.
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/tokenizer/tokenizer_json_parts.h"

namespace uaqf::tokenizer {
namespace {

absl::Status ParseVocabulary(const Json& vocab, BpeModel& model) {
  if (!vocab.is_object() || vocab.empty()) {
    return absl::InvalidArgumentError(
        "tokenizer.json has no \"vocab\" in its model, expected an object of tokens; "
        "fetch the file again");
  }
  model.ids.reserve(vocab.size());
  for (const auto& [token, value] : vocab.items()) {
    absl::StatusOr<int32_t> id = TokenId(value, absl::StrCat("\"", token, "\""));
    if (!id.ok()) return id.status();
    model.ids[token] = *id;
  }
  return absl::OkStatus();
}

// "a b", or ["a", "b"] in newer files.
absl::StatusOr<std::pair<std::string, std::string>> ParseMerge(const Json& merge, size_t rank) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::make_pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return std::make_pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("merge ", rank, " of tokenizer.json is ",
                                                 merge.dump(-1, ' ', false, Json::error_handler_t::replace),
                                                 ", expected two tokens; fetch the file again"));
}

}  // namespace

absl::Status AddMerge(const std::string& left, const std::string& right, size_t rank, BpeModel& model) {
  const auto find = [&](absl::string_view token) {
    const auto found = model.ids.find(token);
    return found == model.ids.end() ? -1 : found->second;
  };
  const int32_t left_id = find(left);
  const int32_t right_id = find(right);
  const std::string joined = left + right;
  const int32_t merged = find(joined);
  if (left_id < 0 || right_id < 0 || merged < 0) {
    const std::string missing = left_id < 0 ? left : right_id < 0 ? right : joined;
    return absl::InvalidArgumentError(absl::StrCat("merge ", rank, " of the tokenizer needs the token \"", missing,
                                                   "\", which its vocabulary lacks; fetch the file again"));
  }
  model.merges.Add(left_id, right_id, static_cast<int32_t>(rank), merged);
  return absl::OkStatus();
}

absl::Status ParseBpeModel(const Json& model_json, BpeModel& model) {
  // Files of older versions name no type.
  if (const std::string type = TypeOf(model_json); type != "BPE" && !(type.empty() && model_json.contains("merges"))) {
    return absl::UnimplementedError(absl::StrCat("tokenizer.json has a model of type \"", type,
                                                 "\", supported is BPE; use a model of the Llama family"));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& value = Member(model_json, key);
    if (!value.is_null() && !IsText(value, "")) {
      return absl::UnimplementedError(absl::StrCat("tokenizer.json sets \"", key, "\" to ", value.dump(),
                                                   ", which is not supported; expected null"));
    }
  }
  if (absl::Status status = ParseVocabulary(Member(model_json, "vocab"), model); !status.ok()) return status;
  const Json& merges = Member(model_json, "merges");
  if (!merges.is_array()) {
    return absl::InvalidArgumentError("tokenizer.json has no \"merges\" in its model; fetch the file again");
  }
  model.merges.Reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    auto merge = ParseMerge(merges[rank], rank);
    if (!merge.ok()) return merge.status();
    if (absl::Status status = AddMerge(merge->first, merge->second, rank, model); !status.ok()) return status;
  }
  for (const auto& [key, field] :
       {std::pair("fuse_unk", &model.fuse_unknown), std::pair("byte_fallback", &model.byte_fallback),
        std::pair("ignore_merges", &model.ignore_merges)}) {
    absl::StatusOr<bool> value = BoolMember(model_json, key, false);
    if (!value.ok()) return value.status();
    *field = *value;
  }
  absl::StatusOr<std::string> unknown = StringMember(model_json, "unk_token", "");
  if (!unknown.ok()) return unknown.status();
  if (const auto found = model.ids.find(*unknown); !unknown->empty() && found != model.ids.end()) {
    model.unknown = found->second;
  }
  return absl::OkStatus();
}

}  // namespace uaqf::tokenizer
