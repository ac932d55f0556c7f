// UTF-8: what is valid, where it may be cut, how wide it is on a terminal.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace uaqf::client {

// Bytes of the longest valid prefix: `bytes.size()` when all of it is valid. Surrogates, overlong forms and code
// points above U+10FFFF are invalid.
std::size_t ValidUtf8Prefix(absl::string_view bytes);

// Largest cut of at most `limit` bytes that splits no character of valid UTF-8. `limit` is at least 4.
std::size_t CutAtCharacter(absl::string_view text, std::size_t limit);

// Columns that `text` takes: combining marks none, East Asian wide characters and emoji two. Invalid bytes take one.
int DisplayWidth(absl::string_view text);

// `text` cut to `columns`, with "…" at the end where something is missing.
std::string FitToWidth(absl::string_view text, int columns);

// `text` safe to show: control characters, which could steer the terminal, and invalid bytes become "?". With
// `keep_newlines` line breaks stay.
std::string Printable(absl::string_view text, bool keep_newlines = false);

}  // namespace uaqf::client
