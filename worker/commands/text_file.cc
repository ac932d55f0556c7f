#include "worker/commands/text_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/evaluate/perplexity.h"
#include "worker/evaluate/shared_passage.h"
#include "worker/tokenizer/utf8.h"

namespace uaqf::commands {

absl::StatusOr<std::string> ReadTextFile(const std::string& path, bool join_rows) {
  // A folder opens, and reads as nothing.
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat("text file ", path, " is a folder: expected a file"));
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  // An empty file sets the failbit of `text`, which is no failure of reading.
  if (in.good()) text << in.rdbuf();
  if (!in.is_open() || in.bad()) {
    return absl::NotFoundError(absl::StrCat("text file ", path, ": ", strerror(errno)));
  }
  const std::string bytes = text.str();
  if (const size_t at = tokenizer::FindInvalidUtf8(bytes); at < bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("text file %s is not UTF-8: byte 0x%02X at offset %d of %d; expected UTF-8, convert it first",
                        path, static_cast<unsigned char>(bytes[at]), at, bytes.size()));
  }
  return join_rows ? evaluate::JoinRows(bytes) : bytes;
}

absl::Status CheckOtherText(const std::string& calibration_file, const std::string& scored_file,
                            const std::string& scored) {
  if (calibration_file.empty()) return absl::OkStatus();
  auto calibration = ReadTextFile(calibration_file, /*join_rows=*/false);
  if (!calibration.ok()) return calibration.status();
  return evaluate::CheckNotScored(calibration_file, *calibration, scored_file, scored);
}

}  // namespace uaqf::commands
