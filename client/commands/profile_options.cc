#include "client/commands/profile_options.h"

#include "absl/strings/str_cat.h"
#include "client/constraint_flags.h"

namespace uaqf::client {

void AddProfileOptions(CLI::App* command, ProfileFlags& flags, CLI::Option* instead) {
  CLI::Option* weights =
      command->add_option("--weights", flags.weights, "Weights that sum to 1: speed=0.4,quality=0.4,stability=0.2");
  if (instead != nullptr) {
    weights->excludes(instead);
  } else {
    weights->required();
  }
  const auto beside = [weights](CLI::Option* option) { option->needs(weights); };
  beside(command
             ->add_option("--formula", flags.formula,
                          "full (speed, quality, stability, memory), utility (no memory), regime (no stability) [full]")
             ->check(CLI::IsMember({"full", "utility", "regime"})));
  beside(command
             ->add_option("--normalization", flags.normalization,
                          "Terms against fp16 or over all variants [baseline for full, else minmax]")
             ->check(CLI::IsMember({"baseline", "minmax"})));
  beside(command->add_option("--stability-form", flags.stability_form, "S_L / L, or alpha S_L + beta S_T [relative]")
             ->check(CLI::IsMember({"relative", "combined"})));
  beside(command->add_option("--stability-alpha", flags.stability_alpha, "alpha of combined, 1/s"));
  beside(command->add_option("--stability-beta", flags.stability_beta, "beta of combined, s/token"));
  beside(command->add_option("--max-delta-nll", flags.max_delta_nll,
                             "A variant that loses more is not feasible, nats per token [0.3 for full, else none]"));
  command
      ->add_option("--max", flags.limits,
                   absl::StrCat("Limit that a variant must surely keep, FIGURE=VALUE, as often as needed; figures: ",
                                LimitedFigures()))
      ->take_all();
  command
      ->add_option(
          "--traffic", flags.traffic,
          "What the deployment serves, batch=8:input=512:output=64:share=0.7, as often as needed; needs a job with "
          "a --grid that spans it")
      ->take_all();
  command
      ->add_option("--context", flags.context_tokens, "Tokens a sequence may grow to: says how many the device holds")
      ->check(CLI::PositiveNumber);
  command->add_option("--device-memory", flags.device_memory,
                      "Of the deployment's device, e.g. 80GB [that of the device measured on]");
  command->add_option("--price-per-hour", flags.price_per_hour, "Cost of an hour of the device, for --max price=")
      ->check(CLI::PositiveNumber);
}

}  // namespace uaqf::client
