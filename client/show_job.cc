#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/calibration.h"
#include "client/figures.h"
#include "client/job_spec.h"
#include "client/progress.h"
#include "client/show.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

std::string Line(const std::string& label, const std::string& text) {
  return absl::StrFormat("%-10s%s\n", label, Printable(WithShortDigests(text)));
}

std::string ComparedText(const v1::QualitySpec& quality) {
  if (!quality.divergence()) return "";
  const bool chosen = quality.divergence_mode() == v1::DIVERGENCE_MODE_EXACT ||
                      quality.divergence_mode() == v1::DIVERGENCE_MODE_STREAMED;
  return absl::StrCat(", compared with FP16", chosen ? ", " : "",
                      chosen ? DivergenceModeName(quality.divergence_mode()) : "");
}

std::string DigestOf(const std::string& set_name) { return set_name.substr(set_name.find('/') + 1).substr(0, 12); }

std::string TimingText(const v1::JobSpec& spec) {
  const v1::TimingSpec& timing = spec.timing();
  std::string text = absl::StrCat(Count(timing.repeats(), "repeat"), ", at most ", timing.max_output_tokens(),
                                  " tokens out, output length ", OutputLengthName(timing.output_length()));
  if (timing.input_tokens() > 0) absl::StrAppend(&text, ", ", timing.input_tokens(), " tokens in");
  if (timing.chat()) absl::StrAppend(&text, ", chat template");
  if (spec.noise_floor()) absl::StrAppend(&text, ", fp16 once more for the noise floor");
  const v1::AllocationSpec& allocation = spec.allocation();
  if (allocation.until_decided() > 0) {
    absl::StrAppend(&text, ", until ", allocation.profile(), " is decided with ", allocation.until_decided());
  }
  if (allocation.has_device_time()) {
    const double seconds =
        static_cast<double>(allocation.device_time().seconds()) + 1e-9 * allocation.device_time().nanos();
    absl::StrAppend(&text, ", at most ", seconds, " s of the device");
  }
  return text;
}

std::string QualityText(const v1::QualitySpec& quality) {
  std::vector<std::string> parts;
  if (!quality.text_set().empty()) {
    const std::string windows =
        quality.max_windows() > 0 ? Count(quality.max_windows(), "window") : std::string("all windows");
    parts.push_back(absl::StrCat(windows, " of ", quality.context_tokens(), " tokens of ", DigestOf(quality.text_set()),
                                 ComparedText(quality)));
  }
  if (!quality.task_set().empty()) {
    const std::string items =
        quality.max_task_items() > 0 ? Count(quality.max_task_items(), "task") : std::string("all tasks");
    parts.push_back(absl::StrCat(items, " of ", DigestOf(quality.task_set())));
  }
  if (!quality.article_set().empty()) {
    const std::string articles =
        quality.max_articles() > 0 ? Count(quality.max_articles(), "article") : std::string("all articles");
    parts.push_back(absl::StrCat(articles, " of ", DigestOf(quality.article_set()), " by lm-eval's recipe"));
  }
  return parts.empty() ? "not measured" : absl::StrJoin(parts, "; ");
}

std::string GridText(const v1::TrafficGrid& grid) {
  return absl::StrCat(Count(grid.draws(), "draw"), " of batches of ", absl::StrJoin(grid.batches(), ", "), " with ",
                      absl::StrJoin(grid.input_tokens(), ", "), " tokens in and ",
                      absl::StrJoin(grid.output_tokens(), ", "), " out");
}

std::string AgreementText(const v1::AgreementSpec& agreement) {
  std::string text = absl::StrCat(Count(agreement.prompts(), "prompt"), ", at most ",
                                  Count(agreement.output_tokens(), "token"), ", alone twice");
  if (agreement.batch_sizes().empty()) return text;
  return absl::StrCat(text, " and in batches of ", absl::StrJoin(agreement.batch_sizes(), ", "));
}

std::string VariantErrors(const v1::Job& job) {
  std::string text;
  for (const v1::VariantProgress& variant : job.progress().variants()) {
    const char* what = variant.state() == v1::VARIANT_STATE_STOPPED ? "stopped" : "failed";
    if (!variant.error().empty()) text += Line(what, absl::StrCat(variant.variant(), ": ", variant.error()));
  }
  return text;
}

Style StyleOf(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_SUCCEEDED:
      return Style::kGreen;
    case v1::JOB_STATE_FAILED:
      return Style::kRed;
    case v1::JOB_STATE_CANCELLED:
      return Style::kYellow;
    default:
      return Style::kPlain;
  }
}

