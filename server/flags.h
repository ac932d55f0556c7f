// The command line of uaqf-server.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "server/rpc/server.h"

namespace uaqf {

struct ServerFlags {
  rpc::ServerOptions server;
  std::string store;
  // How long workers get to finish what they run when the server is told to stop.
  absl::Duration grace = absl::Seconds(10);

  // Where the store is when no --store is given: uaqf/server.db in the state folder of the XDG base directory rules.
  static std::string DefaultStore();
};

// Parses into `flags`. Returns an exit code to end with (0 after --help and --version, 2 for a wrong line, explained on
// standard error), or -1 to go on.
int ParseFlags(int argc, char** argv, ServerFlags* flags);

}  // namespace uaqf
