// Files mapped for reading, and the folder they are opened from.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace uaqf::model {

// What tells one state of a file from another without reading it.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modified_ns = 0;
  auto operator<=>(const FileIdentity&) const = default;
};

// A regular file, mapped read-only. Movable; unmaps when destroyed. A file that shrinks while mapped kills the process
// (SIGBUS): models are replaced by renaming, not by writing into them.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return bytes_; }
  const FileIdentity& identity() const { return identity_; }

 private:
  friend class Folder;
  std::span<const uint8_t> bytes_;
  FileIdentity identity_;
};

// An open folder. Files are opened relative to it, so that renaming a folder above changes nothing.
class Folder {
 public:
  enum class Links {
    kFollow,  // a person's own path: Hugging Face's cache is made of links
    kRefuse,  // a name from the network: nothing beneath the folder may lead elsewhere
  };

  static absl::StatusOr<Folder> Open(const std::string& path, Links links);

  Folder(Folder&& other) noexcept;
  Folder& operator=(Folder&& other) noexcept;
  ~Folder();

  // `name` is one component: no slash, neither "." nor "..". NOT_FOUND, or INVALID_ARGUMENT for what is no regular file
  // (folders, pipes, devices, and links when they are refused).
  absl::StatusOr<MappedFile> Map(const std::string& name) const;
  absl::StatusOr<Folder> Sub(const std::string& name) const;
  bool Has(const std::string& name) const;

  // For messages.
  const std::string& path() const { return path_; }

 private:
  Folder(int descriptor, std::string path, Links links);
  absl::StatusOr<int> OpenAt(const std::string& name, int flags) const;

  int descriptor_ = -1;
  std::string path_;
  Links links_;
};

}  // namespace uaqf::model
