#include "server/rpc/measures.h"

#include <cmath>
#include <iterator>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/ranking/groups.h"
#include "server/ranking/merge.h"
#include "server/ranking/published.h"
#include "server/ranking/stopped.h"
#include "server/rpc/agreements.h"
#include "server/rpc/attempts.h"
#include "server/rpc/errors.h"
#include "server/rpc/identity.h"
#include "server/rpc/imported.h"

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
    variant.failure = std::move(facts.failure);
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
  core::TrafficColumns& t = from.traffic;
  to.traffic = {std::move(t.variant),
                std::move(t.cell),
                std::move(t.draw),
                std::move(t.latency_ns),
                std::move(t.prefill_ns),
                std::move(t.decode_ns),
                {},
                {},
                std::move(t.group)};
  for (const core::DeviceShares& shares : t.prefill_shares)
    to.traffic.prefill_shares.push_back({shares.read, shares.compute});
  for (const core::DeviceShares& shares : t.decode_shares)
    to.traffic.decode_shares.push_back({shares.read, shares.compute});
  core::ArticleColumns& a = from.articles;
  to.articles = {std::move(a.variant), std::move(a.article), std::move(a.tokens),
                 std::move(a.nll_sum), std::move(a.words),   std::move(a.bytes)};
  return to;
}

// Whose measurement was stopped or failed, and why.
void NoteEnds(const core::JobView& view, ranking::Measurements* measurements) {
  for (const core::VariantProgress& progress : view.progress.variants) {
    for (ranking::VariantFacts& facts : measurements->variants) {
      if (facts.name != progress.variant) continue;
      if (progress.state == core::VariantState::kStopped) facts.stopped = progress.error;
      if (progress.state == core::VariantState::kFailed) facts.failed = progress.error;
    }
  }
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

// Each number that has a place becomes it.
void Renumber(const std::vector<std::int32_t>& places, std::vector<std::int32_t>* numbers) {
  for (std::int32_t& number : *numbers) {
    if (number >= 0 && number < static_cast<std::int32_t>(places.size())) number = places[number];
  }
}

// FAILED_PRECONDITION (NOT_COMPARABLE) with every mismatch.
absl::Status CheckComparable(const ranking::JobIdentity& one, const ranking::JobIdentity& other,
                             ranking::Scope scope = ranking::Scope::kFigures) {
  const std::vector<ranking::Mismatch> mismatches = ranking::FindMismatches(one, other, scope);
  if (mismatches.empty()) return absl::OkStatus();
  return wire::Error(absl::StatusCode::kFailedPrecondition, "NOT_COMPARABLE",
                     ranking::MismatchText(one, other, mismatches));
}

void NoteUnended(const core::JobView& view, std::vector<std::string>* notes) {
  if (core::Ended(view.state)) return;
  notes->push_back(absl::StrCat(wire::JobName(view.id), " has not ended: figures are of the records accepted so far"));
}

}  // namespace

std::shared_ptr<const JobMeasures> Measurer::Kept(const std::string& key) const {
  for (const auto& [kept, measures] : kept_) {
    if (kept == key) return measures;
  }
  return nullptr;
}

absl::StatusOr<std::shared_ptr<const JobMeasures>> Measurer::Of(const std::vector<core::JobId>& ids) {
  const std::string key = absl::StrJoin(ids, " ");
  {
    absl::MutexLock lock(&mutex_);
    const auto free = [this, &key]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return reading_.count(key) == 0; };
    mutex_.Await(absl::Condition(&free));
    if (auto kept = Kept(key)) return kept;
    reading_.insert(key);
  }
  const auto done = absl::MakeCleanup([this, &key] {
    absl::MutexLock lock(&mutex_);
    reading_.erase(key);
  });
  return Read(ids, key);
}

absl::StatusOr<Measurer::Part> Measurer::ReadPart(const core::JobId& id) {
  Part part;
  // The view first: when it says that the job has ended, the records read after it are all there are.
  auto view = jobs_->GetJob(id);
  if (!view.ok()) return OrMissing(view.status(), NoSuchJob(id));
  part.view = *std::move(view);
  auto columns = jobs_->ReadMeasurements(id);
  if (!columns.ok()) return columns.status();
  part.configurations = Configurations(*columns);
  const std::vector<v1::ChunkEvidence> evidence = ParseEvidence(columns->attempts);
  part.identity = IdentityOf(part.view, evidence, part.configurations);
  if (auto timed = TimedAttempts(columns->attempts, evidence); !timed.empty()) {
    part.evidence = ranking::SummarizeEvidence(timed, columns->variants.size());
  }
  part.prompt_places = columns->prompt_places;
  part.window_places = columns->window_places;
  std::vector<ranking::AgreementRow> agreements = ParseAgreements(columns->agreements);
  ranking::EnergyColumns energies = Energies(columns->attempts, evidence, part.view.spec.timing);
  const std::vector<HostedOn> hosted = WhereHosted(columns->attempts, evidence, columns->variants.size());
  ranking::Measurements measurements = Move(*std::move(columns));
  for (std::size_t v = 0; v < hosted.size(); ++v) {
    std::optional<ranking::Memory>& memory = measurements.variants[v].memory;
    if (!memory) continue;
    memory->kv_bytes_per_token = hosted[v].kv_bytes_per_token;
    memory->device_bytes = hosted[v].device_bytes;
  }
  const core::TrafficGrid& grid = part.view.spec.grid;
  measurements.grid = {grid.batches, grid.input_tokens, grid.output_tokens};
  NoteEnds(part.view, &measurements);
  measurements.energies = std::move(energies);
  measurements.agreements = std::move(agreements);
  ranking::SplitRecords split =
      ranking::SplitTwin(std::move(measurements), part.view.spec.timing.block_prompts, part.prompt_places);
  part.measurements = ranking::SetAsideWhatCannotBe(ranking::KeepTightestBounds(std::move(split.ranked)));
  part.twin = std::move(split.twin);
  if (part.twin) part.twin->pair = ranking::SetAsideWhatCannotBe(std::move(part.twin->pair));
  return part;
}

