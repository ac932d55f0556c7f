#include "client/calibration.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace uaqf::client {

std::optional<std::string> OptionOf(const std::string& variant, const std::string& option) {
  const std::vector<std::string> parts = absl::StrSplit(variant, ':');
  const std::string prefix = option + "=";
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (absl::StartsWith(parts[i], prefix)) return parts[i].substr(prefix.size());
  }
  return std::nullopt;
}

std::string WithOption(const std::string& variant, const std::string& option, const std::string& value) {
  std::vector<std::string> parts = absl::StrSplit(variant, ':');
  const std::string prefix = option + "=";
  for (std::size_t i = 1; i < parts.size(); ++i) {
    if (!absl::StartsWith(parts[i], prefix)) continue;
    parts[i] = prefix + value;
    return absl::StrJoin(parts, ":");
  }
  return absl::StrCat(variant, ":", prefix, value);
}

std::string WithCalibration(const std::string& variant, const CalibrationFlags& flags, const std::string& text) {
  std::string made = variant;
  const auto add = [&made](const char* option, const std::string& value) {
    if (!OptionOf(made, option)) made = WithOption(made, option, value);
  };
  if (flags.samples) add("samples", absl::StrCat(*flags.samples));
  if (flags.length) add("length", absl::StrCat(*flags.length));
  if (flags.seed) add("seed", absl::StrCat(*flags.seed));
  if (flags.text) add("text", text);
  return made;
}

std::string WithShortDigests(const std::string& text) {
  const std::string option = ":text=";
  constexpr std::size_t kDigits = 64;
  constexpr std::size_t kShown = 12;
  std::string shown;
  std::size_t at = 0;
  for (std::size_t found = text.find(option); found != std::string::npos; found = text.find(option, at)) {
    const std::size_t begin = found + option.size();
    const std::size_t end = std::min(text.find_first_not_of("0123456789abcdef", begin), text.size());
    shown += text.substr(at, (end - begin == kDigits ? begin + kShown : end) - at);
    at = end;
  }
  return shown + text.substr(at);
}

}  // namespace uaqf::client
