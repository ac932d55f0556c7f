#include "client/figures.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace uaqf::client {

std::string Fixed(double value, int decimals) {
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (std::abs(value) >= 1e6) return absl::StrFormat("%.3g", value);
  return absl::StrFormat("%.*f", decimals, value);
}

std::string Signed(double value, int decimals) {
  const std::string text = Fixed(value, decimals);
  if (text.find_first_of("123456789in") == std::string::npos) return "0";
  return value > 0 ? "+" + text : text;
}

namespace {

// Three digits and one of `units`, each a thousand of the one before.
std::string InUnits(std::int64_t amount, const std::array<const char*, 5>& units) {
  double value = static_cast<double>(amount);
  std::size_t unit = 0;
  // 999.5 would round to "1000".
  while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || std::abs(value) >= 99.95 ? 0 : std::abs(value) >= 9.995 ? 1 : 2;
  return absl::StrFormat("%.*f%s", decimals, value, units[unit]);
}

}  // namespace

std::string Bytes(std::int64_t bytes) { return InUnits(bytes, {" B", " kB", " MB", " GB", " TB"}); }

std::string Quantity(std::int64_t count) { return InUnits(count, {"", " K", " M", " B", " T"}); }

std::string Clock(absl::Duration duration) {
  const std::int64_t seconds = absl::ToInt64Seconds(duration + absl::Milliseconds(500));
  if (seconds < 3600) return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
  return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string Age(absl::Duration duration) {
  const std::int64_t seconds = std::max<std::int64_t>(0, absl::ToInt64Seconds(duration));
  if (seconds < 60) return absl::StrCat(seconds, " s");
  if (seconds < 3600) return absl::StrCat(seconds / 60, " min");
  if (seconds < 48 * 3600) return absl::StrCat(seconds / 3600, " h");
  return absl::StrCat(seconds / 86400, " d");
}

std::string Count(std::int64_t n, const std::string& noun) {
  if (n == 1) return absl::StrCat("1 ", noun);
  if (noun.size() > 1 && noun.back() == 'y') return absl::StrCat(n, " ", noun.substr(0, noun.size() - 1), "ies");
  return absl::StrCat(n, " ", noun, "s");
}

std::string Exact(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return std::string(buffer.data(), end);
}

}  // namespace uaqf::client
