// The one version string of server, worker and client.
#pragma once

#include <string>

namespace uaqf::wire {

// "0.1.0".
std::string Version();

}  // namespace uaqf::wire
