#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/commands.h"
#include "client/commands/profile_options.h"
#include "client/failure.h"
#include "client/json.h"
#include "client/names.h"
#include "client/show.h"
#include "proto/wire/status.h"

namespace uaqf::client {
namespace {

struct RankFlags {
  std::vector<std::string> jobs;  // the first has the baseline
  std::string profile;
  ProfileFlags given;
  std::string by;  // "", "category" or "group"
};

absl::StatusOr<v1::RankVariantsRequest> Request(Client& client, const RankFlags& flags) {
  v1::RankVariantsRequest request;
  for (const std::string& wanted : flags.jobs) {
    const auto job = ResolveJob(client, wanted);
    if (!job.ok()) return job.status();
    if (request.job().empty()) {
      request.set_job(*job);
    } else {
      request.add_more_jobs(*job);
    }
  }
  request.set_ignore_sanity(flags.given.no_sanity);
  const auto constraints = BuildConstraints(flags.given);
  if (!constraints.ok()) return constraints.status();
  request.mutable_constraints()->Assign(constraints->begin(), constraints->end());
  request.set_price_per_hour(flags.given.price_per_hour);
  const auto deployment = BuildDeployment(flags.given);
  if (!deployment.ok()) return deployment.status();
  request.mutable_traffic()->Assign(deployment->traffic.begin(), deployment->traffic.end());
  request.set_context_tokens(deployment->context_tokens);
  request.set_device_memory_bytes(deployment->device_memory_bytes);
  if (!flags.by.empty()) request.set_split(flags.by == "category" ? v1::SPLIT_CATEGORY : v1::SPLIT_GROUP);
  if (!flags.given.weights.empty()) {
    const auto profile = BuildProfile(flags.given);
    if (!profile.ok()) return profile.status();
    *request.mutable_inline_profile() = *profile;
    return request;
  }
  const auto profile = ResolveProfile(client, flags.profile);
  if (!profile.ok()) return profile.status();
  request.set_profile(*profile);
  return request;
}

// A constraint nobody asked for by name must not be a dead end.
absl::Status WithWayOut(const absl::Status& status) {
  if (ExitCodeOf(status) != kExitNotDecidable) return status;
  const std::string message(status.message());
  if (!absl::StrContains(message, "sanity constraint")) return status;
  return wire::Error(status.code(), kReasonNotDecidable,
                     absl::StrCat(message, "\nwithout the constraint: --no-sanity"));
}

absl::Status Rank(Context& context, const RankFlags& flags) {
  // A bad weight or limit is told without asking anyone.
  if (const auto constraints = BuildConstraints(flags.given); !constraints.ok()) return constraints.status();
  if (const auto deployment = BuildDeployment(flags.given); !deployment.ok()) return deployment.status();
  if (!flags.given.weights.empty()) {
    if (const auto profile = BuildProfile(flags.given); !profile.ok()) return profile.status();
  }
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto request = Request(**client, flags);
  if (!request.ok()) return request.status();
  const auto answer = (*client)->RankVariants(*request);
  if (!answer.ok()) return WithWayOut(answer.status());
  if (context.json()) {
    context.Print(ToJson(*answer));
  } else if (context.csv()) {
    context.Print(RankCsv(*answer));
  } else {
    context.Print(RankText(*answer, context.out));
    if (!flags.by.empty() && answer->slices().empty()) {
      context.Print(absl::StrCat("no prompt of the job has a ", flags.by, ": only sets that name one can be split\n"));
    }
    context.Next(absl::StrCat("uaqf rank ", request->job(), request->more_jobs().empty() ? "" : " ",
                              absl::StrJoin(request->more_jobs(), " "),
                              " --profile NAME (another profile costs no new measurement: uaqf profiles list)"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddRank(CLI::App& app, Context& context) {
  auto flags = std::make_shared<RankFlags>();
  CLI::App* rank =
      AddCommand(app, "rank", "Rank the variants of a job, or of several, for a deployment profile",
                 "uaqf rank k7f --profile latency-critical\n"
                 "  uaqf rank k7f --weights speed=0.5,quality=0.5 --no-sanity\n"
                 "  uaqf rank k7f --max latency-p95=2s --max memory=8GB --by group\n"
                 "  uaqf rank k7f --traffic batch=8:input=512:output=64 --context 4096 --device-memory 24GB\n"
                 "  uaqf rank k7f 2m9   (variants of both, against fp16 of the first)");
  rank->add_option("JOB", flags->jobs,
                   "Name, id, or the beginning of one; of several, which must be comparable, the first "
                   "has the fp16 that all are compared with")
      ->required();
  CLI::Option* profile =
      rank->add_option("--profile", flags->profile, "Profile by name (uaqf profiles list)")->default_str("balanced");
  flags->profile = "balanced";
  AddProfileOptions(rank, flags->given, profile);
  rank->add_flag("--no-sanity", flags->given.no_sanity, "Rank variants that fail the profile's ΔNLL constraint too");
  rank->add_option("--by", flags->by, "Rank each category, or each of the five groups, of the prompts as well")
      ->check(CLI::IsMember({"category", "group"}));
  OnCommand(rank, context, [&context, flags] { return Rank(context, *flags); });
}

}  // namespace uaqf::client
