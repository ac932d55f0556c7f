#include "client/commands/prompt_sets.h"

#include "absl/strings/str_cat.h"
#include "client/failure.h"
#include "client/figures.h"
#include "client/json.h"
#include "client/names.h"
#include "client/show.h"
#include "client/show_prompts.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

void ShowDryRun(Context& context, const v1::PromptSet& described, const ImportedSet& set, int preview) {
  const auto count = static_cast<std::size_t>(preview);
  if (context.json()) return context.Print(DryRunJson(described, set.prompts, count));
  if (context.csv()) return context.Print(CategoriesTable(set.prompts));
  for (const v1::PromptSource& source : set.sources) context.Print(SourceLine(source) + "\n");
  if (!described.categories().empty()) context.Print(CategoriesTable(set.prompts));
  context.Print(PreviewText(set.prompts, count));
  context.Print(absl::StrCat("dry run   nothing uploaded; it would be ", Printable(described.display_name()), ", ",
                             Count(described.prompt_count(), "item"), ", ", Bytes(described.size_bytes()), " (sha256 ",
                             ShortDigest(described), "…)\n"));
}

void ShowStored(Context& context, const ResolvedSet& stored) {
  if (context.json()) return context.Print(ToJson(stored.set));
  if (context.csv()) {
    v1::ListPromptSetsResponse one;
    *one.add_prompt_sets() = stored.set;
    return context.Print(PromptSetsCsv(one));
  }
  for (const v1::PromptSource& source : stored.set.sources()) context.Print(SourceLine(source) + "\n");
  context.Print(SetLine(stored) + "\n");
}

}  // namespace

void AddSetFlags(CLI::App* command, SetFlags& flags, const std::string& default_name) {
  command->add_option("--name", flags.name, absl::StrCat("Label; default: ", default_name));
  command->add_flag("--dry-run", flags.dry_run, "Show what would be uploaded, without a coordinator");
  command->add_option("--preview", flags.preview, "Prompts that --dry-run shows; 0 for none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

absl::Status StoreOrShow(Context& context, const SetFlags& flags, const std::string& default_name,
                         v1::PromptSetKind kind, const ImportedSet& set) {
  const std::string name = flags.name.empty() ? default_name : flags.name;
  if (ValidUtf8Prefix(name) < name.size()) {
    return UsageError(absl::StrCat("got the name \"", Printable(name), "\" with bytes that are not UTF-8, expected ",
                                   flags.name.empty() ? "--name NAME, since the file's cannot be shown" : "UTF-8"));
  }
  if (flags.dry_run) {
    ShowDryRun(context, DescribeSet(name, kind, set), set, flags.preview);
    return absl::OkStatus();
  }
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto stored = Upload(**client, name, kind, set.prompts, set.sources);
  if (!stored.ok()) return stored.status();
  ShowStored(context, *stored);
  const std::string& label = stored->set.display_name();
  if (!flags.name.empty() && label != flags.name) {
    context.Note(absl::StrCat("the same content is stored as \"", label, "\", and keeps that name; \"", flags.name,
                              "\" names nothing new"));
  }
  context.Next(absl::StrCat("uaqf jobs submit --model MODEL --variants fp16,rtn-w4-g64 ",
                            kind == v1::PROMPT_SET_KIND_TEXT ? "--quality-text " : "--prompts ", label));
  return absl::OkStatus();
}

}  // namespace uaqf::client
