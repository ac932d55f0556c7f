// A published table as the store keeps it: JSON, readable with any tool. An absent figure has no key.
#pragma once

#include <string>

#include "server/core/imported.h"

namespace uaqf::store {

std::string ToJson(const core::ImportedTable& table);
// Throws nlohmann::json::exception on text that ToJson did not write; Guard turns it into DataLoss.
core::ImportedTable ImportedFromJson(const std::string& text);

}  // namespace uaqf::store
