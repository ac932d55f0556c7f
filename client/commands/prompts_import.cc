#include <filesystem>
#include <memory>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/prompt_sets.h"
#include "client/failure.h"
#include "client/prompt_file.h"

namespace uaqf::client {
namespace {

struct FileFlags {
  std::string file;
  std::string kind;
  std::optional<std::int64_t> take;
  bool join_rows = false;
  SetFlags set;
};

// A text file is not JSON Lines by chance: its ending tells, or what is to be done with it, unless --kind does.
v1::PromptSetKind KindOf(const FileFlags& flags) {
  const bool text = flags.kind.empty() ? flags.join_rows || absl::EndsWith(flags.file, ".txt") : flags.kind == "text";
  return text ? v1::PROMPT_SET_KIND_TEXT : v1::PROMPT_SET_KIND_PROMPTS;
}

absl::StatusOr<std::vector<v1::Prompt>> ReadText(const FileFlags& flags, const std::string& bytes) {
  if (!flags.join_rows) return CutText(bytes, flags.file);
  const auto joined = JoinRows(bytes, flags.file);
  if (!joined.ok()) return joined.status();
  return CutText(*joined, flags.file);
}

absl::Status ImportFile(Context& context, const FileFlags& flags) {
  const v1::PromptSetKind kind = KindOf(flags);
  if (flags.take.has_value() && *flags.take < 1) {
    return UsageError(absl::StrCat("got --take ", *flags.take, ", expected 1 or more: leave it out for all prompts"));
  }
  if (kind == v1::PROMPT_SET_KIND_TEXT && flags.take.has_value()) {
    return UsageError("got --take with a text, expected it with prompts only: a job takes --windows of a text");
  }
  if (kind == v1::PROMPT_SET_KIND_PROMPTS && flags.join_rows) {
    return UsageError("got --join-rows with prompts, expected it with a text only");
  }
  if (flags.file == "-" && flags.set.name.empty())
    return UsageError("got standard input without a name, expected --name NAME");
  const auto bytes = ReadWholeFile(flags.file, kLargestPromptFile);
  if (!bytes.ok()) return bytes.status();
  auto prompts = kind == v1::PROMPT_SET_KIND_TEXT
                     ? ReadText(flags, *bytes)
                     : ParsePrompts(*bytes, flags.file, static_cast<std::size_t>(flags.take.value_or(0)));
  if (!prompts.ok()) return prompts.status();
  // The raw file may be there as well, for its articles, under a label of its own.
  const std::string name = std::filesystem::path(flags.file).stem().string() + (flags.join_rows ? "-joined" : "");
  return StoreOrShow(context, flags.set, name, kind, {*std::move(prompts), {}});
}

struct DatasetFlags {
  std::string file;
  std::optional<std::int64_t> sample;
  std::optional<std::uint64_t> seed;
  std::int64_t shots = 0;
  std::string shots_file;
  SetFlags set;
};

absl::Status CheckFlags(const Dataset& dataset, const DatasetFlags& flags) {
  if (flags.sample.has_value() && *flags.sample < 1) {
    return UsageError(absl::StrCat("got --sample ", *flags.sample, ", expected 1 or more: leave it out for all items"));
  }
  if (flags.seed.has_value() && !flags.sample.has_value() && flags.shots == 0) {
    return UsageError("got --seed without anything to draw, expected --sample N or --shots N with it");
  }
  if ((flags.shots > 0) != !flags.shots_file.empty()) {
    return UsageError(absl::StrCat("got ", flags.shots > 0 ? "--shots without --shots-from" : "--shots-from alone",
                                   ", expected both: --shots 5 --shots-from train.jsonl"));
  }
  if (flags.shots > 0 && dataset.target == nullptr) {
    return UsageError(absl::StrCat("got --shots with ", dataset.name, ", expected none: it is defined without"));
  }
  return absl::OkStatus();
}

absl::StatusOr<InputFile> Read(const std::string& path) {
  auto bytes = ReadWholeFile(path, kLargestPromptFile);
  if (!bytes.ok()) return bytes.status();
  return InputFile{path == "-" ? "standard input" : path, *std::move(bytes)};
}

absl::Status ImportFromDataset(Context& context, const Dataset& dataset, const DatasetFlags& flags) {
  if (absl::Status checked = CheckFlags(dataset, flags); !checked.ok()) return checked;
  const auto file = Read(flags.file);
  if (!file.ok()) return file.status();
  ImportOptions options;
  if (flags.sample.has_value()) options.sample = static_cast<std::size_t>(*flags.sample);
  options.seed = flags.seed.value_or(kDefaultSeed);
  if (flags.shots > 0) {
    auto shots_file = Read(flags.shots_file);
    if (!shots_file.ok()) return shots_file.status();
    options.shots = static_cast<std::size_t>(flags.shots);
    options.shots_file = *std::move(shots_file);
  }
  const auto set = ImportDataset(dataset, *file, options);
  if (!set.ok()) return set.status();
  std::string name = dataset.name;
  if (options.shots > 0) absl::StrAppend(&name, "-", options.shots, "shot");
  if (options.sample.has_value()) absl::StrAppend(&name, "-", *options.sample, "-seed", options.seed);
  return StoreOrShow(context, flags.set, name, v1::PROMPT_SET_KIND_PROMPTS, *set);
}

// A flag of `import` that stands before the data set, or that the data set does not take: it would be read over.
std::string StrayFlag(const CLI::App* import) {
  for (const CLI::Option* option : import->get_options()) {
    if (option->count() > 0) return option->get_name();
  }
  return "";
}

void AddDataset(CLI::App* import, Context& context, const Dataset& dataset) {
  const std::string command = absl::StrCat("uaqf prompts import ", dataset.name, " ");
  CLI::App* added = AddCommand(*import, dataset.name, dataset.title, "");
  added->footer(absl::StrCat("example:\n  ", command, "FILE --sample 200 --seed 7\n  ", command,
                             "FILE --sample 5 --dry-run --output json\n\nfrom: ", dataset.source,
                             "\nlicence: ", dataset.licence, "\na row: ", dataset.example));
  auto flags = std::make_shared<DatasetFlags>();
  added->add_option("FILE", flags->file, "The published file; - is standard input")->required();
  added->add_option("--sample", flags->sample,
                    "Draw this many items; the same seed gives the same items, in whatever order the file has them");
  added->add_option("--seed", flags->seed, absl::StrCat("Seed of the draw; default: ", kDefaultSeed));
  if (dataset.target != nullptr) {
    added->add_option("--shots", flags->shots, "Worked examples in front of each prompt")->check(CLI::Range(0, 64));
    added->add_option("--shots-from", flags->shots_file, "File of the same format to draw the examples from");
  }
  AddSetFlags(added, flags->set, absl::StrCat(dataset.name, "-200-seed7 and the like"));
  OnCommand(added, context, [&context, &dataset, import, flags]() -> absl::Status {
    if (const std::string stray = StrayFlag(import); !stray.empty()) {
      return UsageError(absl::StrCat("got ", stray, ", which the import of ", dataset.name, " does not take there",
                                     "\nsee: uaqf prompts import ", dataset.name, " --help"));
    }
    return ImportFromDataset(context, dataset, *flags);
  });
}

}  // namespace

void AddPromptsImport(CLI::App& prompts, Context& context) {
  CLI::App* command =
      AddCommand(prompts, "import", "Upload a file, or items of a published data set; each set is stored once", "");
  command->footer(
      "example:\n  uaqf prompts import prompts.jsonl --name demo\n  uaqf prompts import prose.txt --kind text\n"
      "  uaqf prompts import wiki.test.raw --join-rows\n"
      "  uaqf prompts import gsm8k test.jsonl --sample 200 --seed 7 --dry-run");
  command->require_subcommand(0, 1);
  auto flags = std::make_shared<FileFlags>();
  command->add_option("FILE", flags->file,
                      "JSON Lines (id, text or messages, category, reference) or a text; - is standard input");
  command->add_option("--kind", flags->kind, "What the file holds; default: text for *.txt, else prompts")
      ->check(CLI::IsMember({"prompts", "text"}));
  command->add_option("--take", flags->take, "Only the first N prompts");
  command->add_flag("--join-rows", flags->join_rows,
                    "The file is raw WikiText: join its lines by blank lines, as the GPTQ recipe scores it");
  AddSetFlags(command, flags->set, "the file's name without its ending");
  for (const Dataset& dataset : Datasets()) AddDataset(command, context, dataset);
  command->callback([&context, command, flags] {
    // The data set's own callback has been called before.
    if (!command->get_subcommands().empty()) return;
    context.action = [&context, flags]() -> absl::Status {
      if (flags->file.empty()) return UsageError("got no FILE, expected one\nsee: uaqf prompts import --help");
      return ImportFile(context, *flags);
    };
  });
}

}  // namespace uaqf::client
