#include <map>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/calibration.h"
#include "client/commands/commands.h"
#include "client/failure.h"
#include "client/figures.h"
#include "client/job_spec.h"
#include "client/json.h"
#include "client/names.h"
#include "client/prompt_file.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

struct SubmitFlags {
  JobFlags job;
  CalibrationFlags calibration;
  std::string request_id;
  bool watch = false;
  bool dry_run = false;
};

absl::StatusOr<v1::JobSpec> ReadSpec(const JobFlags& flags) {
  std::string json;
  if (flags.spec_file) {
    auto read = ReadWholeFile(*flags.spec_file);
    if (!read.ok()) return read.status();
    json = *std::move(read);
    // An empty file would pass for no file.
    if (json.empty()) json = " ";
  }
  return BuildJobSpec(flags, json);
}

// Replaces what was typed by the set's name, and says what it is.
absl::StatusOr<v1::PromptSet> Resolve(Context& context, Client& client, const std::string& wanted,
                                      v1::PromptSetKind kind) {
  const auto resolved = ResolvePromptSet(client, wanted, kind);
  if (!resolved.ok()) return resolved.status();
  if (context.table()) context.Print(SetLine(*resolved) + "\n");
  return resolved->set;
}

// The digest of a text that variants are to be calibrated on.
absl::StatusOr<std::string> ResolveText(Context& context, Client& client, const std::string& wanted) {
  const auto set = Resolve(context, client, wanted, v1::PROMPT_SET_KIND_TEXT);
  if (!set.ok()) return set.status();
  return set->name().substr(set->name().find('/') + 1);
}

// Which variants of the model are calibrated, by name without options.
absl::StatusOr<std::set<std::string>> CalibratedVariants(Client& client, const std::string& model) {
  const auto known = client.ListVariants(model);
  if (!known.ok()) return known.status();
  std::set<std::string> calibrated;
  for (const v1::VariantInfo& variant : known->variants()) {
    if (variant.calibrated()) calibrated.insert(variant.variant());
  }
  return calibrated;
}

// Adds what the flags ask for to the calibrated variants, and puts digests in place of the texts that were typed.
absl::Status ResolveCalibration(Context& context, Client& client, const CalibrationFlags& flags, v1::JobSpec* spec) {
  if (flags.any()) {
    const auto calibrated = CalibratedVariants(client, spec->model());
    if (!calibrated.ok()) return calibrated.status();
    int changed = 0;
    for (std::string& variant : *spec->mutable_variants()) {
      if (calibrated->count(variant.substr(0, variant.find(':'))) == 0) continue;
      variant = WithCalibration(variant, flags, flags.text.value_or(""));
      ++changed;
    }
    if (changed == 0) {
      return UsageError(
          absl::StrCat("got --calibration flags, but none of the variants is calibrated, expected one of ",
                       absl::StrJoin(*calibrated, ", ")));
    }
  }
  std::map<std::string, std::string> digests;
  for (std::string& variant : *spec->mutable_variants()) {
    const auto typed = OptionOf(variant, "text");
    if (!typed) continue;
    if (digests.count(*typed) == 0) {
      auto digest = ResolveText(context, client, *typed);
      if (!digest.ok()) return digest.status();
      digests[*typed] = *std::move(digest);
    }
    variant = WithOption(variant, "text", digests[*typed]);
  }
  return absl::OkStatus();
}

// "on 1 device (cpu:host:0-1)"; empty when nobody knows.
std::string DevicesFor(Client& client, const std::string& model) {
  const auto workers = client.ListWorkers();
  if (!workers.ok()) return "";
  std::set<std::string> devices;
  for (const v1::Worker& worker : workers->workers()) {
    for (const v1::ModelInfo& info : worker.models()) {
      if (info.model() == model) devices.insert(worker.device().id());
    }
  }
  if (devices.empty()) return "";
  return absl::StrCat(", on ", Count(static_cast<std::int64_t>(devices.size()), "device"), " (",
                      absl::StrJoin(devices, ", "), ")");
}

