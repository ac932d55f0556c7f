// The flags of ProfileFlags, as `rank` and `profiles create` share them.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "client/profile_flags.h"

namespace uaqf::client {

// Adds --weights and what goes with it. With `instead` (a named profile), --weights excludes it and is optional.
void AddProfileOptions(CLI::App* command, ProfileFlags& flags, CLI::Option* instead);

}  // namespace uaqf::client
