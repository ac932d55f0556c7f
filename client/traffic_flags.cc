#include "client/traffic_flags.h"

#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/failure.h"
#include "client/figures.h"

namespace uaqf::client {
namespace {

constexpr char kGridExample[] = ", expected for example --grid batch=1,8,32:input=128,512:output=64";
constexpr char kTrafficExample[] = ", expected for example --traffic batch=8:input=512:output=64:share=0.7";

// "name=value" joined by colons.
absl::StatusOr<std::map<std::string, std::string>> Parts(const std::string& text, const std::set<std::string>& known,
                                                         const char* example) {
  std::map<std::string, std::string> parts;
  for (const absl::string_view part : absl::StrSplit(text, ':')) {
    const std::vector<std::string> sides = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (sides.size() != 2 || known.count(sides[0]) == 0) {
      return UsageError(absl::StrCat("got \"", part, "\" in \"", text, "\"", example));
    }
    if (!parts.emplace(sides[0], sides[1]).second) {
      return UsageError(absl::StrCat("got ", sides[0], " twice in \"", text, "\"", example));
    }
  }
  for (const char* name : {"batch", "input", "output"}) {
    if (parts.count(name) == 0) return UsageError(absl::StrCat("got no ", name, "= in \"", text, "\"", example));
  }
  return parts;
}

absl::StatusOr<std::vector<std::int32_t>> Numbers(const std::string& text, const std::string& name,
                                                  const char* example) {
  std::vector<std::int32_t> numbers;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    std::int32_t number = 0;
    if (!absl::SimpleAtoi(part, &number) || number < 1) {
      return UsageError(absl::StrCat("got \"", part, "\" behind ", name, "=, expected numbers of 1 or more", example));
    }
    numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::int32_t> Number(const std::string& text, const std::string& name, const char* example) {
  const auto numbers = Numbers(text, name, example);
  if (!numbers.ok()) return numbers.status();
  if (numbers->size() == 1) return numbers->front();
  return UsageError(absl::StrCat("got several numbers behind ", name, "=, expected one", example));
}

}  // namespace

absl::StatusOr<v1::TrafficGrid> ParseGrid(const std::string& text) {
  const auto parts = Parts(text, {"batch", "input", "output", "draws"}, kGridExample);
  if (!parts.ok()) return parts.status();
  v1::TrafficGrid grid;
  for (const auto& [name, values] : *parts) {
    if (name == "draws") {
      const auto draws = Number(values, name, kGridExample);
      if (!draws.ok()) return draws.status();
      grid.set_draws(*draws);
      continue;
    }
    const auto numbers = Numbers(values, name, kGridExample);
    if (!numbers.ok()) return numbers.status();
    auto* axis = name == "batch"   ? grid.mutable_batches()
                 : name == "input" ? grid.mutable_input_tokens()
                                   : grid.mutable_output_tokens();
    axis->Add(numbers->begin(), numbers->end());
  }
  return grid;
}

absl::StatusOr<std::vector<v1::TrafficShare>> ParseTraffic(const std::vector<std::string>& texts) {
  std::vector<v1::TrafficShare> traffic;
  for (const std::string& text : texts) {
    const auto parts = Parts(text, {"batch", "input", "output", "share"}, kTrafficExample);
    if (!parts.ok()) return parts.status();
    v1::TrafficShare& added = traffic.emplace_back();
    added.set_share(1);
    for (const auto& [name, value] : *parts) {
      double share = 0;
      if (name == "share") {
        if (!absl::SimpleAtod(value, &share) || !(share > 0)) {
          return UsageError(absl::StrCat("got share=", value, ", expected a number above 0", kTrafficExample));
        }
        added.set_share(share);
        continue;
      }
      const auto number = Number(value, name, kTrafficExample);
      if (!number.ok()) return number.status();
      v1::TrafficShape& shape = *added.mutable_shape();
      if (name == "batch") shape.set_batch(*number);
      if (name == "input") shape.set_input_tokens(*number);
      if (name == "output") shape.set_output_tokens(*number);
    }
  }
  return traffic;
}

std::string MixText(const v1::Profile& profile) {
  return absl::StrJoin(profile.traffic(), ", ", [](std::string* out, const v1::TrafficShare& part) {
    absl::StrAppend(out, Fixed(100 * part.share(), 0), " % ", part.shape().batch(), " x ", part.shape().input_tokens(),
                    "/", part.shape().output_tokens());
  });
}

}  // namespace uaqf::client
