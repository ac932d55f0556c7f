#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/figures.h"
#include "client/json.h"
#include "client/names.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

absl::Status List(Context& context) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto jobs = (*client)->ListJobs();
  if (!jobs.ok()) return jobs.status();
  if (context.json()) {
    context.Print(ToJson(*jobs));
  } else {
    context.Print(context.csv() ? JobsCsv(*jobs) : JobsTable(*jobs, absl::Now()));
    context.Next(jobs->jobs().empty() ? "uaqf jobs submit --help"
                                      : absl::StrCat("uaqf jobs show ", jobs->jobs(0).name()));
  }
  return absl::OkStatus();
}

// One document: the job, and its measures under "measures".
std::string JobWithMeasures(const v1::Job& job, const v1::MeasureVariantsResponse& measures) {
  auto document = nlohmann::ordered_json::parse(ToJson(job));
  document["measures"] = nlohmann::ordered_json::parse(ToJson(measures));
  return document.dump(1) + "\n";
}

absl::Status Show(Context& context, const std::string& wanted) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto name = ResolveJob(**client, wanted);
  if (!name.ok()) return name.status();
  const auto job = (*client)->GetJob(*name);
  if (!job.ok()) return job.status();
  const auto measures = (*client)->MeasureVariants(*name);
  if (!measures.ok()) return measures.status();
  if (context.json()) {
    context.Print(JobWithMeasures(*job, *measures));
  } else if (context.csv()) {
    context.Print(MeasuresCsv(*measures));
  } else {
    const std::string evidence =
        EvidenceText(measures->evidence(), context.out) + NoiseFloorLine(measures->noise_floor());
    context.Print(absl::StrCat(JobText(*job, context.out), "\n", MeasuresText(*measures, context.out),
                               evidence.empty() ? "" : "\n", evidence));
    const char* profile = job->has_imported() ? "latency-critical" : "balanced";
    context.Next(HasEnded(job->state()) ? absl::StrCat("uaqf rank ", *name, " --profile ", profile)
                                        : absl::StrCat("uaqf jobs watch ", *name));
  }
  return absl::OkStatus();
}

// The names of the document's fields are those of MeasureVariantsResponse.
std::string ConfigurationsJson(const v1::MeasureVariantsResponse& measures) {
  v1::MeasureVariantsResponse configurations;
  configurations.set_job(measures.job());
  *configurations.mutable_configurations() = measures.configurations();
  const auto whole = nlohmann::ordered_json::parse(ToJson(configurations));
  const nlohmann::ordered_json document = {{"job", whole["job"]}, {"configurations", whole["configurations"]}};
  return document.dump(1) + "\n";
}

absl::Status ShowConfigurations(Context& context, const std::string& wanted) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto name = ResolveJob(**client, wanted);
  if (!name.ok()) return name.status();
  const auto measures = (*client)->MeasureVariants(*name);
  if (!measures.ok()) return measures.status();
  if (context.json()) {
    context.Print(ConfigurationsJson(*measures));
  } else {
    context.Print(context.csv() ? ConfigurationsCsv(*measures) : ConfigurationsTable(*measures));
  }
  return absl::OkStatus();
}

absl::Status Cancel(Context& context, const std::string& wanted) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto name = ResolveJob(**client, wanted);
  if (!name.ok()) return name.status();
  const auto before = (*client)->GetJob(*name);
  if (!before.ok()) return before.status();
  const auto job = (*client)->CancelJob(*name, RandomRequestId());
  if (!job.ok()) return job.status();
  if (context.json()) {
    context.Print(ToJson(*job));
  } else if (context.csv()) {
    v1::ListJobsResponse one;
    *one.add_jobs() = *job;
    context.Print(JobsCsv(one));
  } else if (HasEnded(before->state())) {
    context.Print(absl::StrCat(*name, " had ended; nothing changed\n"));
  } else {
    context.Print(absl::StrCat("cancelled ", *name, "; ", Count(job->progress().records_done(), "record"),
                               " stay and can be ranked\n"));
    context.Next(absl::StrCat("uaqf jobs show ", *name));
  }
  return absl::OkStatus();
}

}  // namespace

void AddJobs(CLI::App& app, Context& context) {
  CLI::App* jobs = AddCommand(app, "jobs", "Measurements: submit, watch, show", "uaqf jobs list");
  jobs->require_subcommand(1);
  AddJobsSubmit(*jobs, context);
  AddJobsImport(*jobs, context);

  CLI::App* list = AddCommand(*jobs, "list", "List jobs, newest first", "uaqf jobs list --output csv");
  OnCommand(list, context, [&context] { return List(context); });

  auto shown = std::make_shared<std::string>();
  CLI::App* show = AddCommand(*jobs, "show", "Show a job and what was measured", "uaqf jobs show k7f");
  show->add_option("JOB", *shown, "Name, id, or the beginning of one")->required();
  OnCommand(show, context, [&context, shown] { return Show(context, *shown); });

  AddJobsCompare(*jobs, context);
  AddJobsTrend(*jobs, context);
  AddJobsWatch(*jobs, context);
  AddJobsRecords(*jobs, context);

  auto configured = std::make_shared<std::string>();
  CLI::App* configurations = AddCommand(
      *jobs, "configurations", "Show what each variant is in full: every option, the calibration, the quantizer",
      "uaqf jobs configurations k7f --output json");
  configurations->add_option("JOB", *configured, "Name, id, or the beginning of one")->required();
  OnCommand(configurations, context, [&context, configured] { return ShowConfigurations(context, *configured); });

  auto cancelled = std::make_shared<std::string>();
  CLI::App* cancel = AddCommand(*jobs, "cancel", "End a job; what was measured stays", "uaqf jobs cancel k7f2m9");
  cancel->add_option("JOB", *cancelled, "Name, id, or the beginning of one")->required();
  OnCommand(cancel, context, [&context, cancelled] { return Cancel(context, *cancelled); });
}

}  // namespace uaqf::client
