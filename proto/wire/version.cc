#include "proto/wire/version.h"

namespace uaqf::wire {

std::string Version() { return UAQF_VERSION; }

}  // namespace uaqf::wire
