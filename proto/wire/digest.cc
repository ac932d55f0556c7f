#include "proto/wire/digest.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace uaqf::wire {
namespace {

template <typename T>
std::string LittleEndian(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  return bytes;
}

std::string Canonical(const v1::Prompt& prompt) {
  v1::Prompt known = prompt;
  known.DiscardUnknownFields();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    known.SerializeToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace

PromptSetDigest::PromptSetDigest(v1::PromptSetKind kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  const std::string bytes = LittleEndian(static_cast<std::uint32_t>(kind));
  Update(bytes.data(), bytes.size());
}

void PromptSetDigest::Update(const void* bytes, std::size_t size) { EVP_DigestUpdate(context_.get(), bytes, size); }

std::string PromptSetDigest::Add(const v1::Prompt& prompt) {
  std::string bytes = Canonical(prompt);
  const std::string size = LittleEndian(static_cast<std::uint64_t>(bytes.size()));
  Update(size.data(), size.size());
  Update(bytes.data(), bytes.size());
  return bytes;
}

std::string PromptSetDigest::Finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_.get(), digest, &size);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

std::string Sha256Hex(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

}  // namespace uaqf::wire
