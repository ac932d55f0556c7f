#include "worker/model/digest.h"

#include <openssl/evp.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace uaqf::model {
namespace {

// Digests of files by what they were when hashed; a few dozen bytes a model, kept as long as the process.
class DigestCache {
 public:
  std::string Of(const MappedFile& file) {
    {
      absl::MutexLock lock(&mutex_);
      const auto found = digests_.find(file.identity());
      if (found != digests_.end()) return found->second;
    }
    std::string digest = Sha256(file.bytes());
    absl::MutexLock lock(&mutex_);
    digests_[file.identity()] = digest;
    return digest;
  }

 private:
  absl::Mutex mutex_;
  std::map<FileIdentity, std::string> digests_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::string Sha256(std::span<const uint8_t> bytes) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  // These fail only when memory is exhausted or the library is broken, and then nothing else works either.
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest, &length) != 1) {
    std::abort();
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), length));
}

std::string Sha256(std::string_view text) {
  return Sha256(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

std::string DigestOfFiles(const std::map<std::string, const MappedFile*>& files) {
  static DigestCache cache;
  if (files.size() == 1) return cache.Of(*files.begin()->second);
  std::string list;
  for (const auto& [name, file] : files) {
    list += name;
    list += '\0';
    list += cache.Of(*file);
    list += '\n';
  }
  return Sha256(list);
}

}  // namespace uaqf::model