absl::StatusOr<Measurer::Records> Measurer::ReadAligned(const std::vector<core::JobId>& ids, JobMeasures* result) {
  std::vector<ranking::JobRecords> records;
  Records read;
  ranking::JobIdentity first;
  for (const core::JobId& id : ids) {
    auto part = ReadPart(id);
    if (!part.ok()) return part.status();
    if (records.empty()) {
      first = part->identity;
      result->view = part->view;
      result->identity = part->identity;
      read.twin = std::move(part->twin);
      read.prompt_places = std::move(part->prompt_places);
      read.window_places = std::move(part->window_places);
      result->evidence = std::move(part->evidence);
    } else if (absl::Status comparable = CheckComparable(first, part->identity); !comparable.ok()) {
      return comparable;
    }
    // As long as one of them runs, more may come.
    if (!core::Ended(part->view.state)) result->view.state = part->view.state;
    for (v1::VariantConfiguration& configuration : part->configurations) {
      if (records.empty() || configuration.variant() != core::kBaselineVariant) {
        result->configurations.push_back(std::move(configuration));
      }
    }
    records.push_back({wire::JobName(id), std::move(part->measurements)});
  }
  auto merged = ranking::MergeJobs(std::move(records));
  if (!merged.ok()) return wire::WithReason(merged.status(), "VARIANT_IN_SEVERAL_JOBS");
  read.aligned = ranking::AlignGroups(std::move(merged->measurements));
  read.aligned.notes.insert(read.aligned.notes.begin(), merged->notes.begin(), merged->notes.end());
  return read;
}

absl::StatusOr<Measurer::SoFar> Measurer::ReadSoFar(const core::JobId& id) {
  JobMeasures facts;
  auto records = ReadAligned({id}, &facts);
  if (!records.ok()) return records.status();
  ranking::Measurements& m = records->aligned.measurements;
  Renumber(records->prompt_places, &m.timings.item);
  Renumber(records->window_places, &m.windows.window);
  return SoFar{std::move(facts.view), std::move(m), std::move(records->twin)};
}

absl::StatusOr<std::pair<Measurer::Part, Measurer::Part>> Measurer::ReadComparable(const core::JobId& one,
                                                                                   const core::JobId& other,
                                                                                   ranking::Scope scope) {
  auto a = ReadPart(one), b = ReadPart(other);
  for (const auto* part : {&a, &b}) {
    if (!part->ok()) return part->status();
  }
  if (absl::Status comparable = CheckComparable(a->identity, b->identity, scope); !comparable.ok()) return comparable;
  return std::make_pair(*std::move(a), *std::move(b));
}

absl::StatusOr<ranking::JobComparison> Measurer::Compare(const core::JobId& one, const core::JobId& other) {
  auto parts = ReadComparable(one, other, ranking::Scope::kFigures);
  if (!parts.ok()) return parts.status();
  ranking::AlignedRecords first = ranking::AlignGroups(std::move(parts->first.measurements));
  ranking::AlignedRecords second = ranking::AlignGroups(std::move(parts->second.measurements));
  std::vector<ranking::JobTwin> twins;
  for (Part* part : {&parts->first, &parts->second}) {
    twins.push_back({wire::JobName(part->view.id), std::move(part->twin)});
  }
  auto comparison =
      ranking::CompareJobs(first.measurements, second.measurements, twins, {.seed = parts->first.view.spec.seed});
  if (absl::IsFailedPrecondition(comparison.status())) {
    return wire::WithReason(comparison.status(), "NOTHING_SHARED");
  }
  if (!comparison.ok()) return Contradictory(absl::StrCat(one, " or ", other), comparison.status());
  for (const Part* part : {&parts->first, &parts->second}) NoteUnended(part->view, &comparison->notes);
  return comparison;
}

