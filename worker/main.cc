// uaqf-worker: hosts one quantized variant of a model at a time and measures it, for a coordinator (serve) or for a
// person at a terminal.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "proto/wire/version.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"
#include "worker/commands/command.h"

namespace {

// The exit code, or 1 when what was said did not get out.
int Flushed(int code) {
  if (std::cout.flush() || code != 0) return code;
  std::cerr << "error: cannot write standard output" << std::endl;
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace uaqf;
  // gRPC's own log would stand between a person and the line that says what to do; whoever sets it gets it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  // Standard output is for results.
  spdlog::set_default_logger(spdlog::stderr_color_mt("uaqf-worker"));
  CLI::App app("Measures quantized variants of a language model on this machine", "uaqf-worker");
  app.set_version_flag("--version", "uaqf-worker " + wire::Version());
  app.require_subcommand(1);
  commands::Run run;
  commands::AddServe(app, run);
  commands::AddInspect(app, run);
  commands::AddEncode(app, run);
  commands::AddGenerate(app, run);
  commands::AddPerplexity(app, run);
  commands::AddWikitext(app, run);
  commands::AddBench(app, run);
  commands::AddQuantize(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Flushed(commands::ReportUsage(app, error));
  }
  return Flushed(commands::Report(run()));
}
