#include "server/rpc/measures.h"

#include <cmath>
#include <iterator>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/ranking/groups.h"
#include "server/rpc/errors.h"

namespace uaqf::rpc {
namespace {

std::vector<v1::VariantConfiguration> Configurations(const core::Measurements& measurements) {
  std::vector<v1::VariantConfiguration> configurations;
  for (const core::VariantFacts& variant : measurements.variants) {
    // The twin's is fp16's.
    if (variant.name == core::kBaselineTwin) continue;
    for (const core::Configuration& configuration : variant.configurations) {
      v1::VariantConfiguration& message = configurations.emplace_back();
      message.set_variant(variant.name);
      message.set_digest(configuration.digest);
      message.set_configuration(configuration.text);
    }
  }
  return configurations;
}

ranking::Measurements Move(core::Measurements from) {
  ranking::Measurements to;
  for (core::VariantFacts& facts : from.variants) {
    ranking::VariantFacts variant;
    variant.name = std::move(facts.name);
    if (facts.memory.has_value()) {
      variant.memory =
          ranking::Memory{facts.memory->weights_bytes, facts.memory->block_weights_bytes, facts.memory->kv_cache_bytes,
                          facts.memory->workspace_bytes, facts.memory->measured_peak_bytes};
    }
    variant.tainted_chunks = facts.tainted_chunks;
    variant.quarantined = facts.quarantined;
    to.variants.push_back(std::move(variant));
  }
  to.timings = {
      std::move(from.timings.variant),       std::move(from.timings.item),       std::move(from.timings.repeat),
      std::move(from.timings.output_tokens), std::move(from.timings.latency_ns), std::move(from.timings.prefill_ns),
      std::move(from.timings.decode_ns),     std::move(from.timings.group),      std::move(from.timings.process)};
  to.windows = {std::move(from.windows.variant), std::move(from.windows.window), std::move(from.windows.scored_tokens),
                std::move(from.windows.nll_sum)};
  to.generations = {std::move(from.generations.variant), std::move(from.generations.item),
                    std::move(from.generations.output_tokens)};
  to.tasks = {std::move(from.tasks.variant), std::move(from.tasks.item), std::move(from.tasks.metric),
              std::move(from.tasks.passed), std::move(from.tasks.made)};
  core::DivergenceColumns& d = from.divergences;
  to.divergences = {std::move(d.variant),    std::move(d.window),       std::move(d.positions),
                    std::move(d.kl_sum),     std::move(d.same_top),     std::move(d.top_k),
                    std::move(d.shared_top), std::move(d.kl_upper_sum), std::move(d.summary_k)};
  core::ArticleColumns& a = from.articles;
  to.articles = {std::move(a.variant), std::move(a.article), std::move(a.tokens),
                 std::move(a.nll_sum), std::move(a.words),   std::move(a.bytes)};
  return to;
}

ranking::OutputLength Convert(core::OutputLength length) {
  switch (length) {
    case core::OutputLength::kMatched:
      return ranking::OutputLength::kMatched;
    case core::OutputLength::kFixed:
      return ranking::OutputLength::kFixed;
    case core::OutputLength::kNatural:
      break;
  }
  return ranking::OutputLength::kNatural;
}

// Not the caller's fault: no argument of the call is wrong.
absl::Status Contradictory(const core::JobId& id, const absl::Status& problem) {
  return wire::Error(absl::StatusCode::kDataLoss, "RECORDS_CONTRADICT",
                     absl::StrCat("the records of ", wire::JobName(id), " contradict each other: ", problem.message()));
}

}  // namespace

std::shared_ptr<const JobMeasures> Measurer::Kept(const core::JobId& id) const {
  for (const auto& [kept, measures] : kept_) {
    if (kept == id) return measures;
  }
  return nullptr;
}

absl::StatusOr<std::shared_ptr<const JobMeasures>> Measurer::Of(const core::JobId& id) {
  {
    absl::MutexLock lock(&mutex_);
    const auto free = [this, &id]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return reading_.count(id) == 0; };
    mutex_.Await(absl::Condition(&free));
    if (auto kept = Kept(id)) return kept;
    reading_.insert(id);
  }
  const auto done = absl::MakeCleanup([this, &id] {
    absl::MutexLock lock(&mutex_);
    reading_.erase(id);
  });
  return Read(id);
}

