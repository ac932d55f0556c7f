// Published data sets as prompts that can be scored. Pure functions over the bytes of a file.
//
// A data set is one file of readers: it turns a row of the published format into a prompt (the text of METHODS section
// 7's template, zero shots) with its task. Adding one is that file and its line in dataset.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/json_rows.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

// Grows when a reader makes other prompts of the same file, or Draw chooses others with the same seed.
inline constexpr int kImporterVersion = 1;

struct Dataset {
  // As people type it.
  const char* name;
  const char* title;
  // One of kPaperCategories.
  const char* category;
  // Where the file is to be had, and under which licence.
  const char* source;
  const char* licence;
  // A row of the format, for messages.
  const char* example;
  // Where the published file is one object: the key of its rows. Null: JSON Lines or an array.
  const char* array_key;
  // Fills id, text, reference and task from a row; says what is wrong with it.
  Problem (*read)(const Json& row, v1::Prompt* prompt);
  // What a worked example has behind its prompt, the blank in front included. Null: the task is defined without shots.
  std::string (*target)(const v1::Prompt& prompt);
};

const std::vector<Dataset>& Datasets();
// Null when there is none of that name.
const Dataset* FindDataset(absl::string_view name);

// Every item of `bytes`, the content of `file`, in order; a row repeated word for word is one item. InvalidArgument:
// each bad row (the first ten) as "file:line: got, expected", among them an item without an answer and an id given to
// two different items; a file without rows.
[[nodiscard]] absl::StatusOr<std::vector<v1::Prompt>> ReadDataset(const Dataset& dataset, absl::string_view bytes,
                                                                  const std::string& file);

// Puts `shots` worked examples in front of each prompt, joined by blank lines: the first ones of `pool` drawn with
// `seed`, the same for all prompts, but never the prompt itself. InvalidArgument: a data set without shots, a pool that
// is too small.
[[nodiscard]] absl::Status AddShots(const Dataset& dataset, const std::vector<v1::Prompt>& pool, std::size_t shots,
                                    std::uint64_t seed, std::vector<v1::Prompt>* prompts);

}  // namespace uaqf::client
