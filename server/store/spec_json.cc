#include "server/store/spec_json.h"

#include <nlohmann/json.hpp>

namespace uaqf::store {

using nlohmann::json;

std::string ToJson(const core::JobSpec& spec) {
  const core::TimingSpec& timing = spec.timing;
  const json value = {
      {"model", spec.model},
      {"variants", spec.variants},
      {"prompt_set", spec.prompt_set},
      {"timing",
       {{"repeats", timing.repeats},
        {"input_tokens", timing.input_tokens},
        {"max_output_tokens", timing.max_output_tokens},
        {"output_length", static_cast<int>(timing.output_length)},
        {"block_prompts", timing.block_prompts},
        {"warmup_generations", timing.warmup_generations},
        {"chat", timing.chat},
        {"clear_cache", timing.clear_cache}}},
      {"quality",
       {{"text_set", spec.quality.text_set},
        {"context_tokens", spec.quality.context_tokens},
        {"max_windows", spec.quality.max_windows},
        {"task_set", spec.quality.task_set},
        {"max_task_items", spec.quality.max_task_items},
        {"divergence", spec.quality.divergence},
        {"article_set", spec.quality.article_set},
        {"max_articles", spec.quality.max_articles},
        {"divergence_mode", static_cast<int>(spec.quality.divergence_mode)}}},
      {"seed", spec.seed},
      {"lease_ns", spec.lease_ns},
      {"attempt_limit", spec.attempt_limit},
      {"allocation",
       {{"until_decided", spec.allocation.until_decided},
        {"profile", spec.allocation.profile},
        {"device_time_ns", spec.allocation.device_time_ns}}},
      {"grid",
       {{"batches", spec.grid.batches},
        {"input_tokens", spec.grid.input_tokens},
        {"output_tokens", spec.grid.output_tokens},
        {"draws", spec.grid.draws}}},
  };
  return value.dump();
}

core::JobSpec SpecFromJson(const std::string& text) {
  const json value = json::parse(text);
  const json& timing = value.at("timing");
  const json& quality = value.at("quality");
  core::JobSpec spec;
  value.at("model").get_to(spec.model);
  value.at("variants").get_to(spec.variants);
  value.at("prompt_set").get_to(spec.prompt_set);
  timing.at("repeats").get_to(spec.timing.repeats);
  timing.at("input_tokens").get_to(spec.timing.input_tokens);
  timing.at("max_output_tokens").get_to(spec.timing.max_output_tokens);
  spec.timing.output_length = static_cast<core::OutputLength>(timing.at("output_length").get<int>());
  timing.at("block_prompts").get_to(spec.timing.block_prompts);
  timing.at("warmup_generations").get_to(spec.timing.warmup_generations);
  timing.at("chat").get_to(spec.timing.chat);
  timing.at("clear_cache").get_to(spec.timing.clear_cache);
  quality.at("text_set").get_to(spec.quality.text_set);
  quality.at("context_tokens").get_to(spec.quality.context_tokens);
  quality.at("max_windows").get_to(spec.quality.max_windows);
  // Jobs of versions before tasks, articles and streamed comparisons lack these.
  spec.quality.task_set = quality.value("task_set", "");
  spec.quality.max_task_items = quality.value("max_task_items", 0);
  spec.quality.divergence = quality.value("divergence", false);
  spec.quality.article_set = quality.value("article_set", "");
  spec.quality.max_articles = quality.value("max_articles", 0);
  spec.quality.divergence_mode = static_cast<core::DivergenceMode>(
      quality.value("divergence_mode", static_cast<int>(core::DivergenceMode::kExact)));
  value.at("seed").get_to(spec.seed);
  value.at("lease_ns").get_to(spec.lease_ns);
  value.at("attempt_limit").get_to(spec.attempt_limit);
  // Jobs of versions before rounds lack this.
  if (const auto allocation = value.find("allocation"); allocation != value.end()) {
    allocation->at("until_decided").get_to(spec.allocation.until_decided);
    allocation->at("profile").get_to(spec.allocation.profile);
    allocation->at("device_time_ns").get_to(spec.allocation.device_time_ns);
  }
  // Jobs of versions before traffic lack this.
  if (const auto grid = value.find("grid"); grid != value.end()) {
    grid->at("batches").get_to(spec.grid.batches);
    grid->at("input_tokens").get_to(spec.grid.input_tokens);
    grid->at("output_tokens").get_to(spec.grid.output_tokens);
    grid->at("draws").get_to(spec.grid.draws);
  }
  return spec;
}

std::string ToJson(const std::vector<CategoryCount>& categories) {
  json value = json::array();
  for (const CategoryCount& category : categories) value.push_back({category.category, category.prompt_count});
  return value.dump();
}

std::vector<CategoryCount> CategoriesFromJson(const std::string& text) {
  std::vector<CategoryCount> categories;
  for (const json& entry : json::parse(text)) {
    categories.push_back({entry.at(0).get<std::string>(), entry.at(1).get<std::int32_t>()});
  }
  return categories;
}

std::string ToJson(const std::vector<std::string>& strings) {
  // A worker may send what is not UTF-8; that must not keep its records from being stored.
  return json(strings).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace uaqf::store
