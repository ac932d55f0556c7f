// uaqf-worker encode: token ids of a text.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_join.h"
#include "worker/commands/command.h"
#include "worker/commands/text_file.h"
#include "worker/evaluate/open_model.h"
#include "worker/evaluate/perplexity.h"

namespace uaqf::commands {
namespace {

struct Options {
  ModelOption model;
  std::string text;
  std::string file;
  bool join_rows = false;
  bool no_bos = false;
  bool special = false;
  bool json = false;
};

absl::Status Encode(const Options& options) {
  auto path = Resolve(options.model);
  if (!path.ok()) return path.status();
  auto model = evaluate::OpenModel::Open(*path);
  if (!model.ok()) return model.status();
  std::string text = options.text;
  if (!options.file.empty()) {
    auto read = ReadTextFile(options.file, options.join_rows);
    if (!read.ok()) return read.status();
    text = *std::move(read);
  }
  auto ids = (*model)->tokenizer().Encode(text, {.add_bos = !options.no_bos, .parse_special = options.special});
  if (!ids.ok()) return ids.status();
  if (options.json) {
    std::cout << nlohmann::ordered_json{{"ids", *ids}, {"tokens", ids->size()}}.dump() << std::endl;
  } else {
    std::cout << absl::StrJoin(*ids, " ") << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace

void AddEncode(CLI::App& app, Run& run) {
  auto options = std::make_shared<Options>();  // shared by the parser's callbacks and the run
  CLI::App* command = app.add_subcommand("encode", "Prints the token ids of a text");
  AddModelOption(*command, options->model);
  CLI::Option* text = command->add_option("TEXT", options->text, "the text, verbatim");
  CLI::Option* file = command->add_option("--file", options->file, "a file with the text, instead of TEXT");
  file->excludes(text);
  command->add_flag("--join-rows", options->join_rows, "join the file's lines by blank lines, as the GPTQ recipe does")
      ->needs(file);
  command->add_flag("--no-bos", options->no_bos, "leave out BOS where the model would begin with it");
  command->add_flag("--special", options->special, "read the text of control tokens as those tokens");
  AddOutputOption(*command, options->json);
  AddExample(*command, "uaqf-worker encode smollm2-135m-instruct \"Once upon a time\" --output json");
  command->callback([options, text, file, &run] {
    if (text->empty() && file->empty()) throw CLI::RequiredError("TEXT or --file");
    run = [options] { return Encode(*options); };
  });
}

}  // namespace uaqf::commands
