// What the commands that make prompt sets share: their flags, and the way from items to a stored set.
#pragma once

#include <string>

#include "client/commands/context.h"
#include "client/datasets/import.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

struct SetFlags {
  std::string name;
  bool dry_run = false;
  int preview = 3;
};

// --name, --dry-run, --preview. `default_name` is for the help.
void AddSetFlags(CLI::App* command, SetFlags& flags, const std::string& default_name);

// Uploads `set` under the name of the flags, else `default_name`, and says what it is; with --dry-run only shows what
// would be uploaded, without a coordinator. InvalidArgument: a name that is not UTF-8.
[[nodiscard]] absl::Status StoreOrShow(Context& context, const SetFlags& flags, const std::string& default_name,
                                       v1::PromptSetKind kind, const ImportedSet& set);

void AddPromptsImport(CLI::App& prompts, Context& context);
void AddPromptsBuild(CLI::App& prompts, Context& context);

}  // namespace uaqf::client
