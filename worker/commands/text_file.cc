#include "worker/commands/text_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "worker/evaluate/perplexity.h"

namespace uaqf::commands {

absl::StatusOr<std::string> ReadTextFile(const std::string& path, bool join_rows) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  // An empty file sets the failbit of `text`, which is no failure of reading.
  if (in.good()) text << in.rdbuf();
  if (!in.is_open() || in.bad()) {
    return absl::NotFoundError(absl::StrCat("text file ", path, ": ", strerror(errno)));
  }
  return join_rows ? evaluate::JoinRows(text.str()) : text.str();
}

}  // namespace uaqf::commands
