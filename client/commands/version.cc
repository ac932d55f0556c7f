#include "proto/wire/version.h"

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"

namespace uaqf::client {

void AddVersion(CLI::App& app, Context& context) {
  CLI::App* version =
      AddCommand(app, "version", "Version of this program and of the contract it speaks", "uaqf version --output json");
  OnCommand(version, context, [&context] {
    const std::string number = wire::Version();
    if (context.json()) {
      context.Print(absl::StrCat("{\"version\": \"", number, "\", \"contract\": \"uaqf.v1\"}\n"));
    } else if (context.csv()) {
      context.Print(absl::StrCat("version,contract\n", number, ",uaqf.v1\n"));
    } else {
      context.Print(absl::StrCat("uaqf ", number, " (contract uaqf.v1)\n"));
    }
    return absl::OkStatus();
  });
}

}  // namespace uaqf::client
