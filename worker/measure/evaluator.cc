#include "worker/measure/evaluator.h"

namespace uaqf::measure {

std::string CalibrationTextOf(std::string_view variant) {
  constexpr std::string_view kOption = ":text=";
  const size_t at = variant.find(kOption);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = variant.substr(at + kOption.size());
  return "promptSets/" + std::string(rest.substr(0, rest.find(':')));
}

}  // namespace uaqf::measure
