#include "server/metrics/metrics.h"

#include <prometheus/text_serializer.h>

namespace uaqf::metrics {
namespace {

// gRPC's codes by number; the closed set behind the label.
constexpr const char* kCodes[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};
constexpr int kUnknown = 2;

const prometheus::Histogram::BucketBoundaries kSecondsBuckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                                 0.1,    0.25,  0.5,    1,     2.5,  10};

prometheus::Family<prometheus::Counter>& Counters(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

const char* Label(AttemptOutcome outcome) {
  switch (outcome) {
    case AttemptOutcome::kAccepted:
      return "accepted";
    case AttemptOutcome::kTainted:
      return "tainted";
    case AttemptOutcome::kFailed:
      return "failed";
    case AttemptOutcome::kExpired:
      return "expired";
    case AttemptOutcome::kReturned:
      return "returned";
    case AttemptOutcome::kAbandoned:
      return "abandoned";
    case AttemptOutcome::kQuarantined:
      break;
  }
  return "quarantined";
}

const char* Label(RerunReason reason) {
  switch (reason) {
    case RerunReason::kExpired:
      return "expired";
    case RerunReason::kFailed:
      return "failed";
    case RerunReason::kTainted:
      break;
  }
  return "tainted";
}

const char* Label(BatchVerdict verdict) {
  switch (verdict) {
    case BatchVerdict::kStored:
      return "stored";
    case BatchVerdict::kLeaseLost:
      return "lease_lost";
    case BatchVerdict::kRejected:
      return "rejected";
    case BatchVerdict::kGap:
      break;
  }
  return "gap";
}

}  // namespace

Metrics::Metrics(const std::string& version)
    : registry_(std::make_shared<prometheus::Registry>()),
      figures_(std::make_shared<Figures>(version)),
      rpcs_(Counters(*registry_, "uaqf_rpcs_total", "RPCs ended")),
      rpc_seconds_(prometheus::BuildHistogram()
                       .Name("uaqf_rpc_duration_seconds")
                       .Help("Duration of unary RPCs, server side")
                       .Register(*registry_)),
      refused_role_(
          Counters(*registry_, "uaqf_rpc_refusals_total", "RPCs refused before a handler").Add({{"reason", "role"}})),
      leases_(Counters(*registry_, "uaqf_leases_granted_total", "Chunk leases given").Add({})),
      attempts_(Counters(*registry_, "uaqf_chunk_attempts_total", "Chunk attempts ended")),
      reruns_(Counters(*registry_, "uaqf_chunk_reruns_total", "Attempts that put their chunk back")),
      batches_(Counters(*registry_, "uaqf_record_batches_total", "Record batches answered")),
      records_(Counters(*registry_, "uaqf_records_committed_total", "Records made durable").Add({})),
      commits_(Counters(*registry_, "uaqf_store_commits_total", "Transactions of the coordinator")),
      commit_seconds_(prometheus::BuildHistogram()
                          .Name("uaqf_store_commit_seconds")
                          .Help("Duration of the coordinator's transactions")
                          .Register(*registry_)
                          .Add({}, kSecondsBuckets)) {
  // Every label of a closed set is there from the start: a rate over an absent series says nothing.
  for (auto outcome :
       {AttemptOutcome::kAccepted, AttemptOutcome::kTainted, AttemptOutcome::kFailed, AttemptOutcome::kExpired,
        AttemptOutcome::kReturned, AttemptOutcome::kAbandoned, AttemptOutcome::kQuarantined}) {
    attempts_.Add({{"outcome", Label(outcome)}});
  }
  for (auto reason : {RerunReason::kExpired, RerunReason::kFailed, RerunReason::kTainted}) {
    reruns_.Add({{"reason", Label(reason)}});
  }
  for (auto verdict : {BatchVerdict::kStored, BatchVerdict::kLeaseLost, BatchVerdict::kRejected, BatchVerdict::kGap}) {
    batches_.Add({{"verdict", Label(verdict)}});
  }
  commits_.Add({{"result", "ok"}});
  commits_.Add({{"result", "error"}});
}

void Metrics::CountRpc(const std::string& method, int code) {
  const int known = code >= 0 && code < static_cast<int>(std::size(kCodes)) ? code : kUnknown;
  rpcs_.Add({{"method", method}, {"code", kCodes[known]}}).Increment();
}

void Metrics::ObserveRpc(const std::string& method, double seconds) {
  rpc_seconds_.Add({{"method", method}}, kSecondsBuckets).Observe(seconds);
}

void Metrics::CountAttempt(AttemptOutcome outcome) { attempts_.Add({{"outcome", Label(outcome)}}).Increment(); }

void Metrics::CountRerun(RerunReason reason) { reruns_.Add({{"reason", Label(reason)}}).Increment(); }

void Metrics::CountBatch(BatchVerdict verdict) { batches_.Add({{"verdict", Label(verdict)}}).Increment(); }

void Metrics::CountCommit(bool ok, double seconds, std::int64_t records) {
  commits_.Add({{"result", ok ? "ok" : "error"}}).Increment();
  commit_seconds_.Observe(seconds);
  if (ok && records > 0) records_.Increment(static_cast<double>(records));
}

std::string Metrics::Text() const {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& collectable : Collectables()) {
    for (auto& family : collectable->Collect()) families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace uaqf::metrics
