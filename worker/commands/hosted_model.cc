#include "worker/commands/hosted_model.h"

#include "absl/strings/str_cat.h"
#include "worker/evaluate/catalog.h"
#include "worker/evaluate/hosted_variant.h"

namespace uaqf::commands {

absl::StatusOr<std::unique_ptr<engine::Engine>> LoadEngine(const evaluate::OpenModel& model, const std::string& variant,
                                                           const std::string& models, const ComputeOptions& compute,
                                                           int64_t sequence_tokens) {
  auto found = evaluate::ResolveVariant(model, variant, models.empty() ? evaluate::DefaultModelsFolder() : models);
  if (!found.ok()) return found.status();
  if (sequence_tokens > model.config().context) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sequence of ", sequence_tokens, " tokens, input and output: ", "expected at most ", model.config().context,
        ", the context of ", model.config().name, "; shorten the prompt or ask for fewer"));
  }
  auto cpus = ConfineTo(compute);
  if (!cpus.ok()) return cpus.status();
  return engine::Engine::Create(found->weights(model), found->variant,
                                {compute.device, compute.threads, *cpus, sequence_tokens});
}

}  // namespace uaqf::commands
