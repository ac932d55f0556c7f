// Record batches as workers send them.
#include <algorithm>
#include <utility>

#include "server/rpc/convert.h"

namespace uaqf::rpc {
namespace {

// Of the limit that the worker measured, what a phase of so many nanoseconds took.
core::DeviceShares SharesOf(const v1::PhaseWork& work, std::int64_t phase_ns, const v1::TrafficRecord& record) {
  const double seconds = static_cast<double>(phase_ns) * 1e-9;
  const auto share = [seconds](double done, double per_s) {
    const double most = seconds * per_s;
    return most > 0 && done > 0 ? done / most : 0.0;
  };
  return {share(work.bytes(), record.read_bytes_per_s()), share(work.operations(), record.operations_per_s())};
}

void FillTraffic(const v1::TrafficRecord& traffic, core::RecordRow* row) {
  row->body = core::RecordBody::kTraffic;
  row->batch = traffic.batch();
  row->input_tokens = traffic.input_tokens();
  row->output_tokens = traffic.output_tokens();
  row->latency_ns = traffic.latency_ns();
  row->prefill_ns = traffic.prefill_ns();
  row->decode_ns = traffic.decode_ns();
  row->prefill_shares = SharesOf(traffic.prefill(), traffic.prefill_ns(), traffic);
  row->decode_shares = SharesOf(traffic.decode(), traffic.decode_ns(), traffic);
}

core::RecordRow RowOf(const v1::Record& message) {
  core::RecordRow row;
  row.item = message.item();
  row.repeat = message.repeat();
  if (message.has_timing()) {
    const v1::TimingRecord& timing = message.timing();
    row.body = core::RecordBody::kTiming;
    row.input_tokens = timing.input_tokens();
    row.output_tokens = timing.output_tokens();
    row.latency_ns = timing.latency_ns();
    row.tokenize_ns = timing.tokenize_ns();
    row.prefill_ns = timing.prefill_ns();
    row.decode_ns = timing.decode_ns();
    row.detokenize_ns = timing.detokenize_ns();
  } else if (message.has_generation()) {
    row.body = core::RecordBody::kGeneration;
    row.input_tokens = message.generation().input_tokens();
    row.output_tokens = message.generation().output_tokens();
  } else if (message.has_window()) {
    row.body = core::RecordBody::kWindow;
    row.scored_tokens = message.window().scored_tokens();
    row.nll_sum = message.window().nll_sum();
  } else if (message.has_task()) {
    row.body = core::RecordBody::kTask;
    row.input_tokens = message.task().input_tokens();
    row.output_tokens = message.task().output_tokens();
    for (const v1::TaskCheck& check : message.task().checks()) {
      row.checks.push_back({check.metric(), check.passed(), check.made()});
    }
  } else if (message.has_divergence()) {
    const v1::DivergenceRecord& divergence = message.divergence();
    row.body = core::RecordBody::kDivergence;
    row.scored_tokens = divergence.positions();
    row.kl_sum = divergence.kl_sum();
    row.kl_upper_sum = divergence.has_kl_upper_sum() ? divergence.kl_upper_sum() : divergence.kl_sum();
    row.summary_k = divergence.summary_k();
    row.same_top = divergence.same_top();
    row.top_k = divergence.top_k();
    row.shared_top = divergence.shared_top();
  } else if (message.has_summary()) {
    row.body = core::RecordBody::kSummary;
    row.scored_tokens = message.summary().positions();
    row.summary_k = message.summary().summary_k();
  } else if (message.has_traffic()) {
    FillTraffic(message.traffic(), &row);
  } else if (message.has_article()) {
    row.body = core::RecordBody::kArticle;
    row.scored_tokens = message.article().scored_tokens();
    row.nll_sum = message.article().nll_sum();
    row.words = message.article().words();
    row.bytes = message.article().bytes();
  } else if (message.has_agreement()) {
    row.body = core::RecordBody::kAgreement;
    row.input_tokens = message.agreement().input_tokens();
    row.output_tokens = message.agreement().output_ids_size();
  } else {
    row.body = core::RecordBody::kFailure;
    row.failure = message.failure();
  }
  row.blob = message.SerializeAsString();
  return row;
}

core::Evidence EvidenceOf(const v1::ChunkEvidence& message) {
  core::Evidence evidence;
  const v1::MemoryUse& memory = message.memory();
  evidence.memory = {memory.weights_bytes(), memory.block_weights_bytes(), memory.kv_cache_bytes(),
                     memory.workspace_bytes(), memory.measured_peak_bytes()};
  evidence.taints.assign(message.taints().begin(), message.taints().end());
  evidence.blob = message.SerializeAsString();
  evidence.variant_digest = message.variant_digest();
  evidence.wall_ns = std::max<std::int64_t>(0, message.wall_ns());
  return evidence;
}

}  // namespace

core::RecordBatch FromProto(const v1::RecordBatch& message) {
  core::RecordBatch batch;
  const std::string& worker = message.worker();
  batch.worker = worker.substr(worker.find('/') + 1);
  batch.attempt = FromProto(message.attempt());
  batch.sequence = message.sequence();
  batch.records.reserve(static_cast<std::size_t>(message.records_size()));
  for (const v1::Record& record : message.records()) batch.records.push_back(RowOf(record));
  batch.has_end = message.has_end();
  if (batch.has_end) {
    batch.end.record_count = message.end().record_count();
    batch.end.evidence = EvidenceOf(message.end().evidence());
    batch.end.evidence.variant_configuration = message.end().variant_configuration();
  }
  return batch;
}

}  // namespace uaqf::rpc
