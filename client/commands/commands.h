// The commands of `uaqf`, one function for each noun. Each adds its subcommands to `app`; the one that is named on the
// command line becomes `context.action`. Both outlive the parsed command line.
#pragma once

#include "client/commands/context.h"

namespace uaqf::client {

// Flags of the whole program, and all commands below.
void AddCommands(CLI::App& app, Context& context);

void AddPrompts(CLI::App& app, Context& context);
void AddJobs(CLI::App& app, Context& context);
void AddJobsSubmit(CLI::App& jobs, Context& context);
void AddJobsCompare(CLI::App& jobs, Context& context);
void AddJobsTrend(CLI::App& jobs, Context& context);
void AddJobsImport(CLI::App& jobs, Context& context);
void AddJobsWatch(CLI::App& jobs, Context& context);
void AddJobsRecords(CLI::App& jobs, Context& context);
void AddRank(CLI::App& app, Context& context);
void AddProfiles(CLI::App& app, Context& context);
void AddWorkers(CLI::App& app, Context& context);
void AddVariants(CLI::App& app, Context& context);
void AddVersion(CLI::App& app, Context& context);
// Describes the commands of `app` as they are when it runs.
void AddCompletion(CLI::App& app, Context& context);

// Watches `job` until it ends, with progress, then shows what was measured. Used by `jobs watch` and `submit --watch`.
// INTERRUPTED on Ctrl-C, with how to return; Aborted when the job failed or was cancelled.
[[nodiscard]] absl::Status WatchToTheEnd(Context& context, Client& client, const std::string& job);

// What a command line that cannot be parsed is told, on standard error; help that was asked for, on standard output.
// Returns the exit code.
int ReportParseError(const CLI::App& app, const CLI::ParseError& error, Context& context);

}  // namespace uaqf::client