std::string RecordsDone(const v1::JobProgress& progress) {
  return absl::StrCat(progress.records_done(), "/", progress.records_total());
}

// What was asked of an imported job: nothing; so where it came from.
std::string ImportedText(const v1::Job& job, const Terminal& terminal) {
  std::string text =
      absl::StrFormat("%-10s%s   %s\n", "job", Printable(job.name()), terminal.Paint(Style::kGreen, "imported"));
  text += Line("table", job.imported().title());
  text +=
      Line("variants",
           absl::StrJoin(std::vector<std::string>(job.spec().variants().begin(), job.spec().variants().end()), ", "));
  return text + Line("baseline", absl::StrCat("fp16 is the row ", job.imported().baseline_label()));
}

}  // namespace

std::string JobText(const v1::Job& job, const Terminal& terminal) {
  if (job.has_imported()) return ImportedText(job, terminal);
  const v1::JobSpec& spec = job.spec();
  const v1::JobProgress& progress = job.progress();
  std::string state = terminal.Paint(StyleOf(job.state()), StateName(job.state()));
  absl::StrAppend(&state, "   ", RecordsDone(progress), " records");
  if (progress.has_remaining() && job.state() == v1::JOB_STATE_RUNNING) {
    absl::StrAppend(&state, "   ", Clock(absl::Seconds(progress.remaining().seconds())), " left");
  }
  if (progress.chunks_rerun() > 0) absl::StrAppend(&state, "   ", Count(progress.chunks_rerun(), "chunk"), " re-run");
  if (progress.records_quarantined() > 0) {
    absl::StrAppend(&state, "   ", Count(progress.records_quarantined(), "record"), " quarantined");
  }
  std::string text = absl::StrFormat("%-10s%s   %s\n", "job", Printable(job.name()), state);
  if (!job.error().empty()) text += Line(job.state() == v1::JOB_STATE_SUCCEEDED ? "ended" : "error", job.error());
  const std::string size =
      job.parameters() > 0 ? absl::StrCat(" (", Quantity(job.parameters()), " parameters)") : std::string();
  text += Line("model", absl::StrCat(spec.model(), size));
  text +=
      Line("variants", absl::StrJoin(std::vector<std::string>(spec.variants().begin(), spec.variants().end()), ", "));
  text += Line("prompts", DigestOf(spec.prompt_set()));
  text += Line("timing", TimingText(spec));
  if (spec.has_grid()) text += Line("traffic", GridText(spec.grid()));
  text += Line("quality", QualityText(spec.quality()));
  if (spec.has_agreement()) text += Line("agreement", AgreementText(spec.agreement()));
  if (job.has_device_time()) text += Line("took", DeviceTimeText(job.device_time()));
  return text + VariantErrors(job);
}

Table JobsTable(const v1::ListJobsResponse& jobs, absl::Time now) {
  Table table({{"job"}, {"state"}, {"model"}, {"variants"}, {"records", Align::kRight}, {"age", Align::kRight}});
  for (const v1::Job& job : jobs.jobs()) {
    const std::vector<std::string> variants(job.spec().variants().begin(), job.spec().variants().end());
    const std::string model =
        job.has_imported() ? absl::StrCat("imported: ", job.imported().title()) : job.spec().model();
    table.AddRow({job.name(), StateName(job.state()), FitToWidth(Printable(model), 48),
                  FitToWidth(absl::StrJoin(variants, ","), 48), RecordsDone(job.progress()),
                  Age(now - TimeOf(job.create_time()))});
  }
  return table;
}

Table JobsCsv(const v1::ListJobsResponse& jobs) {
  Table table({{"name"},
               {"state"},
               {"model"},
               {"variants"},
               {"prompt_set"},
               {"records_done"},
               {"records_total"},
               {"records_quarantined"},
               {"create_time"},
               {"start_time"},
               {"end_time"},
               {"error"},
               {"imported"}});
  for (const v1::Job& job : jobs.jobs()) {
    const std::vector<std::string> variants(job.spec().variants().begin(), job.spec().variants().end());
    table.AddRow({job.name(), StateName(job.state()), job.spec().model(), absl::StrJoin(variants, " "),
                  job.spec().prompt_set(), absl::StrCat(job.progress().records_done()),
                  absl::StrCat(job.progress().records_total()), absl::StrCat(job.progress().records_quarantined()),
                  TimeText(job.create_time()), TimeText(job.start_time()), TimeText(job.end_time()), job.error(),
                  job.imported().title()});
  }
  return table;
}

}  // namespace uaqf::client
