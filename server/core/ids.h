// Job ids and page tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace uaqf::core {

// Gives the next 64 random bits; the caller seeds it.
using RandomBits = std::function<std::uint64_t()>;

// Six characters of [a-z2-9] without look-alikes (i, l, o), the first a letter: "k7f2m9". The store refuses a
// repetition (kIdTaken), and the caller draws again.
std::string NewJobId(const RandomBits& random);

// True for what NewJobId may have made.
bool IsJobId(const std::string& id);

// An opaque place in a list: `kind` says which list, so that a token of another call is refused.
struct PageToken {
  std::string kind;  // e.g. "jobs"; no ':'
  std::int64_t a = 0;
  std::int64_t b = 0;
};

std::string Encode(const PageToken& token);
// Empty text gives {kind, 0, 0}. InvalidArgument: not one of ours, or of another list.
[[nodiscard]] absl::StatusOr<PageToken> DecodePageToken(const std::string& kind, const std::string& text);

}  // namespace uaqf::core
