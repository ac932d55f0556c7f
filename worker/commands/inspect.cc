// uaqf-worker inspect: what a model is, and which variants fit it.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "worker/commands/command.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/hosted_variant.h"
#include "worker/evaluate/open_model.h"
#include "worker/quantize/variants.h"

namespace uaqf::commands {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelOption model;
  bool digest = false;
  bool json = false;
};

Json Variants(const evaluate::OpenModel& model, const std::string& folder) {
  Json variants = Json::array();
  for (const quantize::Variant& variant : quantize::Variants()) {
    const absl::Status fits = quantize::FitsModel(variant, model.config());
    variants.push_back({{"variant", variant.name},
                        {"description", variant.description},
                        {"fits", fits.ok()},
                        {"reason", std::string(fits.message())}});
  }
  for (const evaluate::VariantFit& fit :
       evaluate::FindCheckpointVariants(model, folder.empty() ? evaluate::DefaultModelsFolder() : folder)) {
    variants.push_back({{"variant", fit.variant}, {"description", fit.description}, {"fits", true}, {"reason", ""}});
  }
  return variants;
}

Json Describe(const evaluate::OpenModel& model, const std::string& folder) {
  const model::ModelConfig& config = model.config();
  const auto& chat = model.chat_template();
  return {{"model", config.name},
          {"path", model.checkpoint().path()},
          {"architecture", config.architecture},
          {"parameters", model.parameters()},
          {"layers", config.layers},
          {"hidden", config.hidden},
          {"heads", config.heads},
          {"kv_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"ff", config.ff},
          {"vocab", config.vocab},
          {"context_tokens", config.context},
          {"sliding_window", config.sliding_window},
          {"rope_theta", config.rope.theta},
          {"tied_embeddings", config.tied_embeddings},
          {"qkv_bias", config.qkv_bias},
          {"release_format", config.release_format},
          {"adds_bos", model.tokenizer().special().add_bos},
          {"chat_template", chat.ok() ? std::string(chat->name()) : std::string()},
          {"variants", Variants(model, folder)}};
}

void Print(const Json& facts) {
  for (const auto& [key, value] : facts.items()) {
    if (key == "variants") continue;
    std::cout << key << std::string(18 - std::min<size_t>(17, key.size()), ' ')
              << (value.is_string() ? value.get<std::string>() : value.dump()) << "\n";
  }
  for (const Json& variant : facts["variants"]) {
    const std::string name = variant["variant"];
    const std::string reason = variant["reason"];
    std::cout << (variant["fits"] ? "fits  " : "no    ") << name
              << std::string(18 - std::min<size_t>(17, name.size()), ' ')
              << (reason.empty() ? variant["description"].get<std::string>() : reason) << "\n";
  }
  if (const std::string release = facts["release_format"]; !release.empty()) {
    std::cout << "its losses are relative to the " << release << " release, not to the original weights\n";
  }
}

absl::Status Inspect(const Options& options) {
  auto path = Resolve(options.model);
  if (!path.ok()) return path.status();
  auto model = evaluate::OpenModel::Open(*path);
  if (!model.ok()) return model.status();
  Json facts = Describe(**model, options.model.folder);
  if (options.digest) {
    auto digest = (*model)->checkpoint().Digest();
    if (!digest.ok()) return digest.status();
    facts["digest"] = *digest;
  }
  if (options.json) {
    // A path need not be UTF-8.
    std::cout << facts.dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
  } else {
    Print(facts);
  }
  return absl::OkStatus();
}

}  // namespace

void AddInspect(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();  // shared by the parser's callbacks and the run
  CLI::App* command = app.add_subcommand("inspect", "Says what a model is, and which variants fit it");
  AddModelOption(*command, options->model);
  command->add_flag("--digest", options->digest, "also its SHA-256, which reads the whole model");
  AddOutputOption(*command, options->json);
  AddExample(*command, "uaqf-worker inspect smollm2-135m-instruct");
  command->callback([options, &run] { run = [options] { return Inspect(*options); }; });
}

}  // namespace uaqf::commands
