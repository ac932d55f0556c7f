// Typed access to the fields of a JSON object that somebody else wrote.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/tokenizer/vocabulary.h"

namespace uaqf::tokenizer {

using Json = nlohmann::json;

// The member `key`; a shared null where there is none or `object` is no object.
const Json& Member(const Json& object, const char* key);

// Is it the string `text`?
bool IsText(const Json& value, std::string_view text);

// `fallback` where the member is absent or null. INVALID_ARGUMENT: of another type.
absl::StatusOr<std::string> StringMember(const Json& object, const char* key, const std::string& fallback);
absl::StatusOr<bool> BoolMember(const Json& object, const char* key, bool fallback);

// A token id: an integer in [0, 2^24). INVALID_ARGUMENT otherwise; `what` names it.
absl::StatusOr<int32_t> TokenId(const Json& value, const std::string& what);

// One entry of added_tokens (or of added_tokens_decoder, whose id is its key). UNIMPLEMENTED: single_word.
absl::StatusOr<AddedToken> ParseAddedToken(const Json& entry, int32_t id);

}  // namespace uaqf::tokenizer
