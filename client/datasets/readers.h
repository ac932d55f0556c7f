// What each data set's file has to offer to dataset.cc, and what they share.
#pragma once

#include <initializer_list>
#include <string>

#include "client/json_rows.h"
#include "uaqf/v1/prompt_set.pb.h"

namespace uaqf::client {

// The text under `key`: a string that is not blank.
Problem NeedText(const Json& row, const char* key, std::string* out);

// An id that does not depend on the place in the file: `prefix` and the file's own id, or, where that is empty or not
// plain, 16 hex digits of the SHA-256 over `parts`.
std::string StableId(const std::string& prefix, const std::string& own, std::initializer_list<std::string> parts);

// The file's own id under `key`, a string or a whole number; "" where there is none.
std::string OwnId(const Json& row, const char* key);

// Without blanks at both ends.
std::string Trimmed(const std::string& text);

Problem ReadGsm8k(const Json& row, v1::Prompt* prompt);
std::string Gsm8kTarget(const v1::Prompt& prompt);
Problem ReadCommonsenseQa(const Json& row, v1::Prompt* prompt);
std::string CommonsenseQaTarget(const v1::Prompt& prompt);
Problem ReadTriviaQa(const Json& row, v1::Prompt* prompt);
std::string TriviaQaTarget(const v1::Prompt& prompt);
Problem ReadAlpaca(const Json& row, v1::Prompt* prompt);
Problem ReadIfeval(const Json& row, v1::Prompt* prompt);

}  // namespace uaqf::client
