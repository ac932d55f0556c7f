// The few string operations that the published scorers take from Python, on UTF-8.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace uaqf::evaluate {

// Without white space (Unicode's) at both ends.
std::string_view Strip(std::string_view text);

// Lower case, character by character.
std::string Lower(std::string_view text);

// At least one letter that has a case, and all of those upper (lower).
bool IsUpper(std::string_view text);
bool IsLower(std::string_view text);

// Pieces between white space; none is empty.
std::vector<std::string_view> Words(std::string_view text);

// Every occurrence of `from` (not empty) replaced, from left to right.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

// `text` up to the first of `stops` that occurs in it.
std::string_view CutAtStop(std::string_view text, const std::vector<std::string>& stops);

}  // namespace uaqf::evaluate
