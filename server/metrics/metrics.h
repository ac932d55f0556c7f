// Everything that /metrics shows, by name. Labels come from closed sets, or from the newest kJobCap jobs; never from
// users, addresses or messages.
//
// Counters start at 0 with the process:
//   uaqf_rpcs_total{method,code}                    RPCs ended; method "Service/Method", code as gRPC names it
//   uaqf_rpc_duration_seconds{method}               histogram of unary RPCs, server side
//   uaqf_rpc_refusals_total{reason}                 refused before a handler: "role" (certificate is no worker's)
//   uaqf_leases_granted_total                       chunk leases given
//   uaqf_chunk_attempts_total{outcome}              attempts closed: accepted, tainted (run again), failed, expired,
//                                                   returned (handed back before it began), abandoned (its job or
//                                                   variant ended), quarantined (its one record was given up)
//   uaqf_chunk_reruns_total{reason}                 attempts that put their chunk back: expired, failed, tainted
//   uaqf_record_batches_total{verdict}              answered: stored (now or before), lease_lost, rejected, gap
//   uaqf_records_committed_total                    records made durable
//   uaqf_store_commits_total{result}                transactions of the coordinator: ok, error
//   uaqf_store_commit_seconds                       histogram of their duration
// Gauges, from one snapshot of the coordinator each, taken at most every second; at rest they equal the store:
//   uaqf_build_info{version}                        1
//   uaqf_serving                                    1 when work is accepted, 0 on store failure and drain
//   uaqf_start_time_seconds                         Unix time of the start
//   uaqf_jobs{state}                                jobs in the store: queued, running, succeeded, cancelled, failed
//   uaqf_queue_chunks                               chunks of unfinished jobs that wait for a lease: the queue depth
//   uaqf_leased_chunks                              chunks under a lease
//   uaqf_workers{state}                             connected: idle, loading, busy, benched, draining
//   uaqf_watchers                                   open WatchJob and following StreamRecords calls
//   uaqf_store_records                              accepted records
//   uaqf_store_records_quarantined                  records given up
// Gauges of the newest kJobCap jobs; job_id (a plain "job" is the scrape's own label) is the id in "jobs/{job_id}":
//   uaqf_job_state{job_id,state}                       1 for the state it is in
//   uaqf_job_records{job_id,state}                     done, quarantined, total
//   uaqf_job_chunk_reruns{job_id}                      attempts run again so far
//   uaqf_job_records_per_second{job_id}                over the last minute
//   uaqf_variant_records{job_id,variant,state}         done, total
//   uaqf_variant_chunks_tainted{job_id,variant}        attempts rejected as tainted
//   uaqf_variant_latency_seconds{job_id,variant}       mean end-to-end latency L
//   uaqf_variant_latency_half_width_seconds{job_id,variant}   of its 95 % interval over runs
//   uaqf_variant_latency_p50_seconds{job_id,variant}   median latency
//   uaqf_variant_ttft_seconds{job_id,variant}          mean time to first token
//   uaqf_variant_tokens_per_second{job_id,variant}     mean throughput T
//   uaqf_variant_relative_stability{job_id,variant}    S_L / L, dimensionless
//   uaqf_variant_speedup{job_id,variant}               T / T of fp16
//   uaqf_variant_perplexity{job_id,variant}            exp(mean NLL)
//   uaqf_variant_delta_nll{job_id,variant}             nats per token against fp16
//   uaqf_variant_memory_bytes{job_id,variant}          weights + KV cache + workspace
//   uaqf_variant_energy_joules_per_token{job_id,variant} by the device's counter
//   uaqf_traffic_tokens_per_second{job_id,variant,batch,input_tokens,output_tokens}  of a traffic grid, at most 64
//   uaqf_traffic_speedup{job_id,variant,batch,input_tokens,output_tokens}            combinations; over fp16 there
// The decision, for the built-in profiles; a variant without a rank has no sample:
//   uaqf_decision_utility{job_id,profile,variant}      utility U; profile is the id in "profiles/{profile}"
//   uaqf_decision_rank{job_id,profile,variant}         rank, from 1 (the winner)
// What is not measured has no sample; it is never 0.
//
// Thread-safe: every method may be called from any thread and none blocks on I/O.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/metrics/figures.h"

namespace uaqf::metrics {

enum class AttemptOutcome { kAccepted, kTainted, kFailed, kExpired, kReturned, kAbandoned, kQuarantined };
enum class RerunReason { kExpired, kFailed, kTainted };
enum class BatchVerdict { kStored, kLeaseLost, kRejected, kGap };

class Metrics {
 public:
  explicit Metrics(const std::string& version);

  // `method` is "Service/Method" of our own services, `code` a gRPC status code; any other code counts as UNKNOWN.
  void CountRpc(const std::string& method, int code);
  void ObserveRpc(const std::string& method, double seconds);
  void CountRefusedRole() { refused_role_.Increment(); }

  void CountLeases(std::int64_t granted) { leases_.Increment(static_cast<double>(granted)); }
  void CountAttempt(AttemptOutcome outcome);
  void CountRerun(RerunReason reason);
  void CountBatch(BatchVerdict verdict);
  // One transaction of the coordinator that made `records` durable; failed ones made none.
  void CountCommit(bool ok, double seconds, std::int64_t records);

  // Replace the gauges. PublishJobs keeps the first kJobCap: give the newest first.
  void PublishCoordinator(const CoordinatorFigures& figures) { figures_->SetCoordinator(figures); }
  void PublishJobs(std::vector<JobFigures> jobs) { figures_->SetJobs(std::move(jobs)); }

  // What an exposition shows. Shared: the HTTP server holds weak references.
  std::vector<std::shared_ptr<prometheus::Collectable>> Collectables() const { return {registry_, figures_}; }
  // The text format, as /metrics answers it.
  std::string Text() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  std::shared_ptr<Figures> figures_;
  prometheus::Family<prometheus::Counter>& rpcs_;
  prometheus::Family<prometheus::Histogram>& rpc_seconds_;
  prometheus::Counter& refused_role_;
  prometheus::Counter& leases_;
  prometheus::Family<prometheus::Counter>& attempts_;
  prometheus::Family<prometheus::Counter>& reruns_;
  prometheus::Family<prometheus::Counter>& batches_;
  prometheus::Counter& records_;
  prometheus::Family<prometheus::Counter>& commits_;
  prometheus::Histogram& commit_seconds_;
};

}  // namespace uaqf::metrics
