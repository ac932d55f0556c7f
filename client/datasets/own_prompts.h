// The files of prompts/ as the build put them into the program, so that it finds them from any folder.
#pragma once

#include <array>

#include "absl/strings/string_view.h"

namespace uaqf::client {

struct OwnPromptFile {
  absl::string_view category;
  absl::string_view bytes;
};

// One for each synthetic category, in the order of kPaperCategories.
extern const std::array<OwnPromptFile, 9> kOwnPromptFiles;

}  // namespace uaqf::client
