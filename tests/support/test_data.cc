#include "tests/support/test_data.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace uaqf::test {
namespace {

std::string Environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

// Removes what the process made, whatever way its tests ended.
struct ScratchFolders {
  std::vector<std::filesystem::path> made;
  ~ScratchFolders() {
    std::error_code ignored;
    for (const auto& folder : made) std::filesystem::remove_all(folder, ignored);
  }
};

}  // namespace

std::string SourceFile(const std::string& relative) { return Environment("UAQF_SOURCE_DIR", ".") + "/" + relative; }

std::string SharedData(const std::string& relative) {
  return Environment("UAQF_DATA", SourceFile("../shared/data")) + "/" + relative;
}

std::string Program(const std::string& name) { return Environment("UAQF_BIN_DIR", "build/bin") + "/" + name; }

std::string DefaultModel() {
  return Environment("UAQF_DEPS", Environment("HOME", "") + "/.cache/uaqf/deps") +
         "/models/smollm2-135m-instruct.gguf";
}

std::string ScratchFolder() {
  static ScratchFolders folders;
  std::string pattern = std::filesystem::temp_directory_path() / "uaqf-test-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  folders.made.emplace_back(pattern);
  return pattern;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << "cannot read " << path;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool Exists(const std::string& path) { return std::filesystem::exists(path); }

bool DataRequired() { return Environment("UAQF_REQUIRE_DATA", "0") == "1"; }

}  // namespace uaqf::test