absl::StatusOr<ranking::OutputComparison> Measurer::CompareOutputs(const core::JobId& one, const core::JobId& other) {
  const auto parts = ReadComparable(one, other, ranking::Scope::kOutputs);
  if (!parts.ok()) return parts.status();
  const auto& [a, b] = *parts;
  auto comparison = ranking::CompareOutputs(a.measurements, a.identity, b.measurements, b.identity);
  if (!comparison.ok()) return wire::WithReason(comparison.status(), "NOTHING_SHARED");
  for (const Part* part : {&a, &b}) NoteUnended(part->view, &comparison->notes);
  return comparison;
}

namespace {

// Everything that can be told of published figures.
std::shared_ptr<const JobMeasures> MeasuresOfTable(core::JobView view) {
  auto result = std::make_shared<JobMeasures>();
  result->all = ranking::MeasuresOf(FiguresOf(*view.imported));
  result->common = result->all;
  // Of no records: a limit on what they would tell is not decidable.
  ranking::Measurements none;
  for (const ranking::VariantMeasures& m : result->all) none.variants.push_back({.name = m.variant});
  result->decision = ranking::PrepareDecision(none);
  result->identity = IdentityOf(view, {}, {});
  result->view = std::move(view);
  return result;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const JobMeasures>> Measurer::Read(const std::vector<core::JobId>& ids,
                                                                  const std::string& key) {
  const core::JobId& id = ids.front();
  auto view = jobs_->GetJob(id);
  if (!view.ok()) return OrMissing(view.status(), NoSuchJob(id));
  if (view->imported && ids.size() == 1) return MeasuresOfTable(*std::move(view));
  auto result = std::make_shared<JobMeasures>();
  auto records = ReadAligned(ids, result.get());
  if (!records.ok()) return records.status();
  ranking::Measurements& measurements = records->aligned.measurements;
  auto all = ranking::Measure(measurements);
  if (!all.ok()) return Contradictory(id, all.status());
  result->all = *std::move(all);
  auto stopped = ranking::JudgeStopped(measurements, {.seed = result->view.spec.seed});
  if (!stopped.ok()) return Contradictory(id, stopped.status());
  result->stopped = *std::move(stopped);
  auto common = ranking::KeepCommonRecords(ranking::WithoutStopped(std::move(measurements)));
  if (!common.ok()) return Contradictory(id, common.status());
  const bool all_common = common->notes.empty() && result->stopped.empty();
  result->decision = ranking::PrepareDecision(common->measurements, {.seed = result->view.spec.seed}, records->twin);
  result->notes = std::move(records->aligned.notes);
  std::move(common->notes.begin(), common->notes.end(), std::back_inserter(result->notes));
  if (const auto& traffic = result->decision.traffic) {
    result->notes.insert(result->notes.end(), traffic->notes().begin(), traffic->notes().end());
  }
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
    kept_.emplace_front(key, shared);
    if (kept_.size() > kKept) kept_.pop_back();
  }
  return shared;
}

absl::StatusOr<std::vector<ranking::Slice>> Measurer::RankSlices(const std::vector<core::JobId>& ids,
                                                                 const ranking::SliceLabels& labels,
                                                                 const ranking::Profile& profile, bool ignore_sanity) {
  JobMeasures facts;
  auto records = ReadAligned(ids, &facts);
  if (!records.ok()) return records.status();
  auto common = ranking::KeepCommonRecords(ranking::WithoutStopped(std::move(records->aligned.measurements)));
  if (!common.ok()) return Contradictory(ids.front(), common.status());
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
  if (!view.spec.allocation.profile.empty()) facts.decided_by = wire::ProfileName(view.spec.allocation.profile);
  if (view.imported) {
    facts.point_values = true;
    facts.table = view.imported->title;
    facts.baseline_label = view.imported->baseline_label;
  }
  if (!view.release_format.empty()) facts.baseline_release = absl::StrCat("the ", view.release_format, " release");
  return facts;
}

absl::StatusOr<ranking::Ranking> RankJob(const JobMeasures& measures, const ranking::Profile& profile,
                                         bool ignore_sanity) {
  ranking::RankOptions options;
  options.ignore_sanity = ignore_sanity;
  options.notes = measures.notes;
  options.data = &measures.decision;
  options.stopped = &measures.stopped;
  auto ranked = ranking::Rank(measures.common, profile, Facts(measures.view), options);
  if (ranked.ok()) return ranked;
  if (!absl::IsFailedPrecondition(ranked.status())) return wire::WithReason(ranked.status(), "INVALID_PROFILE");
  absl::Status status = ranked.status();
  // What is missing then is no choice that was made at submission.
  if (measures.view.state == core::JobState::kFailed) {
    status = absl::FailedPreconditionError(
        absl::StrCat("not decidable: ", wire::JobName(measures.view.id), " failed: ", measures.view.error));
  }
  return wire::WithReason(status, "NOT_DECIDABLE");
}

}  // namespace uaqf::rpc
