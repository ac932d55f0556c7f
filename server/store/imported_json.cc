#include "server/store/imported_json.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace uaqf::store {
namespace {

using nlohmann::json;

template <typename T>
void Put(const char* key, const std::optional<T>& value, json* object) {
  if (value) (*object)[key] = *value;
}

template <typename T>
void Get(const json& object, const char* key, std::optional<T>* value) {
  if (object.contains(key)) *value = object.at(key).get<T>();
}

}  // namespace

std::string ToJson(const core::ImportedTable& table) {
  json variants = json::array();
  for (const core::ImportedVariant& variant : table.variants) {
    json& object = variants.emplace_back(json{{"variant", variant.variant}});
    Put("latency_s", variant.latency_s, &object);
    Put("tokens_per_s", variant.tokens_per_s, &object);
    Put("delta_perplexity", variant.delta_perplexity, &object);
    Put("memory_bytes", variant.memory_bytes, &object);
  }
  return json{{"title", table.title}, {"baseline_label", table.baseline_label}, {"variants", variants}}.dump();
}

core::ImportedTable ImportedFromJson(const std::string& text) {
  const json value = json::parse(text);
  core::ImportedTable table;
  value.at("title").get_to(table.title);
  value.at("baseline_label").get_to(table.baseline_label);
  for (const json& object : value.at("variants")) {
    core::ImportedVariant& variant = table.variants.emplace_back();
    object.at("variant").get_to(variant.variant);
    Get(object, "latency_s", &variant.latency_s);
    Get(object, "tokens_per_s", &variant.tokens_per_s);
    Get(object, "delta_perplexity", &variant.delta_perplexity);
    Get(object, "memory_bytes", &variant.memory_bytes);
  }
  return table;
}

}  // namespace uaqf::store
