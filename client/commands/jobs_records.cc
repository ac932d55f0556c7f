#include <algorithm>
#include <memory>
#include <ostream>

#include "client/commands/commands.h"
#include "client/failure.h"
#include "client/interrupt.h"
#include "client/json.h"
#include "client/names.h"
#include "client/records.h"
#include "client/utf8.h"
#include "client/watch.h"

namespace uaqf::client {
namespace {

struct RecordsFlags {
  std::string job;
  std::string variant;
  std::string kind;
  bool follow = false;
};

bool Wanted(const RecordsFlags& flags, const v1::StoredRecord& record) {
  return (flags.variant.empty() || flags.variant == record.variant()) &&
         (flags.kind.empty() || flags.kind == ChunkKindName(record.kind()));
}

int VariantWidth(const v1::Job& job) {
  int width = DisplayWidth("variant");
  for (const v1::VariantProgress& variant : job.progress().variants()) {
    width = std::max(width, DisplayWidth(variant.variant()));
  }
  return width;
}

absl::Status Records(Context& context, const RecordsFlags& flags) {
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto name = ResolveJob(**client, flags.job);
  if (!name.ok()) return name.status();
  const auto job = (*client)->GetJob(*name);
  if (!job.ok()) return job.status();
  // Those of the spec, and fp16#2.
  const auto& variants = job->progress().variants();
  const auto is_wanted = [&](const v1::VariantProgress& variant) { return variant.variant() == flags.variant; };
  if (!flags.variant.empty() && std::none_of(variants.begin(), variants.end(), is_wanted)) {
    return UsageError("got --variant " + flags.variant + ", expected one of the job's\nsee: uaqf jobs show " + *name);
  }
  const int width = VariantWidth(*job);
  if (context.csv()) context.Print(RecordCsvHeader());
  if (context.table()) context.Print(context.out.Paint(Style::kBold, RecordTableHeader(width)));
  v1::StreamRecordsRequest request;
  request.set_job(*name);
  request.set_follow(flags.follow);
  Cancellation cancellation;
  const InterruptGuard interrupt([&cancellation] { cancellation.Cancel(); });
  const absl::Status status = FollowRecords(
      **client, request,
      [&](const v1::StreamRecordsResponse& batch) {
        for (const v1::StoredRecord& record : batch.records()) {
          if (!Wanted(flags, record)) continue;
          context.Print(context.json()  ? ToJson(record, /*compact=*/true)
                        : context.csv() ? RecordCsvLine(record)
                                        : RecordTableLine(record, width));
        }
        if (flags.follow) context.out.stream->flush();
        // Nobody reads any more: a closed pipe, a full disk.
        if (!*context.out.stream) cancellation.Cancel();
      },
      cancellation);
  return status;
}

}  // namespace

void AddJobsRecords(CLI::App& jobs, Context& context) {
  auto flags = std::make_shared<RecordsFlags>();
  CLI::App* records = AddCommand(jobs, "records", "Print the records of a job, in the order they were stored",
                                 "uaqf jobs records k7f --output csv > records.csv");
  records->add_option("JOB", flags->job, "Name, id, or the beginning of one")->required();
  records->add_option("--variant", flags->variant, "Only this variant");
  records->add_option("--kind", flags->kind, "Only this kind")
      ->check(CLI::IsMember(
          {"timing", "generation", "perplexity", "task", "divergence", "article", "summary", "traffic", "agreement"}));
  records->add_flag("--follow", flags->follow, "Go on until the job ends");
  OnCommand(records, context, [&context, flags] { return Records(context, *flags); });
}

}  // namespace uaqf::client