std::string JobLine(Client& client, const v1::Job& job, int prompts) {
  const v1::JobSpec& spec = job.spec();
  const int repeats = spec.timing().repeats();
  const int timed = spec.variants_size() + (spec.noise_floor() ? 1 : 0);
  std::string text =
      absl::StrCat("job       ", job.name(), "   ", Count(spec.variants_size(), "variant"),
                   spec.noise_floor() ? " and fp16 once more" : "", " x ", Count(prompts, "prompt"), " x ",
                   Count(repeats, "repeat"), " = ", Count(std::int64_t{timed} * prompts * repeats, "timed generation"));
  if (!spec.quality().text_set().empty()) {
    absl::StrAppend(&text, ", ",
                    spec.quality().max_windows() > 0 ? Count(spec.quality().max_windows(), "window") : "all windows",
                    " of text", spec.quality().divergence() ? ", compared with FP16" : "");
  }
  if (!spec.quality().task_set().empty()) {
    absl::StrAppend(&text, ", ",
                    spec.quality().max_task_items() > 0 ? Count(spec.quality().max_task_items(), "task") : "all tasks");
  }
  if (!spec.quality().article_set().empty()) {
    absl::StrAppend(
        &text, ", ",
        spec.quality().max_articles() > 0 ? Count(spec.quality().max_articles(), "article") : "all articles");
  }
  if (spec.has_grid()) {
    const v1::TrafficGrid& grid = spec.grid();
    const std::int64_t cells = std::int64_t{grid.batches_size()} * grid.input_tokens_size() * grid.output_tokens_size();
    absl::StrAppend(&text, ", ", Count(cells * grid.draws() * spec.variants_size(), "timed batch"));
  }
  return absl::StrCat(text, DevicesFor(client, spec.model()), "\n");
}

absl::Status WithRequestId(const absl::Status& status, const std::string& request_id) {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
  return absl::Status(status.code(),
                      absl::StrCat(std::string(status.message()),
                                   "\nthe job may have been accepted; submitting again with --request-id ", request_id,
                                   " gives the same job"));
}

absl::Status Submit(Context& context, const SubmitFlags& flags) {
  auto spec = ReadSpec(flags.job);
  if (!spec.ok()) return spec.status();
  if (flags.dry_run && flags.calibration.any()) {
    return UsageError(
        "got --calibration flags with --dry-run, which does not ask the workers what is calibrated, expected options "
        "behind the variants: gptq-w4:samples=16:text=SET");
  }
  if (flags.dry_run) {
    context.Print(ToJson(*spec));
    return absl::OkStatus();
  }
  const auto client = context.Connect();
  if (!client.ok()) return client.status();
  const auto prompts = Resolve(context, **client, spec->prompt_set(), v1::PROMPT_SET_KIND_PROMPTS);
  if (!prompts.ok()) return prompts.status();
  spec->set_prompt_set(prompts->name());
  if (!spec->quality().task_set().empty()) {
    const auto tasks = Resolve(context, **client, spec->quality().task_set(), v1::PROMPT_SET_KIND_PROMPTS);
    if (!tasks.ok()) return tasks.status();
    spec->mutable_quality()->set_task_set(tasks->name());
  }
  if (!spec->quality().text_set().empty()) {
    const auto text = Resolve(context, **client, spec->quality().text_set(), v1::PROMPT_SET_KIND_TEXT);
    if (!text.ok()) return text.status();
    spec->mutable_quality()->set_text_set(text->name());
  }
  if (!spec->quality().article_set().empty()) {
    const auto articles = Resolve(context, **client, spec->quality().article_set(), v1::PROMPT_SET_KIND_TEXT);
    if (!articles.ok()) return articles.status();
    spec->mutable_quality()->set_article_set(articles->name());
  }
  if (absl::Status calibration = ResolveCalibration(context, **client, flags.calibration, &*spec); !calibration.ok()) {
    return calibration;
  }
  const std::string request_id = flags.request_id.empty() ? RandomRequestId() : flags.request_id;
  const auto job = (*client)->CreateJob(request_id, *spec);
  if (!job.ok()) return WithRequestId(job.status(), request_id);
  if (context.table()) {
    context.Print(JobLine(**client, *job, prompts->prompt_count()));
  } else if (!flags.watch && context.csv()) {
    v1::ListJobsResponse one;
    *one.add_jobs() = *job;
    context.Print(JobsCsv(one));
  } else if (!flags.watch) {
    context.Print(ToJson(*job));
  }
  if (flags.watch) return WatchToTheEnd(context, **client, job->name());
  context.Next(absl::StrCat("uaqf jobs watch ", job->name()));
  return absl::OkStatus();
}

