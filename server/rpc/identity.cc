#include "server/rpc/identity.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/wire/names.h"

namespace uaqf::rpc {
namespace {

using ranking::Trait;

const char* NameOf(core::OutputLength length) {
  switch (length) {
    case core::OutputLength::kMatched:
      return "matched";
    case core::OutputLength::kFixed:
      return "fixed";
    case core::OutputLength::kNatural:
      break;
  }
  return "natural";
}

const char* YesOrNo(bool yes) { return yes ? "yes" : "no"; }

void AddAsked(const core::JobSpec& spec, ranking::JobIdentity& job) {
  const core::TimingSpec& timing = spec.timing;
  const core::QualitySpec& quality = spec.quality;
  const bool windows = !quality.text_set.empty() || !quality.article_set.empty();
  job.traits[Trait::kPrompts] = {spec.prompt_set};
  job.traits[Trait::kText] = {quality.text_set};
  job.traits[Trait::kTasks] = {quality.task_set};
  job.traits[Trait::kArticles] = {quality.article_set};
  job.traits[Trait::kContext] = {windows ? absl::StrCat(quality.context_tokens) : ""};
  job.traits[Trait::kInputTokens] = {timing.input_tokens == 0 ? "each prompt's own"
                                                              : absl::StrCat(timing.input_tokens)};
  // Otherwise it orders chunks, and no more.
  job.traits[Trait::kProseSeed] = {timing.input_tokens == 0 ? "" : absl::StrCat(spec.seed)};
  job.traits[Trait::kOutputLength] = {NameOf(timing.output_length)};
  job.traits[Trait::kMostTokens] = {absl::StrCat(timing.max_output_tokens)};
  job.traits[Trait::kChat] = {YesOrNo(timing.chat)};
  job.traits[Trait::kWarmUps] = {absl::StrCat(timing.warmup_generations)};
  job.traits[Trait::kClearCache] = {YesOrNo(timing.clear_cache)};
  const core::AgreementSpec& agreement = spec.agreement;
  const bool outputs = agreement.prompts > 0;
  job.traits[Trait::kAgreementTokens] = {outputs ? absl::StrCat(agreement.output_tokens) : ""};
  job.traits[Trait::kAgreementBatches] = {outputs ? absl::StrCat("1 ", absl::StrJoin(agreement.batch_sizes, " ")) : ""};
}

void AddEvidence(const v1::ChunkEvidence& evidence, ranking::JobIdentity& job) {
  const v1::Device& device = evidence.device();
  job.traits[Trait::kModel].insert(evidence.model_digest());
  job.traits[Trait::kTokenizer].insert(evidence.tokenizer_digest());
  job.traits[Trait::kDevice].insert(device.name().empty() ? device.id()
                                                          : absl::StrCat(device.name(), " ", device.id()));
  job.traits[Trait::kBackend].insert(device.backend());
  job.traits[Trait::kThreads].insert(absl::StrCat(device.threads()));
  job.traits[Trait::kIsa].insert(device.isa());
  job.traits[Trait::kDriver].insert(device.driver());
  job.traits[Trait::kCuda].insert(device.cuda());
  job.traits[Trait::kBuild].insert(evidence.build());
}

// A configuration as far as the model has no say in it: one text is other tokens to another tokenizer.
std::string RecipeOf(const std::string& configuration) {
  nlohmann::json recipe = nlohmann::json::parse(configuration, nullptr, /*allow_exceptions=*/false);
  if (!recipe.is_object()) return configuration;
  if (const auto calibration = recipe.find("calibration"); calibration != recipe.end() && calibration->is_object()) {
    calibration->erase("tokens");
  }
  return recipe.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

ranking::JobIdentity IdentityOf(const core::JobView& view, const std::vector<v1::ChunkEvidence>& evidence,
                                const std::vector<v1::VariantConfiguration>& configurations) {
  ranking::JobIdentity job;
  job.job = wire::JobName(view.id);
  job.imported = view.imported.has_value();
  if (job.imported) return job;
  AddAsked(view.spec, job);
  for (const v1::ChunkEvidence& attempt : evidence) AddEvidence(attempt, job);
  for (const v1::VariantConfiguration& configuration : configurations) {
    job.configurations[configuration.variant()].insert(configuration.digest());
    job.recipes[configuration.variant()].insert(RecipeOf(configuration.configuration()));
  }
  return job;
}

}  // namespace uaqf::rpc
