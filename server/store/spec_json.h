// A job's specification as the text that the store keeps, readable in any SQLite shell.
#pragma once

#include <string>

#include "server/core/types.h"
#include "server/store/job_store.h"

namespace uaqf::store {

std::string ToJson(const core::JobSpec& spec);
// Throws std::exception on text that ToJson did not make.
core::JobSpec SpecFromJson(const std::string& text);

std::string ToJson(const std::vector<CategoryCount>& categories);
std::vector<CategoryCount> CategoriesFromJson(const std::string& text);

std::string ToJson(const std::vector<std::string>& strings);

}  // namespace uaqf::store
