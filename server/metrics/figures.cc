#include "server/metrics/figures.h"

#include <prometheus/metric_family.h>

#include <chrono>
#include <utility>

namespace uaqf::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using Labels = std::vector<std::pair<std::string, std::string>>;

MetricFamily Family(const char* name, const char* help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

void Add(MetricFamily& family, const Labels& labels, double value) {
  ClientMetric metric;
  for (const auto& [name, text] : labels) {
    ClientMetric::Label label;
    label.name = name;
    label.value = text;
    metric.label.push_back(std::move(label));
  }
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily Gauge(const char* name, const char* help, double value) {
  MetricFamily family = Family(name, help);
  Add(family, {}, value);
  return family;
}

MetricFamily ByLabel(const char* name, const char* help, const char* label,
                     const std::vector<std::pair<const char*, std::int64_t>>& values) {
  MetricFamily family = Family(name, help);
  for (const auto& [text, value] : values) Add(family, {{label, text}}, static_cast<double>(value));
  return family;
}

void AddCoordinator(const CoordinatorFigures& f, std::vector<MetricFamily>& out) {
  out.push_back(Gauge("uaqf_serving", "1 when work is accepted, 0 on store failure and drain", f.serving ? 1 : 0));
  out.push_back(ByLabel("uaqf_jobs", "Jobs in the store", "state",
                        {{"queued", f.jobs_queued},
                         {"running", f.jobs_running},
                         {"succeeded", f.jobs_succeeded},
                         {"cancelled", f.jobs_cancelled},
                         {"failed", f.jobs_failed}}));
  out.push_back(Gauge("uaqf_queue_chunks", "Chunks of unfinished jobs that wait for a lease",
                      static_cast<double>(f.queue_chunks)));
  out.push_back(Gauge("uaqf_leased_chunks", "Chunks under a lease", static_cast<double>(f.leased_chunks)));
  out.push_back(ByLabel("uaqf_workers", "Connected workers", "state",
                        {{"idle", f.workers_idle},
                         {"loading", f.workers_loading},
                         {"busy", f.workers_busy},
                         {"benched", f.workers_benched},
                         {"draining", f.workers_draining}}));
  out.push_back(
      Gauge("uaqf_watchers", "Open WatchJob and following StreamRecords calls", static_cast<double>(f.watchers)));
  out.push_back(Gauge("uaqf_store_records", "Accepted records in the store", static_cast<double>(f.records_accepted)));
  out.push_back(
      Gauge("uaqf_store_records_quarantined", "Records given up", static_cast<double>(f.records_quarantined)));
}

void AddJobs(const std::vector<JobFigures>& jobs, std::vector<MetricFamily>& out) {
  MetricFamily state = Family("uaqf_job_state", "1 for the state the job is in");
  MetricFamily records = Family("uaqf_job_records", "Records of the job");
  MetricFamily reruns = Family("uaqf_job_chunk_reruns", "Chunk attempts run again so far");
  MetricFamily rate = Family("uaqf_job_records_per_second", "Records accepted per second over the last minute");
  MetricFamily difference =
      Family("uaqf_job_self_difference", "Tokens/s of fp16 timed once more less fp16's, as a share of them");
  MetricFamily floor = Family("uaqf_job_noise_floor", "Share of tokens/s up to which a difference is noise");
  for (const JobFigures& job : jobs) {
    if (job.self_difference) Add(difference, {{"job_id", job.job}}, *job.self_difference);
    if (job.noise_floor) Add(floor, {{"job_id", job.job}}, *job.noise_floor);
    Add(state, {{"job_id", job.job}, {"state", job.state}}, 1);
    Add(records, {{"job_id", job.job}, {"state", "done"}}, static_cast<double>(job.records_done));
    Add(records, {{"job_id", job.job}, {"state", "quarantined"}}, static_cast<double>(job.records_quarantined));
    Add(records, {{"job_id", job.job}, {"state", "total"}}, static_cast<double>(job.records_total));
    Add(reruns, {{"job_id", job.job}}, static_cast<double>(job.chunk_reruns));
    Add(rate, {{"job_id", job.job}}, job.records_per_s);
  }
  for (MetricFamily* family : {&state, &records, &reruns, &rate, &difference, &floor})
    out.push_back(std::move(*family));
}

void AddProgress(const std::vector<JobFigures>& jobs, std::vector<MetricFamily>& out) {
  MetricFamily records = Family("uaqf_variant_records", "Records of the variant");
  MetricFamily tainted = Family("uaqf_variant_chunks_tainted", "Chunk attempts rejected as tainted");
  for (const JobFigures& job : jobs) {
    for (const VariantFigures& variant : job.variants) {
      const Labels labels = {{"job_id", job.job}, {"variant", variant.variant}};
      Labels done = labels, total = labels;
      done.emplace_back("state", "done");
      total.emplace_back("state", "total");
      Add(records, done, static_cast<double>(variant.records_done));
      Add(records, total, static_cast<double>(variant.records_total));
      Add(tainted, labels, static_cast<double>(variant.chunks_tainted));
    }
  }
  out.push_back(std::move(records));
  out.push_back(std::move(tainted));
}

struct Measure {
  const char* name;
  const char* help;
  std::optional<double> VariantFigures::*value;
};

constexpr Measure kMeasures[] = {
    {"uaqf_variant_latency_seconds", "Mean end-to-end latency", &VariantFigures::latency_s},
    {"uaqf_variant_latency_half_width_seconds", "Half width of the 95 % interval of the mean latency",
     &VariantFigures::latency_half_width_s},
    {"uaqf_variant_latency_p50_seconds", "Median end-to-end latency", &VariantFigures::latency_p50_s},
    {"uaqf_variant_ttft_seconds", "Mean time to first token", &VariantFigures::ttft_s},
    {"uaqf_variant_tokens_per_second", "Mean of output tokens per second", &VariantFigures::tokens_per_s},
    {"uaqf_variant_relative_stability", "Cross-run deviation of latency over its mean",
     &VariantFigures::relative_stability},
    {"uaqf_variant_speedup", "Throughput over that of fp16", &VariantFigures::speedup},
    {"uaqf_variant_perplexity", "Perplexity", &VariantFigures::perplexity},
    {"uaqf_variant_delta_nll", "Loss against fp16, nats per token", &VariantFigures::delta_nll},
    {"uaqf_variant_memory_bytes", "Weights, KV cache and workspace", &VariantFigures::memory_bytes},
    {"uaqf_variant_energy_joules_per_token", "Energy of a generated token, by the device's counter",
     &VariantFigures::energy_per_token_j},
};

void AddMeasures(const std::vector<JobFigures>& jobs, std::vector<MetricFamily>& out) {
  for (const Measure& measure : kMeasures) {
    MetricFamily family = Family(measure.name, measure.help);
    for (const JobFigures& job : jobs) {
      for (const VariantFigures& variant : job.variants) {
        const std::optional<double>& value = variant.*measure.value;
        if (value.has_value()) Add(family, {{"job_id", job.job}, {"variant", variant.variant}}, *value);
      }
    }
    out.push_back(std::move(family));
  }
}

void AddTraffic(const std::vector<JobFigures>& jobs, std::vector<MetricFamily>& out) {
  MetricFamily rate = Family("uaqf_traffic_tokens_per_second", "Output tokens of a batch by its time");
  MetricFamily speedup = Family("uaqf_traffic_speedup", "The same over that of fp16 at the same batch and lengths");
  for (const JobFigures& job : jobs) {
    for (const VariantFigures& variant : job.variants) {
      for (const TrafficFigures& traffic : variant.traffic) {
        const Labels labels = {{"job_id", job.job},
                               {"variant", variant.variant},
                               {"batch", std::to_string(traffic.batch)},
                               {"input_tokens", std::to_string(traffic.input_tokens)},
                               {"output_tokens", std::to_string(traffic.output_tokens)}};
        Add(rate, labels, traffic.tokens_per_s);
        if (traffic.speedup) Add(speedup, labels, *traffic.speedup);
      }
    }
  }
  out.push_back(std::move(rate));
  out.push_back(std::move(speedup));
}

void AddDecisions(const std::vector<JobFigures>& jobs, std::vector<MetricFamily>& out) {
  MetricFamily utility = Family("uaqf_decision_utility", "Utility of the variant under the profile");
  MetricFamily rank = Family("uaqf_decision_rank", "Rank of the variant under the profile, 1 is the winner");
  MetricFamily best = Family("uaqf_decision_probability_best", "Share of resamples in which the variant wins");
  MetricFamily regret = Family("uaqf_decision_expected_regret", "Mean utility that choosing the variant costs");
  for (const JobFigures& job : jobs) {
    for (const DecisionFigures& decision : job.decisions) {
      const Labels labels = {{"job_id", job.job}, {"profile", decision.profile}, {"variant", decision.variant}};
      Add(utility, labels, decision.utility);
      Add(rank, labels, decision.rank);
      if (decision.probability_best) Add(best, labels, *decision.probability_best);
      if (decision.expected_regret) Add(regret, labels, *decision.expected_regret);
    }
  }
  out.push_back(std::move(utility));
  out.push_back(std::move(rank));
  out.push_back(std::move(best));
  out.push_back(std::move(regret));
}

double UnixSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Figures::Figures(std::string version) : version_(std::move(version)), start_time_s_(UnixSeconds()) {}

void Figures::SetCoordinator(const CoordinatorFigures& figures) {
  absl::MutexLock lock(&mutex_);
  coordinator_ = figures;
}

void Figures::SetJobs(std::vector<JobFigures> jobs) {
  if (jobs.size() > kJobCap) jobs.resize(kJobCap);
  absl::MutexLock lock(&mutex_);
  jobs_ = std::move(jobs);
}

std::vector<MetricFamily> Figures::Collect() const {
  std::vector<MetricFamily> out;
  MetricFamily build = Family("uaqf_build_info", "Version of the program");
  Add(build, {{"version", version_}}, 1);
  out.push_back(std::move(build));
  out.push_back(Gauge("uaqf_start_time_seconds", "Unix time of the start", start_time_s_));
  absl::MutexLock lock(&mutex_);
  AddCoordinator(coordinator_, out);
  AddJobs(jobs_, out);
  AddProgress(jobs_, out);
  AddMeasures(jobs_, out);
  AddTraffic(jobs_, out);
  AddDecisions(jobs_, out);
  return out;
}

}  // namespace uaqf::metrics
