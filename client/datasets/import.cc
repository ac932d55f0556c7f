#include "client/datasets/import.h"

#include <filesystem>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/datasets/categories.h"
#include "client/datasets/own_prompts.h"
#include "client/datasets/sample.h"
#include "client/failure.h"
#include "client/prompt_file.h"
#include "proto/wire/digest.h"

namespace uaqf::client {
namespace {

std::string FileName(const std::string& path) { return std::filesystem::path(path).filename().string(); }

// What the draw or the shots of `file` lack is told with its name.
absl::Status About(const InputFile& file, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(file.path, ": ", std::string(status.message())));
}

void Append(ImportedSet more, ImportedSet* set) {
  set->prompts.insert(set->prompts.end(), std::make_move_iterator(more.prompts.begin()),
                      std::make_move_iterator(more.prompts.end()));
  set->sources.insert(set->sources.end(), std::make_move_iterator(more.sources.begin()),
                      std::make_move_iterator(more.sources.end()));
}

}  // namespace

absl::StatusOr<ImportedSet> ImportDataset(const Dataset& dataset, const InputFile& file, const ImportOptions& options) {
  auto items = ReadDataset(dataset, file.bytes, file.path);
  if (!items.ok()) return items.status();
  ImportedSet set;
  v1::PromptSource& source = set.sources.emplace_back();
  source.set_dataset(dataset.name);
  source.set_file(FileName(file.path));
  source.set_file_sha256(wire::Sha256Hex(file.bytes));
  source.set_file_items(static_cast<std::int32_t>(items->size()));
  source.set_importer_version(kImporterVersion);
  if (options.sample.has_value()) {
    auto drawn = Draw(*items, *options.sample, options.seed);
    if (!drawn.ok()) return About(file, drawn.status());
    set.prompts = *std::move(drawn);
    source.set_seed(options.seed);
  } else {
    set.prompts = *std::move(items);
  }
  source.set_taken_items(static_cast<std::int32_t>(set.prompts.size()));
  if (options.shots == 0) return set;
  const auto pool = ReadDataset(dataset, options.shots_file.bytes, options.shots_file.path);
  if (!pool.ok()) return pool.status();
  if (absl::Status added = AddShots(dataset, *pool, options.shots, options.seed, &set.prompts); !added.ok()) {
    return About(options.shots_file, added);
  }
  source.set_seed(options.seed);
  source.set_shots(static_cast<std::int32_t>(options.shots));
  source.set_shots_sha256(wire::Sha256Hex(options.shots_file.bytes));
  return set;
}

absl::StatusOr<ImportedSet> OwnPrompts() {
  ImportedSet set;
  std::string all;
  for (const OwnPromptFile& file : kOwnPromptFiles) {
    auto prompts = ParsePrompts(file.bytes, absl::StrCat("prompts/", std::string(file.category), ".jsonl"));
    if (!prompts.ok()) return prompts.status();
    for (v1::Prompt& prompt : *prompts) {
      prompt.set_group(GroupOf(prompt.category()));
      set.prompts.push_back(std::move(prompt));
    }
    absl::StrAppend(&all, std::string(file.bytes));
  }
  v1::PromptSource& source = set.sources.emplace_back();
  source.set_dataset("uaqf");
  source.set_file_sha256(wire::Sha256Hex(all));
  source.set_file_items(static_cast<std::int32_t>(set.prompts.size()));
  source.set_taken_items(static_cast<std::int32_t>(set.prompts.size()));
  source.set_importer_version(kImporterVersion);
  return set;
}

const Dataset& PaperDataset(std::size_t place) {
  constexpr const char* kNames[kDatasetCategories] = {"commonsense_qa", "gsm8k", "alpaca", "triviaqa"};
  return *FindDataset(kNames[place]);
}

absl::StatusOr<ImportedSet> BuildPaperSuite(const std::vector<InputFile>& files, std::uint64_t seed) {
  if (files.size() != kDatasetCategories) {
    return UsageError(absl::StrCat("got ", files.size(), " files, expected one for each of the four data sets"));
  }
  ImportedSet suite;
  ImportOptions options;
  options.sample = kPaperSample;
  options.seed = seed;
  for (std::size_t place = 0; place < files.size(); ++place) {
    auto set = ImportDataset(PaperDataset(place), files[place], options);
    if (!set.ok()) return set.status();
    Append(*std::move(set), &suite);
  }
  auto own = OwnPrompts();
  if (!own.ok()) return own.status();
  Append(*std::move(own), &suite);
  return suite;
}

}  // namespace uaqf::client
