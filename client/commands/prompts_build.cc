#include <memory>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/commands/prompt_sets.h"
#include "client/prompt_file.h"

namespace uaqf::client {
namespace {

struct SuiteFlags {
  // In the order of PaperDataset.
  std::string files[4];
  std::uint64_t seed = kDefaultSeed;
  SetFlags set;
};

absl::Status BuildSuite(Context& context, const SuiteFlags& flags) {
  std::vector<InputFile> files;
  for (const std::string& path : flags.files) {
    auto bytes = ReadWholeFile(path, kLargestPromptFile);
    if (!bytes.ok()) return bytes.status();
    files.push_back({path, *std::move(bytes)});
  }
  const auto suite = BuildPaperSuite(files, flags.seed);
  if (!suite.ok()) return suite.status();
  return StoreOrShow(context, flags.set, absl::StrCat("paper-suite-seed", flags.seed), v1::PROMPT_SET_KIND_PROMPTS,
                     *suite);
}

absl::Status BuildSynthetic(Context& context, const SetFlags& flags) {
  const auto own = OwnPrompts();
  if (!own.ok()) return own.status();
  return StoreOrShow(context, flags, "synthetic", v1::PROMPT_SET_KIND_PROMPTS, *own);
}

}  // namespace

void AddPromptsBuild(CLI::App& prompts, Context& context) {
  CLI::App* build =
      AddCommand(prompts, "build", "Make a suite of prompts and upload it", "uaqf prompts build synthetic");
  build->require_subcommand(1);

  auto flags = std::make_shared<SuiteFlags>();
  CLI::App* suite = AddCommand(*build, "paper-suite",
                               "The paper's 1,700 prompts: 200 of each of four data sets, and our own 900", "");
  std::string from = "\nfrom:";
  for (std::size_t place = 0; place < 4; ++place) {
    const Dataset& dataset = PaperDataset(place);
    std::string flag = absl::StrCat("--", dataset.name);
    for (char& c : flag) c = c == '_' ? '-' : c;
    suite->add_option(flag, flags->files[place], absl::StrCat("File of ", dataset.title))->required();
    absl::StrAppend(&from, "\n  ", dataset.name, ": ", dataset.source, "; ", dataset.licence);
  }
  suite->add_option("--seed", flags->seed, "Seed of the four draws")->capture_default_str();
  AddSetFlags(suite, flags->set, "paper-suite-seed1 and the like");
  suite->footer(
      "13 categories in 5 groups: Dialogue, Instruction, Knowledge/Commonsense, Math/Analytical, Other\n"
      "\nexample:\n  uaqf prompts build paper-suite --commonsense-qa validation.jsonl --gsm8k test.jsonl \\\n"
      "    --alpaca user_oriented_instructions.jsonl --triviaqa dev.json --seed 7 --dry-run\n" +
      from);
  OnCommand(suite, context, [&context, flags] { return BuildSuite(context, *flags); });

  auto own = std::make_shared<SetFlags>();
  CLI::App* synthetic = AddCommand(*build, "synthetic", "Our own 900 prompts, 100 in each of nine categories",
                                   "uaqf prompts build synthetic --name own");
  AddSetFlags(synthetic, *own, "synthetic");
  OnCommand(synthetic, context, [&context, own] { return BuildSynthetic(context, *own); });
}

}  // namespace uaqf::client
