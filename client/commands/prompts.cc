#include "client/commands/commands.h"
#include "client/commands/prompt_sets.h"
#include "client/json.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

absl::Status List(Context& context) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto sets = (*client)->ListPromptSets();
  if (!sets.ok()) return sets.status();
  if (context.json()) {
    context.Print(ToJson(*sets));
  } else {
    context.Print(context.csv() ? PromptSetsCsv(*sets) : PromptSetsTable(*sets, absl::Now()));
    if (sets->prompt_sets().empty()) context.Next("uaqf prompts import FILE --name NAME");
  }
  return absl::OkStatus();
}

}  // namespace

void AddPrompts(CLI::App& app, Context& context) {
  CLI::App* prompts = AddCommand(app, "prompts", "Prompt sets and texts on the coordinator",
                                 "uaqf prompts import prompts.jsonl --name demo");
  prompts->require_subcommand(1);
  AddPromptsImport(*prompts, context);
  AddPromptsBuild(*prompts, context);

  CLI::App* list = AddCommand(*prompts, "list", "List sets, newest first", "uaqf prompts list");
  OnCommand(list, context, [&context] { return List(context); });
}

}  // namespace uaqf::client
