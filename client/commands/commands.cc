#include "client/commands/commands.h"

#include <ostream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/failure.h"
#include "client/utf8.h"
#include "proto/wire/version.h"

namespace uaqf::client {
namespace {

// The innermost command that was named, with the words that lead to it.
const CLI::App* Innermost(const CLI::App& app, std::string* words) {
  const CLI::App* at = &app;
  *words = app.get_name();
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().back();
    absl::StrAppend(words, " ", at->get_name());
  }
  return at;
}

std::string CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return absl::StrJoin(names, ", ");
}

std::string FirstWord(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (!absl::StartsWith(word, "-")) return word;
  }
  return "";
}

}  // namespace

void AddCommands(CLI::App& app, Context& context) {
  app.fallthrough();
  app.require_subcommand(1);
  app.set_version_flag("--version", absl::StrCat("uaqf ", wire::Version()));
  app.add_option("--server", context.server, "Address of the coordinator, HOST:PORT")
      ->envname("UAQF_SERVER")
      ->capture_default_str();
  app.add_option("--output", context.output, "How answers are written")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str();
  app.add_option("--tls-ca", context.security.tls.authority, "PEM file of the authority behind the coordinator")
      ->envname("UAQF_TLS_CA");
  app.add_option("--tls-cert", context.security.tls.certificate, "PEM file of this client's certificate, if any")
      ->envname("UAQF_TLS_CERT");
  app.add_option("--tls-key", context.security.tls.key, "PEM file of its key")->envname("UAQF_TLS_KEY");
  app.add_flag("--insecure-dev", context.security.insecure_dev, "No TLS, on loopback only: the default there");
  app.footer(
      "exit codes: 0 ok, 1 failed, 2 usage, 3 no coordinator, 4 not decidable, 130 interrupted\n"
      "environment: UAQF_SERVER, UAQF_TLS_CA, UAQF_TLS_CERT, UAQF_TLS_KEY, NO_COLOR\n"
      "\nexample:\n  uaqf jobs submit --model MODEL --variants fp16,rtn-w4-g64 --prompts prompts.jsonl --watch");
  AddPrompts(app, context);
  AddJobs(app, context);
  AddRank(app, context);
  AddProfiles(app, context);
  AddWorkers(app, context);
  AddVariants(app, context);
  AddVersion(app, context);
  AddCompletion(app, context);
}

int ReportParseError(const CLI::App& app, const CLI::ParseError& error, Context& context) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    // Help or the version, as asked for.
    return app.exit(error, *context.out.stream, *context.err.stream);
  }
  std::string words;
  const CLI::App* command = Innermost(app, &words);
  std::string message = error.what();
  const std::string stray = FirstWord(app.remaining(true));
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
      !command->get_subcommands([](const CLI::App*) { return true; }).empty()) {
    message = absl::StrCat(stray.empty() ? "got no command" : absl::StrCat("got the command \"", stray, "\""),
                           ", expected one of ", CommandNames(*command));
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    message = absl::StrCat("got ", absl::StrJoin(app.remaining(true), " "), ", which ", words, " does not take");
  }
  *context.err.stream << ErrorText(UsageError(absl::StrCat(message, "\nsee: ", words, " --help")), context.err);
  return kExitUsage;
}

}  // namespace uaqf::client
