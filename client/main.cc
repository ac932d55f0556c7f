// uaqf: the command line of UAQF. Parses flags, runs one command, tells how it went.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <iostream>

#include "client/commands/commands.h"
#include "client/failure.h"

namespace {

using uaqf::client::Context;

// Failures are told on standard error; a watch that was left is not one.
int Tell(const absl::Status& status, Context& context) {
  const uaqf::client::ExitCode code = uaqf::client::ExitCodeOf(status);
  if (status.ok()) return code;
  std::cout.flush();
  if (code == uaqf::client::kExitInterrupted) {
    std::cerr << "\n" << std::string(status.message()) << "\n";
  } else {
    std::cerr << uaqf::client::ErrorText(status, context.err);
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  // gRPC's own log would stand between a person and the one message that says what to do; whoever sets it gets it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  Context context;
  CLI::App app("Measures quantized variants of a language model on your hardware and ranks them.", "uaqf");
  uaqf::client::AddCommands(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return uaqf::client::ReportParseError(app, error, context);
  }
  const int code = Tell(context.action(), context);
  if (!std::cout.flush() && code == uaqf::client::kExitOk) {
    std::cerr << "error: cannot write standard output\n";
    return uaqf::client::kExitFailed;
  }
  return code;
}
