#include <memory>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/json.h"
#include "client/names.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

struct CompareFlags {
  std::string job;
  std::string other;
  bool behaviour = false;
};

absl::Status Compare(Context& context, const CompareFlags& flags) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto job = ResolveJob(**client, flags.job);
  if (!job.ok()) return job.status();
  const auto other = ResolveJob(**client, flags.other);
  if (!other.ok()) return other.status();
  const auto answer = (*client)->CompareJobs(*job, *other, flags.behaviour);
  if (!answer.ok()) return answer.status();
  if (context.json()) {
    context.Print(ToJson(*answer));
  } else if (context.csv()) {
    context.Print(flags.behaviour ? CompareOutputsCsv(*answer) : CompareCsv(*answer));
  } else if (flags.behaviour) {
    context.Print(CompareOutputsText(*answer, context.out));
  } else {
    context.Print(CompareText(*answer, context.out));
    context.Next(
        absl::StrCat("uaqf rank ", *job, " ", *other, " (variants that only one of them has, ranked together)"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddJobsCompare(CLI::App& jobs, Context& context) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* compare = AddCommand(
      jobs, "compare", "Tell whether the variants of two jobs differ in speed or loss, where the jobs can be compared",
      "uaqf jobs compare k7f 2m9 --output json");
  compare->add_option("JOB", flags->job, "What is compared with: name, id, or the beginning of one")->required();
  compare->add_option("OTHER", flags->other, "What is compared")->required();
  compare->add_flag("--behaviour", flags->behaviour,
                    "Compare the outputs (jobs submit --agreement), also those of another device or build");
  OnCommand(compare, context, [&context, flags] { return Compare(context, *flags); });
}

}  // namespace uaqf::client
