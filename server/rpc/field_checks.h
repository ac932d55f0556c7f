// Checks of one field, shared by the files of validate.h. Messages say which field, what was got, what was expected.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"

namespace uaqf::rpc {

inline constexpr std::size_t kDigestChars = 64;
inline constexpr std::size_t kMaxIdChars = 128;
inline constexpr std::size_t kMaxTextShown = 60;

inline std::string Shown(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxTextShown)),
                      text.size() > kMaxTextShown ? "…\"" : "\"");
}

inline absl::Status Invalid(absl::string_view reason, absl::string_view message) {
  return wire::Error(absl::StatusCode::kInvalidArgument, reason, message);
}

// Range and what to say of it, for integers and durations alike.
template <typename T>
absl::Status InRange(absl::string_view field, T value, T least, T most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Invalid("OUT_OF_RANGE", absl::StrCat("got ", field, " = ", value, ", expected ", least, " to ", most));
}

// The first failure wins.
inline absl::Status FirstOf(std::initializer_list<absl::Status> checks) {
  for (const absl::Status& check : checks) {
    if (!check.ok()) return check;
  }
  return absl::OkStatus();
}

inline absl::Status PlainId(absl::string_view field, absl::string_view id) {
  if (wire::IsPlainId(id)) return absl::OkStatus();
  return Invalid("INVALID_ID",
                 absl::StrCat("got ", field, " = ", Shown(id), ", expected 1 to 128 characters of [A-Za-z0-9._-]"));
}

inline absl::Status VariantName(absl::string_view field, absl::string_view name) {
  if (wire::IsVariantName(name)) return absl::OkStatus();
  return Invalid("INVALID_ID", absl::StrCat("got ", field, " = ", Shown(name),
                                            ", expected a name of [A-Za-z0-9._-], and options as :NAME=VALUE"));
}

inline absl::Status ModelId(absl::string_view field, absl::string_view id) {
  if (wire::IsModelId(id)) return absl::OkStatus();
  return Invalid("INVALID_ID", absl::StrCat("got ", field, " = ", Shown(id),
                                            ", expected 1 to 128 characters of [A-Za-z0-9._-], or synthetic:NAME"));
}

inline absl::Status Text(absl::string_view field, absl::string_view text, std::size_t longest) {
  if (text.size() <= longest) return absl::OkStatus();
  return Invalid("TOO_LONG", absl::StrCat("got ", field, " of ", text.size(), " bytes, expected at most ", longest));
}

}  // namespace uaqf::rpc
