#include "client/datasets/sample.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/failure.h"
#include "proto/wire/digest.h"

namespace uaqf::client {

absl::StatusOr<std::vector<v1::Prompt>> Draw(const std::vector<v1::Prompt>& items, std::size_t count,
                                             std::uint64_t seed) {
  if (count > items.size()) {
    return UsageError(absl::StrCat("got a draw of ", count, ", expected at most ", items.size(), ": all there are"));
  }
  std::vector<std::pair<std::string, std::size_t>> keys;
  for (std::size_t i = 0; i < items.size(); ++i) {
    keys.emplace_back(wire::Sha256Hex(absl::StrCat("uaqf draw 1\n", seed, "\n", items[i].id())), i);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<v1::Prompt> drawn;
  for (std::size_t i = 0; i < count; ++i) drawn.push_back(items[keys[i].second]);
  return drawn;
}

}  // namespace uaqf::client
