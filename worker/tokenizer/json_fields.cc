#include "worker/tokenizer/json_fields.h"

#include "absl/strings/str_cat.h"

namespace uaqf::tokenizer {
namespace {

// Far above any vocabulary; an id names a place in a table that is allocated.
constexpr int64_t kMaxId = int64_t{1} << 24;

absl::Status WrongType(const char* key, const char* expected, const Json& got) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", key, "\" of the tokenizer is ", got.type_name(), ", expected ", expected));
}

}  // namespace

const Json& Member(const Json& object, const char* key) {
  static const Json& none = *new Json();
  if (!object.is_object()) return none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

bool IsText(const Json& value, std::string_view text) {
  const std::string* string = value.get_ptr<const std::string*>();
  return string != nullptr && *string == text;
}

absl::StatusOr<std::string> StringMember(const Json& object, const char* key, const std::string& fallback) {
  const Json& value = Member(object, key);
  if (value.is_null()) return fallback;
  if (!value.is_string()) return WrongType(key, "a string", value);
  return value.get<std::string>();
}

absl::StatusOr<bool> BoolMember(const Json& object, const char* key, bool fallback) {
  const Json& value = Member(object, key);
  if (value.is_null()) return fallback;
  if (!value.is_boolean()) return WrongType(key, "true or false", value);
  return value.get<bool>();
}

absl::StatusOr<int32_t> TokenId(const Json& value, const std::string& what) {
  if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() >= kMaxId) {
    return absl::InvalidArgumentError(
        absl::StrCat("the id of ", what, " is ", value.dump(), ", expected an integer from 0 to ", kMaxId - 1));
  }
  return value.get<int32_t>();
}

absl::StatusOr<AddedToken> ParseAddedToken(const Json& entry, int32_t id) {
  absl::StatusOr<std::string> content = StringMember(entry, "content", "");
  if (!content.ok()) return content.status();
  AddedToken token{.content = *std::move(content), .id = id};
  bool single_word = false;
  // Tokens that are not special are found in normalized text unless the file says otherwise.
  for (const auto& [key, field] : {std::pair("special", &token.control), std::pair("normalized", &token.normalized),
                                   std::pair("lstrip", &token.strip_left), std::pair("rstrip", &token.strip_right),
                                   std::pair("single_word", &single_word)}) {
    const bool fallback = field == &token.normalized && !token.control;
    absl::StatusOr<bool> value = BoolMember(entry, key, fallback);
    if (!value.ok()) return value.status();
    *field = *value;
  }
  if (single_word) {
    return absl::UnimplementedError(absl::StrCat("added token \"", token.content,
                                                 "\" is marked single_word, which is not supported; supported are "
                                                 "lstrip, rstrip, normalized and special"));
  }
  return token;
}

}  // namespace uaqf::tokenizer
