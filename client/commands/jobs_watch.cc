#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/failure.h"
#include "client/interrupt.h"
#include "client/json.h"
#include "client/names.h"
#include "client/progress.h"
#include "client/show.h"
#include "client/watch.h"
#include "proto/wire/status.h"

namespace uaqf::client {
namespace {

// Adds how to come back to a job that goes on.
absl::Status WithReturn(const absl::Status& status, const std::string& job) {
  const std::string command = absl::StrCat("uaqf jobs watch ", job);
  if (wire::Reason(status) == kReasonInterrupted) {
    return wire::WithReason(absl::CancelledError(absl::StrCat(job, " goes on; return to it: ", command)),
                            kReasonInterrupted);
  }
  if (!absl::IsUnavailable(status)) return status;
  return absl::UnavailableError(absl::StrCat(std::string(status.message()), "\nreturn to the job: ", command));
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// The stream of states as one JSON document on each line, or as progress.
absl::StatusOr<v1::Job> Follow(Context& context, Client& client, const std::string& job) {
  Cancellation cancellation;
  const InterruptGuard interrupt([&cancellation] { cancellation.Cancel(); });
  ProgressDisplay display(context.out);
  WatchOptions options;
  options.on_gap = [&](const std::string& cause) {
    const std::string line = cause.empty() ? "waiting   over: the coordinator is back"
                                           : absl::StrCat("waiting   ", FirstLine(cause), "; trying again");
    if (context.table()) {
      display.Say(line);
    } else {
      *context.err.stream << line << std::endl;
    }
  };
  return FollowJob(
      client, job,
      [&](const v1::Job& state) {
        if (context.table()) {
          display.Show(state);
        } else {
          *context.out.stream << ToJson(state, /*compact=*/true) << std::flush;
        }
      },
      cancellation, options);
}

}  // namespace

absl::Status WatchToTheEnd(Context& context, Client& client, const std::string& name) {
  const auto job = Follow(context, client, name);
  if (!job.ok()) return WithReturn(job.status(), name);
  if (context.table()) {
    context.Print(EndLine(*job) + "\n");
    const auto measures = client.MeasureVariants(name);
    if (!measures.ok()) return measures.status();
    if (job->progress().records_done() > 0) context.Print("\n" + MeasuresText(*measures, context.out));
    if (job->state() == v1::JOB_STATE_SUCCEEDED) context.Next(absl::StrCat("uaqf rank ", name, " --profile balanced"));
  }
  if (job->state() == v1::JOB_STATE_SUCCEEDED) return absl::OkStatus();
  std::string message = absl::StrCat(name, " ", job->state() == v1::JOB_STATE_CANCELLED ? "was cancelled" : "failed");
  if (!job->error().empty()) absl::StrAppend(&message, ": ", job->error());
  return absl::AbortedError(absl::StrCat(message, "\nwhat was measured: uaqf jobs show ", name));
}

void AddJobsWatch(CLI::App& jobs, Context& context) {
  auto wanted = std::make_shared<std::string>();
  CLI::App* watch =
      AddCommand(jobs, "watch", "Watch a job to its end; Ctrl-C leaves it running", "uaqf jobs watch k7f");
  watch->add_option("JOB", *wanted, "Name, id, or the beginning of one")->required();
  OnCommand(watch, context, [&context, wanted]() -> absl::Status {
    if (context.csv()) return UsageError("got --output csv, expected table or json: a watch is a stream of states");
    const auto client = context.Connect();
    if (!client.ok()) return client.status();
    const auto job = ResolveJob(**client, *wanted);
    if (!job.ok()) return job.status();
    return WatchToTheEnd(context, **client, *job);
  });
}

}  // namespace uaqf::client