void AddFlags(CLI::App* submit, SubmitFlags& flags) {
  JobFlags& job = flags.job;
  submit->add_option("--spec", job.spec_file, "JobSpec as protobuf JSON; flags given beside it win");
  submit->add_option("--model", job.model, "Model id under the workers' --models folder");
  submit->add_option("--variants", job.variants, "Variants by name, with commas; fp16 is the baseline")->delimiter(',');
  submit->add_option("--prompts", job.prompts, "Set by label, digest or its beginning, or a JSON Lines file");
  submit->add_option("--repeats", job.repeats, "Runs of each prompt [3]");
  submit->add_option("--input-tokens", job.input_tokens, "Exact input length; 0: each prompt's own [0]");
  submit->add_option("--max-output-tokens", job.max_output_tokens, "Most tokens emitted [512]");
  submit
      ->add_option("--output-length", job.output_length, "Tokens emitted: as fp16 does, exactly, as it comes [matched]")
      ->check(CLI::IsMember({"matched", "fixed", "natural"}));
  submit->add_option("--block", job.block, "Prompts in one chunk [8]");
  submit->add_option("--warmup", job.warmup, "Untimed generations before a chunk [1]");
  submit->add_option(
      "--quality-text", job.quality_text,
      "Text for perplexity: label, digest or file; raw WikiText by the label of its import with --join-rows");
  submit->add_option("--context", job.context, "Tokens in a window of the text [2048]");
  submit->add_option("--windows", job.windows, "Windows scored; 0: all [0]");
  submit->add_flag("--divergence", job.divergence, "Compare with FP16 on the same windows");
  submit
      ->add_option(
          "--divergence-mode", job.divergence_mode,
          "exact: a worker hosts FP16 beside the variant; streamed: FP16's worker sends summaries that bound it "
          "from both sides; auto: exact where both fit [auto]")
      ->check(CLI::IsMember({"auto", "exact", "streamed"}));
  submit->add_option("--wikitext", job.wikitext,
                     "Raw WikiText whose articles are scored whole, by lm-eval's recipe: label, digest or file");
  submit->add_option("--articles", job.articles, "Articles scored, from the start [all]");
  submit->add_option("--tasks", job.tasks, "Set with tasks (see `uaqf prompts import`): label, digest or file");
  submit->add_option("--task-items", job.task_items, "Items scored, from the start of the set [all]");
  CalibrationFlags& calibration = flags.calibration;
  submit->add_option("--calibration-text", calibration.text,
                     "Text that calibrated variants are made with: label, digest or file, not the one that is scored "
                     "[prose of the workers]");
  submit->add_option("--calibration-samples", calibration.samples, "Samples cut from it; 0: as many as it has [0]")
      ->check(CLI::Range(0, 65536));
  submit->add_option("--calibration-length", calibration.length, "Tokens in a sample; 0: at most 2048 [0]")
      ->check(CLI::Range(0, 1 << 17));
  submit->add_option("--calibration-seed", calibration.seed, "Seed of the samples' places in the text [0]");
  submit->add_option("--seed", job.seed, "Seed of the balanced order [0]");
  submit->add_option("--lease", job.lease, "How long a worker may hold a chunk in silence [30s]");
  submit->add_option("--attempts", job.attempts, "Attempts a chunk gets [5]");
  submit->add_flag("--chat", job.chat, "Render text prompts with the model's chat template");
  submit->add_flag("--keep-cache", job.keep_cache, "Do not clear caches (on a GPU its L2) before each chunk");
  submit->add_flag("--no-noise-floor", job.no_noise_floor,
                   "Do not time fp16 once more as fp16#2, whose differences from it tell what noise makes");
  submit->add_option(
      "--grid", job.grid,
      "Time batches too, at every combination: batch=1,8,32:input=128,512:output=64[:draws=8]; for where "
      "each variant overtakes fp16, and for profiles with traffic");
  CLI::Option* until = submit->add_option(
      "--until-decided", job.until_decided,
      "End when the best variant is known with this probability, e.g. 0.95, and measure no further what is surely "
      "worse; prompts count in the order of their file, which must be random");
  until->check(CLI::Range(0.5, 0.999));
  submit->add_option("--decide-by", job.decide_by, "Profile that decides, one against fp16 [balanced]")->needs(until);
  submit->add_option("--budget", job.budget, "End when the job has taken so long of its device, e.g. 10m");
  submit->add_option("--request-id", flags.request_id, "Makes a repeated submit harmless [random]");
  submit->add_flag("--watch", flags.watch, "Watch it to the end");
  submit->add_flag("--dry-run", flags.dry_run, "Print the JobSpec and submit nothing");
}

}  // namespace

void AddJobsSubmit(CLI::App& jobs, Context& context) {
  auto flags = std::make_shared<SubmitFlags>();
  CLI::App* submit =
      AddCommand(jobs, "submit", "Submit a job, by flags or by --spec",
                 "uaqf jobs submit --model smollm2-135m-instruct --variants fp16,rtn-w8-channel,rtn-w4-g64 \\\n"
                 "    --prompts demo --quality-text prose --context 512 --windows 8 --watch");
  AddFlags(submit, *flags);
  OnCommand(submit, context, [&context, flags] { return Submit(context, *flags); });
}

}  // namespace uaqf::client
