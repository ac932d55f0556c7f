#include "worker/model/bounded_json.h"

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

// Deepest nesting of brackets outside strings; malformed text is left to the parser.
int DepthOf(std::string_view text, int stop_at) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size() && deepest <= stop_at; ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, std::string_view what, const JsonLimits& limits) {
  const std::string name(what);
  if (text.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": got ", text.size(), " bytes of JSON, expected at most ", limits.max_bytes));
  }
  if (DepthOf(text, limits.max_depth) > limits.max_depth) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": JSON is nested deeper than ", limits.max_depth));
  }
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::string twice;
  const auto callback = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (event == nlohmann::json::parse_event_t::object_start) keys.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) keys.pop_back();
    if (event == nlohmann::json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second && twice.empty()) twice = key;
    }
    return true;
  };
  nlohmann::json result = nlohmann::json::parse(text.begin(), text.end(), callback, /*allow_exceptions=*/false);
  if (result.is_discarded()) return absl::InvalidArgumentError(absl::StrCat(name, ": is not valid JSON"));
  if (!twice.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": key \"", absl::CHexEscape(twice), "\" is there twice"));
  }
  return result;
}

}  // namespace uaqf::model
