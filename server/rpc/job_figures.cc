#include "server/rpc/job_figures.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "proto/wire/names.h"
#include "server/ranking/profile.h"

namespace uaqf::rpc {
namespace {

// A round takes at most this part of one processor.
constexpr int kIdlePerWork = 50;

std::optional<double> Value(const std::optional<ranking::Estimate>& estimate) {
  return estimate.has_value() ? std::optional<double>(estimate->value) : std::nullopt;
}

void Fill(const ranking::VariantMeasures& from, metrics::VariantFigures& to) {
  to.latency_s = Value(from.latency_s);
  if (from.latency_s.has_value()) to.latency_half_width_s = from.latency_s->half_width;
  to.latency_p50_s = from.latency_p50_s;
  to.ttft_s = Value(from.ttft_s);
  to.tokens_per_s = Value(from.tokens_per_s);
  to.relative_stability = from.relative_stability;
  to.speedup = from.speedup;
  to.perplexity = from.perplexity;
  to.delta_nll = Value(from.delta_nll);
  if (from.behaviour.has_value()) {
    for (const ranking::SelfAgreement& self : from.behaviour->self) {
      to.self_agreement.emplace_back(self.batch, self.agreement.tokens.value);
    }
    if (from.behaviour->with_fp16.has_value()) to.agreement_with_fp16 = from.behaviour->with_fp16->tokens.value;
    to.loops = from.behaviour->loops;
    to.not_finite = from.behaviour->not_finite;
  }
  if (from.memory_bytes.has_value()) to.memory_bytes = static_cast<double>(*from.memory_bytes);
  if (from.energy) to.energy_per_token_j = from.energy->joules_per_token.value;
}

void FillTraffic(const JobMeasures& measures, std::vector<metrics::VariantFigures>* variants) {
  if (!measures.decision.map) return;
  for (const ranking::TrafficCellFigures& cell : measures.decision.map->cells) {
    for (const ranking::TrafficFigure& figure : cell.variants) {
      const auto to = std::find_if(variants->begin(), variants->end(),
                                   [&](const metrics::VariantFigures& v) { return v.variant == figure.variant; });
      if (to == variants->end()) continue;
      to->traffic.push_back(
          {cell.shape.batch, cell.shape.input_tokens, cell.shape.output_tokens, figure.tokens_per_s, figure.ratio});
    }
  }
}

}  // namespace

JobFiguresPublisher::JobFiguresPublisher(store::JobStore* jobs, Measurer* measurer, const JobBoard* board,
                                         metrics::Metrics* metrics, absl::Duration period)
    : jobs_(jobs), measurer_(measurer), board_(board), metrics_(metrics), period_(period) {
  thread_ = std::thread([this] { Run(); });
}

JobFiguresPublisher::~JobFiguresPublisher() { Stop(); }

void JobFiguresPublisher::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void JobFiguresPublisher::Run() {
  while (true) {
    const absl::Time start = absl::Now();
    try {
      PublishOnce();
    } catch (const std::exception& error) {
      spdlog::error("cannot publish the figures of the jobs: {}", error.what());
    }
    const absl::Duration wait = std::max(period_, (absl::Now() - start) * kIdlePerWork);
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopped_), wait)) return;
  }
}

void JobFiguresPublisher::PublishOnce() {
  auto page = jobs_->ListJobs(0, static_cast<std::int32_t>(metrics::kJobCap));
  if (!page.ok()) return;  // the loop reports a store that fails
  std::vector<metrics::JobFigures> all;
  std::map<core::JobId, Kept> kept;
  for (const core::JobView& view : page->jobs) {
    // Nothing of it is measured here, and its labels are anybody's.
    if (view.imported) continue;
    Kept& job = kept[view.id];
    const auto before = kept_.find(view.id);
    const std::int64_t records = view.progress.records_done;
    if (before != kept_.end() && before->second.records == records && before->second.state == view.state) {
      job = std::move(before->second);
    } else {
      job = {records, view.state, Measure(view)};
    }
    const std::optional<JobState> live = board_->Latest(wire::JobName(view.id));
    job.figures.records_per_s = live.has_value() ? live->job->progress().records_per_s() : 0;
    all.push_back(job.figures);
  }
  kept_ = std::move(kept);
  metrics_->PublishJobs(std::move(all));
}

metrics::JobFigures JobFiguresPublisher::Measure(const core::JobView& view) {
  metrics::JobFigures figures;
  figures.job = view.id;
  figures.state = core::Name(view.state);
  figures.records_done = view.progress.records_done;
  figures.records_quarantined = view.progress.records_quarantined;
  figures.records_total = view.progress.records_total;
  figures.chunk_reruns = view.progress.chunks_rerun;
  for (const core::VariantProgress& variant : view.progress.variants) {
    metrics::VariantFigures& to = figures.variants.emplace_back();
    to.variant = variant.variant;
    to.records_done = variant.records_done;
    to.records_total = variant.records_total;
    to.chunks_tainted = variant.chunks_tainted;
  }
  if (figures.records_done == 0) return figures;
  auto measures = measurer_->Of({view.id});
  if (!measures.ok()) return figures;
  for (std::size_t i = 0; i < std::min((*measures)->all.size(), figures.variants.size()); ++i) {
    Fill((*measures)->all[i], figures.variants[i]);
  }
  if (const auto& time = (*measures)->view.device_time) figures.device_time_saved = time->SavedShare();
  FillTraffic(**measures, &figures.variants);
  if (const auto& twin = (*measures)->decision.twin; twin && twin->problem.empty()) {
    figures.self_difference = std::expm1(twin->speed->value);
    figures.noise_floor = std::expm1(twin->speed->Floor());
  }
  for (const ranking::Profile& profile : ranking::BuiltInProfiles()) {
    auto ranked = RankJob(**measures, profile, /*ignore_sanity=*/false);
    if (!ranked.ok()) continue;  // not decidable: no sample
    for (const ranking::RankedVariant& variant : ranked->variants) {
      if (variant.status != ranking::RankStatus::kRanked) continue;
      const absl::string_view id = absl::StripPrefix(profile.name, "profiles/");
      metrics::DecisionFigures& decision = figures.decisions.emplace_back();
      decision = {std::string(id), variant.variant, variant.utility.value_or(0), variant.rank, {}, {}};
      if (!variant.standing) continue;
      decision.probability_best = variant.standing->probability_best;
      decision.expected_regret = variant.standing->expected_regret;
    }
  }
  return figures;
}

}  // namespace uaqf::rpc
