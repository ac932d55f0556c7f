#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/json.h"
#include "client/prompt_file.h"
#include "client/published_table.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

struct ImportFlags {
  std::string file;
  std::string name;
  std::string baseline;
};

absl::Status Import(Context& context, const ImportFlags& flags) {
  // A bad file is told without asking anyone.
  const auto bytes = ReadWholeFile(flags.file, 1 << 20);
  if (!bytes.ok()) return bytes.status();
  const std::string file = flags.file == "-" ? "standard input" : flags.file;
  auto table = ParsePublishedTable(*bytes, file, flags.baseline);
  if (!table.ok()) return table.status();
  table->set_title(flags.name.empty() ? std::filesystem::path(file).stem().string() : flags.name);
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto job = (*client)->ImportJob(RandomRequestId(), *table);
  if (!job.ok()) return job.status();
  if (context.json()) {
    context.Print(ToJson(*job));
  } else if (context.csv()) {
    v1::ListJobsResponse one;
    *one.add_jobs() = *job;
    context.Print(JobsCsv(one));
  } else {
    context.Print(JobText(*job, context.out));
    context.Next(absl::StrCat("uaqf rank ", job->name(), " --profile latency-critical"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddJobsImport(CLI::App& jobs, Context& context) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* import = AddCommand(
      jobs, "import", "Keep published figures as a job, to rank them by the same formulas, without uncertainty",
      "uaqf jobs import table7.csv --name \"Table 7, 7B\"\n"
      "  the header of FILE: variant,latency_ms,throughput_tokens_per_s,perplexity_change,memory_gb");
  import->add_option("FILE", flags->file, "CSV with one row for each variant, or - for standard input")->required();
  import->add_option("--name", flags->name, "What the table is called; else the file's name");
  import->add_option("--baseline", flags->baseline, "Label of the FP16 row, where it is not fp16");
  OnCommand(import, context, [&context, flags] { return Import(context, *flags); });
}

}  // namespace uaqf::client