absl::StatusOr<Measurer::Records> Measurer::ReadRecords(const core::JobId& id, JobMeasures* result) {
  // The view first: when it says that the job has ended, the records read after it are all there are.
  auto view = jobs_->GetJob(id);
  if (!view.ok()) return OrMissing(view.status(), NoSuchJob(id));
  result->view = *std::move(view);
  auto columns = jobs_->ReadMeasurements(id);
  if (!columns.ok()) return columns.status();
  result->configurations = Configurations(*columns);
  ranking::SplitRecords split = ranking::SplitTwin(Move(*std::move(columns)), result->view.spec.timing.block_prompts);
  if (split.twin) split.twin->pair = ranking::SetAsideWhatCannotBe(std::move(split.twin->pair));
  return Records{
      ranking::AlignGroups(ranking::SetAsideWhatCannotBe(ranking::KeepTightestBounds(std::move(split.ranked)))),
      std::move(split.twin)};
}

absl::StatusOr<std::shared_ptr<const JobMeasures>> Measurer::Read(const core::JobId& id) {
  auto result = std::make_shared<JobMeasures>();
  auto records = ReadRecords(id, result.get());
  if (!records.ok()) return records.status();
  ranking::Measurements& measurements = records->aligned.measurements;
  auto all = ranking::Measure(measurements);
  if (!all.ok()) return Contradictory(id, all.status());
  result->all = *std::move(all);
  auto common = ranking::KeepCommonRecords(std::move(measurements));
  if (!common.ok()) return Contradictory(id, common.status());
  const bool all_common = common->notes.empty();
  result->decision = ranking::PrepareDecision(common->measurements, {.seed = result->view.spec.seed}, records->twin);
  result->notes = std::move(records->aligned.notes);
  std::move(common->notes.begin(), common->notes.end(), std::back_inserter(result->notes));
  if (all_common) {
    result->common = result->all;
  } else {
    auto measured = ranking::Measure(common->measurements);
    if (!measured.ok()) return Contradictory(id, measured.status());
    result->common = *std::move(measured);
  }
  std::shared_ptr<const JobMeasures> shared = std::move(result);
  if (core::Ended(shared->view.state)) {
    absl::MutexLock lock(&mutex_);
    kept_.emplace_front(id, shared);
    if (kept_.size() > kKept) kept_.pop_back();
  }
  return shared;
}

absl::StatusOr<std::vector<ranking::Slice>> Measurer::RankSlices(const core::JobId& id,
                                                                 const ranking::SliceLabels& labels,
                                                                 const ranking::Profile& profile, bool ignore_sanity) {
  JobMeasures facts;
  auto records = ReadRecords(id, &facts);
  if (!records.ok()) return records.status();
  auto common = ranking::KeepCommonRecords(std::move(records->aligned.measurements));
  if (!common.ok()) return Contradictory(id, common.status());
  return ranking::RankSlices(common->measurements, labels, profile, Facts(facts.view), ignore_sanity,
                             {.seed = facts.view.spec.seed}, records->twin);
}

ranking::JobFacts Facts(const core::JobView& view) {
  ranking::JobFacts facts;
  facts.job = wire::JobName(view.id);
  facts.ended = core::Ended(view.state);
  facts.output_length = Convert(view.spec.timing.output_length);
  facts.max_output_tokens = view.spec.timing.max_output_tokens;
  facts.input_tokens = view.spec.timing.input_tokens;
  facts.repeats = view.spec.timing.repeats;
  facts.measures_quality = !view.spec.quality.text_set.empty();
  facts.context_tokens = view.spec.quality.context_tokens;
  if (!view.release_format.empty()) facts.baseline_release = absl::StrCat("the ", view.release_format, " release");
  return facts;
}

absl::StatusOr<ranking::Ranking> RankJob(const JobMeasures& measures, const ranking::Profile& profile,
                                         bool ignore_sanity) {
  ranking::RankOptions options;
  options.ignore_sanity = ignore_sanity;
  options.notes = measures.notes;
  options.data = &measures.decision;
  auto ranked = ranking::Rank(measures.common, profile, Facts(measures.view), options);
  if (ranked.ok()) return ranked;
  return wire::WithReason(ranked.status(),
                          absl::IsFailedPrecondition(ranked.status()) ? "NOT_DECIDABLE" : "INVALID_PROFILE");
}

}  // namespace uaqf::rpc
