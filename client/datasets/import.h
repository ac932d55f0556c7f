// Sets of prompts as the commands make them, each with the record of where it came from. Pure functions over bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/datasets/dataset.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

inline constexpr std::uint64_t kDefaultSeed = 1;
// What the paper takes of each data set.
inline constexpr std::size_t kPaperSample = 200;

struct InputFile {
  // As people named it, for messages.
  std::string path;
  std::string bytes;
};

struct ImportOptions {
  // Draw this many, see sample.h; absent: all items, in the order of the file.
  std::optional<std::size_t> sample;
  std::uint64_t seed = kDefaultSeed;
  // Worked examples before each prompt, drawn from `shots_file`; see AddShots.
  std::size_t shots = 0;
  InputFile shots_file;
};

struct ImportedSet {
  std::vector<v1::Prompt> prompts;
  std::vector<v1::PromptSource> sources;
};

// Items of a published file. InvalidArgument: see ReadDataset, Draw and AddShots; a bad item anywhere in the file is
// told, drawn or not.
[[nodiscard]] absl::StatusOr<ImportedSet> ImportDataset(const Dataset& dataset, const InputFile& file,
                                                        const ImportOptions& options);

// The 900 prompts that the program brings along, 100 in each of the nine synthetic categories, in the order of
// kPaperCategories.
[[nodiscard]] absl::StatusOr<ImportedSet> OwnPrompts();

// The paper's suite: 200 drawn with `seed` from each of CommonsenseQA, GSM8K, Alpaca and TriviaQA, then our own 900.
// `files` has one for each of the four, in the order of kPaperCategories.
[[nodiscard]] absl::StatusOr<ImportedSet> BuildPaperSuite(const std::vector<InputFile>& files, std::uint64_t seed);

// The data set that fills the category of that place in kPaperCategories, 0 to 3.
const Dataset& PaperDataset(std::size_t place);

}  // namespace uaqf::client
