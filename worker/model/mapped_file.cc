#include "worker/model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

absl::Status SystemError(const std::string& what, int error) {
  const std::string message = absl::StrCat(what, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == ELOOP) return absl::InvalidArgumentError(absl::StrCat(what, ": is a symbolic link, expected a file"));
  if (error == ENOTDIR) return absl::InvalidArgumentError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::FailedPreconditionError(message);
}

bool IsOneComponent(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

}  // namespace

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})), identity_(other.identity_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(identity_, other.identity_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

Folder::Folder(int descriptor, std::string path, Links links)
    : descriptor_(descriptor), path_(std::move(path)), links_(links) {}

Folder::Folder(Folder&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)), links_(other.links_) {}

Folder& Folder::operator=(Folder&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  std::swap(links_, other.links_);
  return *this;
}

Folder::~Folder() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<Folder> Folder::Open(const std::string& path, Links links) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return SystemError(path, errno);
  return Folder(descriptor, path, links);
}

absl::StatusOr<int> Folder::OpenAt(const std::string& name, int flags) const {
  if (!IsOneComponent(name)) {
    return absl::InvalidArgumentError(absl::StrCat("got a file name with a slash or dots, expected a plain name"));
  }
  if (links_ == Links::kRefuse) flags |= O_NOFOLLOW;
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const int descriptor = openat(descriptor_, name.c_str(), flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return SystemError(absl::StrCat(path_, "/", name), errno);
  return descriptor;
}

absl::StatusOr<Folder> Folder::Sub(const std::string& name) const {
  absl::StatusOr<int> descriptor = OpenAt(name, O_DIRECTORY);
  if (!descriptor.ok()) return descriptor.status();
  return Folder(*descriptor, absl::StrCat(path_, "/", name), links_);
}

bool Folder::Has(const std::string& name) const {
  struct stat info {};
  return IsOneComponent(name) && fstatat(descriptor_, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

absl::StatusOr<MappedFile> Folder::Map(const std::string& name) const {
  absl::StatusOr<int> descriptor = OpenAt(name, 0);
  if (!descriptor.ok()) return descriptor.status();
  const std::string shown = absl::StrCat(path_, "/", name);
  struct stat info {};
  const int failed = fstat(*descriptor, &info);
  if (failed != 0 || !S_ISREG(info.st_mode)) {
    close(*descriptor);
    return absl::InvalidArgumentError(absl::StrCat(shown, ": is no regular file"));
  }
  MappedFile file;
  file.identity_ = {info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec};
  if (info.st_size > 0) {
    void* address = mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, *descriptor, 0);
    const int error = errno;
    if (address == MAP_FAILED) {
      close(*descriptor);
      return SystemError(shown, error);
    }
    file.bytes_ = {static_cast<const uint8_t*>(address), static_cast<size_t>(info.st_size)};
  }
  close(*descriptor);
  return file;
}

}  // namespace uaqf::model
