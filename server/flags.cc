#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "proto/wire/version.h"

namespace uaqf {

std::string ServerFlags::DefaultStore() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/uaqf/server.db";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr && *home != '\0' ? home : ".") + "/.local/state/uaqf/server.db";
}

int ParseFlags(int argc, char** argv, ServerFlags* flags) {
  CLI::App app("Coordinates the measurement of quantized model variants, and ranks them.", "uaqf-server");
  app.footer(
      "Example:\n"
      "  uaqf-server --insecure-dev --store uaqf.db\n"
      "  uaqf-server --listen 0.0.0.0:7600 --worker-listen 0.0.0.0:7601 --store uaqf.db \\\n"
      "      --tls-cert server.pem --tls-key server-key.pem --tls-ca ca.pem\n"
      "Prints one JSON line with the addresses once it serves. Exit codes: 0 ok, 1 failed, 2 usage, 3 unavailable.");
  rpc::ServerOptions& server = flags->server;
  flags->store = ServerFlags::DefaultStore();
  double grace_s = absl::ToDoubleSeconds(flags->grace);
  app.add_option("--listen", server.listen, "Address for clients; port 0 takes a free one")->capture_default_str();
  app.add_option("--worker-listen", server.worker_listen, "Address for workers")->capture_default_str();
  app.add_option("--metrics", server.metrics, "Address of http://HOST:PORT/metrics")->capture_default_str();
  app.add_option("--store", flags->store, "Database file, made when missing")->capture_default_str();
  app.add_option("--tls-cert", server.security.tls.certificate, "Certificate of this server, PEM");
  app.add_option("--tls-key", server.security.tls.key, "Its private key, PEM");
  app.add_option("--tls-ca", server.security.tls.authority, "Authority that workers' certificates lead to, PEM");
  app.add_flag("--insecure-dev", server.security.insecure_dev, "No TLS; on loopback only");
  app.add_option("--grace", grace_s,
                 "Seconds that workers get to finish on SIGTERM, and that another server gets to leave the store")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  app.set_version_flag("--version", wire::Version());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  flags->grace = absl::Seconds(grace_s);
  return -1;
}

}  // namespace uaqf
