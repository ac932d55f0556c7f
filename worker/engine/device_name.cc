#include "worker/engine/device_name.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace uaqf::engine {

absl::StatusOr<DeviceName> ParseDevice(const std::string& name) {
  if (name == "cpu") return DeviceName{};
  constexpr absl::string_view kCuda = "cuda:";
  DeviceName device{true, 0};
  const absl::string_view digits = absl::StartsWith(name, kCuda) ? absl::string_view(name).substr(kCuda.size()) : "";
  const bool plain = !digits.empty() && digits.size() <= 4 && digits.find_first_not_of("0123456789") == digits.npos;
  if (plain && absl::SimpleAtoi(digits, &device.ordinal) && device.ordinal < 1024) return device;
  return absl::InvalidArgumentError(
      absl::StrCat("device \"", absl::CHexEscape(name.substr(0, 40)), "\": expected cpu or cuda:N, N from 0"));
}

}  // namespace uaqf::engine
