#include "worker/link/convert.h"

#include <limits>
#include <numeric>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "worker/link/convert_task.h"
#include "worker/measure/gpu_monitor.h"

namespace uaqf::link {
namespace {

// What a timed generation and a timed batch have in common.
template <typename From, typename To>
void FillStages(const From& timing, To& out) {
  out.set_input_tokens(timing.input_tokens);
  out.set_output_tokens(timing.output_tokens);
  out.set_latency_ns(timing.latency_ns);
  out.set_tokenize_ns(timing.tokenize_ns);
  out.set_prefill_ns(timing.prefill_ns);
  out.set_decode_ns(timing.decode_ns);
  out.set_detokenize_ns(timing.detokenize_ns);
  out.set_output_digest(timing.output_digest);
}

void Fill(const measure::Timing& timing, v1::Record& record) {
  v1::TimingRecord& out = *record.mutable_timing();
  FillStages(timing, out);
  out.mutable_inter_token_ns()->Add(timing.inter_token_ns.begin(), timing.inter_token_ns.end());
  out.set_start_offset_ns(timing.start_offset_ns);
}

void Fill(const measure::Work& work, v1::PhaseWork& out) {
  out.set_bytes(work.bytes);
  out.set_operations(work.operations);
}

void Fill(const measure::TrafficTiming& timing, v1::Record& record) {
  v1::TrafficRecord& out = *record.mutable_traffic();
  out.set_batch(timing.batch);
  FillStages(timing, out);
  Fill(timing.prefill, *out.mutable_prefill());
  Fill(timing.decode, *out.mutable_decode());
  out.set_read_bytes_per_s(timing.limits.read_bytes_per_s);
  out.set_operations_per_s(timing.limits.operations_per_s);
}

void Fill(const measure::Generation& generation, v1::Record& record) {
  v1::GenerationRecord& out = *record.mutable_generation();
  out.set_input_tokens(generation.input_tokens);
  out.set_output_tokens(generation.output_tokens);
  out.set_stopped(generation.stopped);
  out.set_output_digest(generation.output_digest);
}

void Fill(const measure::WindowScore& score, v1::Record& record) {
  record.mutable_window()->set_scored_tokens(score.scored_tokens);
  record.mutable_window()->set_nll_sum(score.nll_sum);
}

void Fill(const measure::TaskResult& result, v1::Record& record) {
  v1::TaskRecord& out = *record.mutable_task();
  out.set_input_tokens(result.input_tokens);
  out.set_output_tokens(result.output_tokens);
  out.set_stopped(result.stopped);
  out.set_output_digest(result.output_digest);
  out.set_answer(result.answer);
  for (const measure::TaskCheck& check : result.checks) {
    v1::TaskCheck& added = *out.add_checks();
    added.set_metric(static_cast<v1::TaskMetric>(check.metric));
    added.set_passed(check.passed);
    added.set_made(check.made);
  }
  out.mutable_choice_log_likelihoods()->Add(result.choice_log_likelihoods.begin(), result.choice_log_likelihoods.end());
}

void Fill(const measure::WindowDivergence& divergence, v1::Record& record) {
  v1::DivergenceRecord& out = *record.mutable_divergence();
  out.set_positions(divergence.positions);
  out.set_kl_sum(divergence.kl_sum);
  out.set_same_top(divergence.same_top);
  out.set_top_k(divergence.top_k);
  out.set_shared_top(divergence.shared_top);
  if (divergence.summary_k == 0) return;
  out.set_summary_k(divergence.summary_k);
  out.set_kl_upper_sum(divergence.kl_upper_sum);
}

void Fill(const measure::SummaryNote& summary, v1::Record& record) {
  v1::SummaryRecord& out = *record.mutable_summary();
  out.set_positions(summary.positions);
  out.set_summary_k(summary.summary_k);
  out.set_bytes(summary.bytes);
  out.set_digest(summary.digest);
}

void Fill(const measure::ArticleScore& score, v1::Record& record) {
  v1::ArticleRecord& out = *record.mutable_article();
  out.set_scored_tokens(score.scored_tokens);
  out.set_nll_sum(score.nll_sum);
  out.set_words(score.words);
  out.set_bytes(score.bytes);
}

void Fill(const measure::Agreement& agreement, v1::Record& record) {
  v1::AgreementRecord& out = *record.mutable_agreement();
  out.set_input_tokens(agreement.first.input_tokens);
  out.mutable_output_ids()->Add(agreement.first.ids.begin(), agreement.first.ids.end());
  out.set_stopped(agreement.first.stopped);
  for (const measure::RepeatedOutput& repeat : agreement.repeats) {
    v1::RepeatedOutput& added = *out.add_repeats();
    added.set_batch(repeat.batch);
    added.set_same_tokens(repeat.same_tokens);
  }
  out.set_not_finite_tokens(agreement.not_finite_tokens);
  out.set_loop(agreement.first.loop);
  out.set_batches_refused(agreement.batches_refused);
}

measure::GenerationRequest ToRequest(const v1::TimingSpec& timing) {
  measure::GenerationRequest request;
  request.input_tokens = timing.input_tokens();
  request.chat = timing.chat();
  request.max_output_tokens = timing.max_output_tokens();
  return request;
}

}  // namespace

v1::Device ToProto(const measure::Device& device) {
  v1::Device out;
  out.set_id(device.id);
  out.set_name(device.name);
  out.set_backend(device.backend);
  out.set_threads(device.threads);
  out.set_isa(device.isa);
  out.set_driver(device.driver);
  out.set_cuda(device.cuda);
  out.set_memory_bytes(device.memory_bytes);
  return out;
}

v1::Record ToProto(const measure::ItemResult& result) {
  v1::Record record;
  record.set_item(result.item);
  record.set_repeat(result.repeat);
  std::visit([&record](const auto& body) { Fill(body, record); }, result.body);
  return record;
}

v1::MemoryUse ToProto(const measure::Memory& memory) {
  v1::MemoryUse out;
  out.set_weights_bytes(memory.weights_bytes);
  out.set_block_weights_bytes(memory.block_weights_bytes);
  out.set_kv_cache_bytes(memory.kv_cache_bytes);
  out.set_workspace_bytes(memory.workspace_bytes);
  out.set_kv_bytes_per_token(memory.kv_bytes_per_token);
  out.set_measured_peak_bytes(memory.measured_peak_bytes);
  return out;
}

v1::GpuEvidence ToProto(const measure::GpuUse& use, int64_t wall_ns) {
  v1::GpuEvidence out;
  out.set_sm_mhz(use.sm_mhz);
  out.set_memory_mhz(use.memory_mhz);
  for (const std::string& name : measure::SlowdownNames(use.slowdowns)) out.add_slowdowns(name);
  out.set_energy_j(static_cast<double>(use.energy_mj) / 1e3);
  if (wall_ns > 0) out.set_mean_power_w(static_cast<double>(use.energy_mj) * 1e6 / static_cast<double>(wall_ns));
  out.set_power_capped_ns(use.power_capped_ns);
  out.set_thermal_ns(use.thermal_ns);
  out.set_temperature_c(use.temperature_c);
  out.set_ecc_corrected(use.ecc_corrected);
  out.set_ecc_uncorrected(use.ecc_uncorrected);
  for (const std::string& process : use.foreign_processes) out.add_foreign_processes(process);
  return out;
}

measure::Prompt FromProto(const v1::Prompt& prompt) {
  measure::Prompt out{prompt.id(), prompt.text(), {}};
  for (const v1::ChatMessage& message : prompt.messages()) out.messages.push_back({message.role(), message.content()});
  if (prompt.has_task()) out.task = ToTask(prompt.task());
  return out;
}

namespace {

// The items of a lease: listed, or following each other.
absl::StatusOr<std::vector<int32_t>> ItemsOf(const v1::Lease& lease) {
  constexpr int32_t kMost = 1 << 20;
  if (lease.items_size() > 0) return std::vector<int32_t>(lease.items().begin(), lease.items().end());
  if (lease.item_count() < 1 || lease.item_count() > kMost || lease.first_item() < 0 ||
      lease.first_item() > std::numeric_limits<int32_t>::max() - lease.item_count()) {
    return absl::InvalidArgumentError(absl::StrCat("lease of ", lease.item_count(), " items from ", lease.first_item(),
                                                   ": expected 1 to ", kMost, " items from 0 on"));
  }
  std::vector<int32_t> items(static_cast<size_t>(lease.item_count()));
  std::iota(items.begin(), items.end(), lease.first_item());
  return items;
}

}  // namespace

absl::StatusOr<measure::Chunk> ToChunk(const v1::Lease& lease) {
  measure::Chunk chunk;
  switch (lease.kind()) {
    case v1::CHUNK_KIND_TIMING:
      chunk.kind = measure::ChunkKind::kTiming;
      break;
    case v1::CHUNK_KIND_GENERATION:
      chunk.kind = measure::ChunkKind::kGeneration;
      break;
    case v1::CHUNK_KIND_PERPLEXITY:
      chunk.kind = measure::ChunkKind::kPerplexity;
      break;
    case v1::CHUNK_KIND_TASK:
      chunk.kind = measure::ChunkKind::kTask;
      break;
    case v1::CHUNK_KIND_DIVERGENCE:
      chunk.kind = measure::ChunkKind::kDivergence;
      break;
    case v1::CHUNK_KIND_ARTICLE:
      chunk.kind = measure::ChunkKind::kArticle;
      break;
    case v1::CHUNK_KIND_SUMMARY:
      chunk.kind = measure::ChunkKind::kSummary;
      break;
    case v1::CHUNK_KIND_TRAFFIC:
      chunk.kind = measure::ChunkKind::kTraffic;
      break;
    case v1::CHUNK_KIND_AGREEMENT:
      chunk.kind = measure::ChunkKind::kAgreement;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("chunk kind ", lease.kind(),
                       ": expected TIMING, GENERATION, PERPLEXITY, TASK, DIVERGENCE, "
                       "ARTICLE, SUMMARY, TRAFFIC or AGREEMENT; is this worker older than the coordinator?"));
  }
  for (const v1::TrafficCell& cell : lease.cells()) {
    chunk.cells.push_back({cell.batch(), cell.input_tokens(), cell.output_tokens(), cell.first_prompt()});
  }
  chunk.repeat = lease.repeat();
  auto chosen = ItemsOf(lease);
  if (!chosen.ok()) return chosen.status();
  chunk.chosen = *std::move(chosen);
  chunk.generation = ToRequest(lease.timing());
  chunk.output_tokens.assign(lease.output_tokens().begin(), lease.output_tokens().end());
  chunk.seed = lease.seed();
  chunk.warmup_generations = lease.timing().has_warmup_generations() ? lease.timing().warmup_generations() : 1;
  chunk.clear_cache = lease.timing().has_clear_cache() ? lease.timing().clear_cache() : true;
  chunk.context_tokens = lease.context_tokens();
  chunk.summary_k = lease.summary_k();
  chunk.batch_sizes.assign(lease.batch_sizes().begin(), lease.batch_sizes().end());
  return chunk;
}

measure::SurveyRequest ToSurveyRequest(const v1::Survey& survey) {
  measure::SurveyRequest request;
  request.model = survey.model();
  request.context_tokens = survey.context_tokens();
  request.input = ToRequest(survey.timing());
  request.max_task_items = survey.max_task_items();
  request.shortest_batch_input = survey.shortest_batch_input();
  return request;
}

}  // namespace uaqf::link
