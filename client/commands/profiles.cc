#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/commands/commands.h"
#include "client/commands/profile_options.h"
#include "client/json.h"
#include "client/names.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

struct CreateFlags {
  std::string name;
  std::string description;
  ProfileFlags given;
};

std::string FullName(absl::string_view name) {
  absl::ConsumePrefix(&name, "profiles/");
  return absl::StrCat("profiles/", name);
}

void PrintOne(Context& context, const v1::Profile& profile) {
  if (context.json()) {
    context.Print(ToJson(profile));
  } else if (context.csv()) {
    v1::ListProfilesResponse one;
    *one.add_profiles() = profile;
    context.Print(ProfilesCsv(one));
  } else {
    context.Print(ProfileText(profile, context.out));
    context.Next(absl::StrCat("uaqf rank JOB --profile ", profile.name().substr(profile.name().find('/') + 1)));
  }
}

absl::Status List(Context& context) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto profiles = (*client)->ListProfiles();
  if (!profiles.ok()) return profiles.status();
  if (context.json()) {
    context.Print(ToJson(*profiles));
  } else {
    context.Print(context.csv() ? ProfilesCsv(*profiles) : ProfilesTable(*profiles));
    context.Next("uaqf rank JOB --profile NAME");
  }
  return absl::OkStatus();
}

absl::Status Show(Context& context, const std::string& wanted) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto name = ResolveProfile(**client, wanted);
  if (!name.ok()) return name.status();
  const auto profile = (*client)->GetProfile(*name);
  if (!profile.ok()) return profile.status();
  PrintOne(context, *profile);
  return absl::OkStatus();
}

absl::Status Create(Context& context, const CreateFlags& flags) {
  auto profile = BuildProfile(flags.given);
  if (!profile.ok()) return profile.status();
  const auto constraints = BuildConstraints(flags.given);
  if (!constraints.ok()) return constraints.status();
  profile->mutable_constraints()->Assign(constraints->begin(), constraints->end());
  profile->set_price_per_hour(flags.given.price_per_hour);
  const auto deployment = BuildDeployment(flags.given);
  if (!deployment.ok()) return deployment.status();
  profile->mutable_traffic()->Assign(deployment->traffic.begin(), deployment->traffic.end());
  profile->set_context_tokens(deployment->context_tokens);
  profile->set_device_memory_bytes(deployment->device_memory_bytes);
  profile->set_name(FullName(flags.name));
  profile->set_description(flags.description);
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto created = (*client)->CreateProfile(*profile, RandomRequestId());
  if (!created.ok()) return created.status();
  PrintOne(context, *created);
  return absl::OkStatus();
}

absl::Status Delete(Context& context, const std::string& name) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  // Never by a prefix: what is gone is gone.
  const absl::Status deleted = (*client)->DeleteProfile(FullName(name), RandomRequestId());
  if (!deleted.ok()) return deleted;
  if (context.table()) context.Print(absl::StrCat("deleted ", FullName(name), "\n"));
  if (context.json()) context.Print("{}\n");
  return absl::OkStatus();
}

}  // namespace

void AddProfiles(CLI::App& app, Context& context) {
  CLI::App* profiles = AddCommand(app, "profiles", "What deployments care about, as weights", "uaqf profiles list");
  profiles->require_subcommand(1);

  CLI::App* list = AddCommand(*profiles, "list", "List profiles, built-in ones first", "uaqf profiles list");
  OnCommand(list, context, [&context] { return List(context); });

  auto shown = std::make_shared<std::string>();
  CLI::App* show = AddCommand(*profiles, "show", "Show a profile", "uaqf profiles show balanced");
  show->add_option("NAME", *shown, "Name, or the beginning of one")->required();
  OnCommand(show, context, [&context, shown] { return Show(context, *shown); });

  auto flags = std::make_shared<CreateFlags>();
  CLI::App* create = AddCommand(*profiles, "create", "Store a profile",
                                "uaqf profiles create chat --weights speed=0.5,quality=0.3,stability=0.2");
  create->add_option("NAME", flags->name, "1 to 64 characters of [a-z0-9-]")->required();
  create->add_option("--description", flags->description, "One line for people");
  AddProfileOptions(create, flags->given, nullptr);
  create->add_flag("--no-sanity", flags->given.no_sanity, "No ΔNLL constraint");
  OnCommand(create, context, [&context, flags] { return Create(context, *flags); });

  auto deleted = std::make_shared<std::string>();
  CLI::App* remove = AddCommand(*profiles, "delete", "Delete a stored profile", "uaqf profiles delete chat");
  remove->add_option("NAME", *deleted, "Its whole name")->required();
  OnCommand(remove, context, [&context, deleted] { return Delete(context, *deleted); });
}

}  // namespace uaqf::client
