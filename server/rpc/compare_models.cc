#include "server/rpc/compare_models.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "proto/wire/names.h"
#include "proto/wire/status.h"
#include "server/ranking/compare_models.h"
#include "server/rpc/errors.h"

namespace uaqf::rpc {
namespace {

using Jobs = std::vector<std::shared_ptr<const JobMeasures>>;

constexpr int kMostJobs = 16;

absl::Status OneModel(const JobMeasures& one, const JobMeasures& other) {
  const std::string jobs = absl::StrCat(one.view.id, " ", other.view.id);
  return wire::Error(absl::StatusCode::kFailedPrecondition, "SAME_MODEL",
                     absl::StrCat(one.identity.job, " and ", other.identity.job, " measured one model (",
                                  one.view.spec.model, "), expected another in each; `uaqf rank ", jobs,
                                  "` ranks the variants of both together, `uaqf jobs compare ", jobs,
                                  "` tells what changed between them"));
}

absl::Status CheckAlike(const Jobs& jobs) {
  for (std::size_t b = 1; b < jobs.size(); ++b) {
    for (std::size_t a = 0; a < b; ++a) {
      const ranking::JobIdentity &one = jobs[a]->identity, &other = jobs[b]->identity;
      if (ranking::OfOneModel(one, other)) return OneModel(*jobs[a], *jobs[b]);
      const std::vector<ranking::Mismatch> mismatches = ranking::FindMismatchesAcrossModels(one, other);
      if (mismatches.empty()) continue;
      return wire::Error(absl::StatusCode::kFailedPrecondition, "NOT_COMPARABLE",
                         ranking::MismatchText(one, other, mismatches));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::int64_t> ParametersOf(const JobMeasures& job, const ModelSizes& sizes) {
  if (job.view.parameters > 0) return job.view.parameters;
  const std::set<std::string>& digests = job.identity.traits.at(ranking::Trait::kModel);
  for (const std::string& digest : digests) {
    if (const auto found = sizes.find(digest); found != sizes.end()) return found->second;
  }
  return wire::Error(
      absl::StatusCode::kFailedPrecondition, "SIZE_UNKNOWN",
      absl::StrCat("it is not known how many parameters the model of ", job.identity.job, " (", job.view.spec.model,
                   ") has: the job was measured before that was kept; connect a worker that reads the "
                   "model, with the digest ",
                   *digests.begin(), ", and ask again"));
}

void Fill(const ranking::Interval& from, v1::Interval& to) {
  to.set_low(from.low);
  to.set_high(from.high);
}

void Fill(const std::optional<ranking::ModelFigure>& from, v1::BoundedFigure* (v1::ModelVariant::*field)(),
          v1::ModelVariant& to) {
  if (!from) return;
  v1::BoundedFigure& figure = *(to.*field)();
  figure.set_value(from->value);
  if (from->interval) Fill(*from->interval, *figure.mutable_interval());
}

void Fill(const std::optional<ranking::Trend>& from, v1::Trend* (v1::VariantTrend::*field)(), v1::VariantTrend& to) {
  if (!from) return;
  v1::Trend& trend = *(to.*field)();
  trend.set_slope(from->slope);
  Fill(from->interval, *trend.mutable_interval());
  trend.set_models(from->models);
  trend.set_covers_models(from->covers_models);
  trend.set_level(from->level);
  trend.set_level_parameters(from->level_parameters);
  if (from->scatter) trend.set_scatter(*from->scatter);
}

void Fill(const ranking::MeasuredModel& from, v1::MeasuredModel& to) {
  to.set_job(from.job);
  to.set_model(from.model);
  to.set_parameters(from.parameters);
  to.set_release_format(from.release_format);
  if (from.tokens_per_s) to.set_fp16_tokens_per_s(*from.tokens_per_s);
  if (from.nll) to.set_fp16_nll(*from.nll);
  if (from.memory_bytes) to.set_fp16_memory_bytes(*from.memory_bytes);
  for (const ranking::ModelVariant& v : from.variants) {
    v1::ModelVariant& variant = *to.add_variants();
    variant.set_variant(v.variant);
    Fill(v.speedup, &v1::ModelVariant::mutable_speedup, variant);
    Fill(v.nll_loss, &v1::ModelVariant::mutable_nll_loss, variant);
    Fill(v.relative_loss, &v1::ModelVariant::mutable_relative_loss, variant);
    Fill(v.perplexity_ratio, &v1::ModelVariant::mutable_perplexity_ratio, variant);
    if (v.memory_ratio) variant.set_memory_ratio(*v.memory_ratio);
    variant.set_reason(v.reason);
  }
}

v1::CompareModelsResponse ToProto(const ranking::ModelComparison& comparison) {
  v1::CompareModelsResponse answer;
  for (const ranking::MeasuredModel& model : comparison.models) Fill(model, *answer.add_models());
  for (const ranking::VariantTrend& t : comparison.trends) {
    v1::VariantTrend& trend = *answer.add_trends();
    trend.set_variant(t.variant);
    Fill(t.speed, &v1::VariantTrend::mutable_speed, trend);
    Fill(t.nll_loss, &v1::VariantTrend::mutable_nll_loss, trend);
    Fill(t.relative_loss, &v1::VariantTrend::mutable_relative_loss, trend);
  }
  for (const std::string& note : comparison.notes) answer.add_notes(note);
  return answer;
}

// What the reader must know of the jobs themselves.
void AddNotes(const Jobs& jobs, v1::CompareModelsResponse* answer) {
  for (const auto& job : jobs) {
    if (!core::Ended(job->view.state)) {
      answer->add_notes(absl::StrCat(job->identity.job, " has not ended: figures are of the records accepted so far"));
    }
    for (const std::string& note : job->notes) answer->add_notes(absl::StrCat(job->identity.job, ": ", note));
  }
}

}  // namespace

ModelSizes SizesOf(const std::vector<core::WorkerView>& workers) {
  ModelSizes sizes;
  for (const core::WorkerView& worker : workers) {
    for (const core::ModelInfo& model : worker.models) {
      if (model.parameters > 0) sizes.emplace(model.digest, model.parameters);
    }
  }
  return sizes;
}

absl::StatusOr<std::vector<core::JobId>> JobsOf(const v1::CompareModelsRequest& request) {
  if (request.jobs_size() < 2 || request.jobs_size() > kMostJobs) {
    return wire::Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                       absl::StrCat("got ", request.jobs_size(), " jobs, expected 2 to ", kMostJobs,
                                    ", each of a model of another size"));
  }
  std::vector<core::JobId> jobs;
  for (const std::string& name : request.jobs()) {
    auto id = wire::ParseJobName(name);
    if (!id.ok()) return id.status();
    if (std::find(jobs.begin(), jobs.end(), *id) != jobs.end()) return JobTwice(*id);
    jobs.push_back(*std::move(id));
  }
  return jobs;
}

absl::StatusOr<v1::CompareModelsResponse> CompareModels(Measurer& measurer, const std::vector<core::JobId>& ids,
                                                        const ModelSizes& sizes) {
  Jobs jobs;
  for (const core::JobId& id : ids) {
    auto measures = measurer.Of({id});
    if (!measures.ok()) return measures.status();
    jobs.push_back(*std::move(measures));
  }
  if (absl::Status alike = CheckAlike(jobs); !alike.ok()) return alike;
  std::vector<ranking::ModelJob> models;
  for (const auto& job : jobs) {
    const auto parameters = ParametersOf(*job, sizes);
    if (!parameters.ok()) return parameters.status();
    models.push_back({job->identity.job, job->view.spec.model, *parameters, job->view.release_format, &job->common,
                      &job->decision.resampled});
  }
  const auto comparison = ranking::CompareModels(models);
  if (!comparison.ok()) return wire::WithReason(comparison.status(), "NOTHING_SHARED");
  v1::CompareModelsResponse answer = ToProto(*comparison);
  answer.set_resamples(jobs.front()->decision.resampled.resamples());
  AddNotes(jobs, &answer);
  return answer;
}

}  // namespace uaqf::rpc
