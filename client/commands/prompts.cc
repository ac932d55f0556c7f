#include <filesystem>
#include <memory>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/failure.h"
#include "client/figures.h"
#include "client/json.h"
#include "client/names.h"
#include "client/prompt_file.h"
#include "client/show.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

struct ImportFlags {
  std::string file;
  std::string name;
  std::string kind;
  std::optional<std::int64_t> take;
};

// A text file is not JSON Lines by chance: its ending tells, unless --kind does.
v1::PromptSetKind KindOf(const ImportFlags& flags) {
  const bool text = flags.kind.empty() ? absl::EndsWith(flags.file, ".txt") : flags.kind == "text";
  return text ? v1::PROMPT_SET_KIND_TEXT : v1::PROMPT_SET_KIND_PROMPTS;
}

absl::Status Import(Context& context, const ImportFlags& flags) {
  const v1::PromptSetKind kind = KindOf(flags);
  if (flags.take.has_value() && *flags.take < 1) {
    return UsageError(absl::StrCat("got --take ", *flags.take, ", expected 1 or more: leave it out for all prompts"));
  }
  if (kind == v1::PROMPT_SET_KIND_TEXT && flags.take.has_value()) {
    return UsageError("got --take with a text, expected it with prompts only: a job takes --windows of a text");
  }
  if (flags.file == "-" && flags.name.empty())
    return UsageError("got standard input without a name, expected --name NAME");
  const std::string name = flags.name.empty() ? std::filesystem::path(flags.file).stem().string() : flags.name;
  if (ValidUtf8Prefix(name) < name.size()) {
    return UsageError(absl::StrCat("got the name \"", Printable(name), "\" with bytes that are not UTF-8, expected ",
                                   flags.name.empty() ? "--name NAME, since the file's cannot be shown" : "UTF-8"));
  }
  const auto bytes = ReadWholeFile(flags.file, kLargestPromptFile);
  if (!bytes.ok()) return bytes.status();
  const auto prompts = kind == v1::PROMPT_SET_KIND_TEXT
                           ? CutText(*bytes, flags.file)
                           : ParsePrompts(*bytes, flags.file, static_cast<std::size_t>(flags.take.value_or(0)));
  if (!prompts.ok()) return prompts.status();
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto uploaded = Upload(**client, name, kind, *prompts);
  if (!uploaded.ok()) return uploaded.status();
  const v1::PromptSet& set = uploaded->set;
  if (context.json()) {
    context.Print(ToJson(set));
  } else if (context.csv()) {
    v1::ListPromptSetsResponse one;
    *one.add_prompt_sets() = set;
    context.Print(PromptSetsCsv(one));
  } else {
    context.Print(SetLine(*uploaded) + "\n");
  }
  if (!flags.name.empty() && set.display_name() != flags.name) {
    context.Note(absl::StrCat("the same content is stored as \"", set.display_name(), "\", and keeps that name; \"",
                              flags.name, "\" names nothing new"));
  }
  const std::string flag = kind == v1::PROMPT_SET_KIND_TEXT ? "--quality-text " : "--prompts ";
  context.Next(absl::StrCat("uaqf jobs submit --model MODEL --variants fp16,rtn-w4-g64 ", flag, set.display_name()));
  return absl::OkStatus();
}

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

  auto flags = std::make_shared<ImportFlags>();
  CLI::App* import = AddCommand(*prompts, "import", "Upload a file; the same content is stored once",
                                "uaqf prompts import prose.txt --kind text --name prose");
  import
      ->add_option("FILE", flags->file,
                   "JSON Lines (id, text or messages, category, reference) or a text; - is "
                   "standard input")
      ->required();
  import->add_option("--name", flags->name, "Label; default: the file's name without its ending");
  import->add_option("--kind", flags->kind, "What the file holds; default: text for *.txt, else prompts")
      ->check(CLI::IsMember({"prompts", "text"}));
  import->add_option("--take", flags->take, "Only the first N prompts");
  OnCommand(import, context, [&context, flags] { return Import(context, *flags); });

  CLI::App* list = AddCommand(*prompts, "list", "List sets, newest first", "uaqf prompts list");
  OnCommand(list, context, [&context] { return List(context); });
}

}  // namespace uaqf::client
