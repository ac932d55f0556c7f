// Lists of processors as Linux writes them: "0-3,6".
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace uaqf::measure {

// Sorted, without doubles. INVALID_ARGUMENT: anything else than numbers below 4096, commas and rising ranges.
[[nodiscard]] absl::StatusOr<std::vector<int>> ParseCpuList(absl::string_view text);

// The shortest form of a sorted list.
std::string FormatCpuList(const std::vector<int>& cpus);

// Processors this process may run on.
std::vector<int> AvailableCpus();

// Confines the calling thread, and the threads it starts later, to `cpus`. INVALID_ARGUMENT: none of them is available.
[[nodiscard]] absl::Status ConfineToCpus(const std::vector<int>& cpus);

}  // namespace uaqf::measure
