// The content address of a prompt set: SHA-256 over the kind and the items, so that client and server agree on it
// without an upload.
//
//   digest = SHA-256( kind as 4 bytes little-endian, then for each item: its size as 8 bytes little-endian, its bytes )
//
// where the bytes of an item are the deterministic serialization of its Prompt without unknown fields.
#pragma once

#include <openssl/evp.h>
#include <uaqf/v1/prompt_set.pb.h>

#include <memory>
#include <string>

namespace uaqf::wire {

class PromptSetDigest {
 public:
  explicit PromptSetDigest(v1::PromptSetKind kind);
  // Returns the item's canonical bytes: what is hashed, counted and stored.
  std::string Add(const v1::Prompt& prompt);
  // 64 characters of lower-case hex. Call once.
  std::string Finish();

 private:
  void Update(const void* bytes, std::size_t size);

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// SHA-256 of `bytes`, lower-case hex.
std::string Sha256Hex(const std::string& bytes);

}  // namespace uaqf::wire
