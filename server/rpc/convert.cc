#include "server/rpc/convert.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "proto/wire/names.h"
#include "server/rpc/imported.h"

namespace uaqf::rpc {
// Static and not in a nameless namespace, whose overloads would hide those of the header.

static constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// The id of a name that was validated.
static std::string Id(absl::string_view name) { return std::string(name.substr(name.find('/') + 1)); }

template <typename Message>
static void SetNs(std::int64_t ns, Message& message) {
  message.set_seconds(ns / kNsPerSecond);
  message.set_nanos(static_cast<std::int32_t>(ns % kNsPerSecond));
}

static core::TimingSpec FromProto(const v1::TimingSpec& message) {
  core::TimingSpec timing;
  timing.repeats = message.repeats();
  timing.input_tokens = message.input_tokens();
  timing.max_output_tokens = message.max_output_tokens();
  timing.output_length = static_cast<core::OutputLength>(message.output_length());
  timing.block_prompts = message.block_prompts();
  timing.warmup_generations = message.warmup_generations();
  timing.chat = message.chat();
  timing.clear_cache = message.clear_cache();
  return timing;
}

static v1::TimingSpec ToProto(const core::TimingSpec& timing) {
  v1::TimingSpec message;
  message.set_repeats(timing.repeats);
  message.set_input_tokens(timing.input_tokens);
  message.set_max_output_tokens(timing.max_output_tokens);
  message.set_output_length(static_cast<v1::OutputLength>(timing.output_length));
  message.set_block_prompts(timing.block_prompts);
  message.set_warmup_generations(timing.warmup_generations);
  message.set_chat(timing.chat);
  message.set_clear_cache(timing.clear_cache);
  return message;
}

static v1::CalibrationProgress ToProto(const core::CalibrationProgress& progress) {
  v1::CalibrationProgress message;
  message.set_layers_done(progress.layers_done);
  message.set_layers_total(progress.layers_total);
  return message;
}

static v1::VariantProgress ToProto(const core::VariantProgress& progress) {
  v1::VariantProgress message;
  message.set_variant(progress.variant);
  message.set_state(static_cast<v1::VariantState>(progress.state));
  message.set_records_done(progress.records_done);
  message.set_records_total(progress.records_total);
  message.set_chunks_tainted(progress.chunks_tainted);
  if (progress.latency_s.has_value()) message.set_latency_s(*progress.latency_s);
  if (progress.tokens_per_s.has_value()) message.set_tokens_per_s(*progress.tokens_per_s);
  if (progress.nll.has_value()) message.set_nll(*progress.nll);
  message.set_error(progress.error);
  if (progress.calibration.layers_total > 0) *message.mutable_calibration() = ToProto(progress.calibration);
  return message;
}

static v1::JobProgress ToProto(const core::JobProgress& progress) {
  v1::JobProgress message;
  message.set_records_done(progress.records_done);
  message.set_records_total(progress.records_total);
  message.set_records_quarantined(progress.records_quarantined);
  message.set_chunks_done(progress.chunks_done);
  message.set_chunks_total(progress.chunks_total);
  message.set_chunks_rerun(progress.chunks_rerun);
  message.set_records_per_s(progress.records_per_s);
  if (progress.remaining_ns.has_value()) SetNs(*progress.remaining_ns, *message.mutable_remaining());
  message.set_current(progress.current);
  for (const core::VariantProgress& variant : progress.variants) *message.add_variants() = ToProto(variant);
  return message;
}

static core::Device FromProto(const v1::Device& message) {
  return {message.id(),  message.name(),   message.backend(), message.threads(),
          message.isa(), message.driver(), message.cuda(),    message.memory_bytes()};
}

static v1::Device ToProto(const core::Device& device) {
  v1::Device message;
  message.set_id(device.id);
  message.set_name(device.name);
  message.set_backend(device.backend);
  message.set_threads(device.threads);
  message.set_isa(device.isa);
  message.set_driver(device.driver);
  message.set_cuda(device.cuda);
  message.set_memory_bytes(device.memory_bytes);
  return message;
}

static core::ModelInfo FromProto(const v1::ModelInfo& message) {
  core::ModelInfo model;
  model.model = message.model();
  model.digest = message.digest();
  model.architecture = message.architecture();
  model.parameters = message.parameters();
  model.context_tokens = message.context_tokens();
  model.release_format = message.release_format();
  for (const v1::VariantInfo& variant : message.variants()) {
    model.variants.push_back({variant.variant(), variant.description(), variant.fits(), variant.reason(),
                              variant.resident_bytes(), variant.calibrated(), variant.kv_bytes_per_token()});
  }
  return model;
}

static v1::ModelInfo ToProto(const core::ModelInfo& model) {
  v1::ModelInfo message;
  message.set_model(model.model);
  message.set_digest(model.digest);
  message.set_architecture(model.architecture);
  message.set_parameters(model.parameters);
  message.set_context_tokens(model.context_tokens);
  message.set_release_format(model.release_format);
  for (const core::VariantInfo& variant : model.variants) *message.add_variants() = ToProto(variant);
  return message;
}

core::AttemptId FromProto(const v1::AttemptId& message) {
  return {Id(message.job()), message.chunk(), message.epoch()};
}

static void SetItems(const std::vector<std::int32_t>& items, v1::Lease& message) {
  message.set_item_count(static_cast<std::int32_t>(items.size()));
  const auto leap = [](std::int32_t a, std::int32_t b) { return b != a + 1; };
  if (std::adjacent_find(items.begin(), items.end(), leap) == items.end()) {
    message.set_first_item(items.front());
  } else {
    message.set_first_item(-1);
    message.mutable_items()->Add(items.begin(), items.end());
  }
}

static v1::Lease ToProto(const core::Lease& lease) {
  v1::Lease message;
  *message.mutable_attempt() = ToProto(lease.attempt);
  SetNs(lease.remaining_ns, *message.mutable_duration());
  message.set_kind(static_cast<v1::ChunkKind>(lease.kind));
  message.set_variant(lease.variant);
  message.set_repeat(lease.repeat);
  SetItems(lease.items, message);
  message.set_prompt_set(wire::PromptSetName(lease.prompt_set));
  *message.mutable_timing() = ToProto(lease.timing);
  message.mutable_output_tokens()->Add(lease.output_tokens.begin(), lease.output_tokens.end());
  message.set_context_tokens(lease.context_tokens);
  message.set_seed(lease.seed);
  message.set_summary_k(lease.summary_k);
  for (const core::TrafficCell& cell : lease.cells) {
    v1::TrafficCell& added = *message.add_cells();
    added.set_batch(cell.batch);
    added.set_input_tokens(cell.input_tokens);
    added.set_output_tokens(cell.output_tokens);
    added.set_first_prompt(cell.first_prompt);
  }
  message.mutable_batch_sizes()->Add(lease.batch_sizes.begin(), lease.batch_sizes.end());
  return message;
}

static v1::Survey ToProto(const core::SurveyRequest& survey) {
  v1::Survey message;
  message.set_job(wire::JobName(survey.job));
  message.set_model(survey.model);
  message.set_prompt_set(wire::PromptSetName(survey.prompt_set));
  if (!survey.text_set.empty()) message.set_text_set(wire::PromptSetName(survey.text_set));
  message.set_context_tokens(survey.context_tokens);
  *message.mutable_timing() = ToProto(survey.timing);
  if (!survey.task_set.empty()) message.set_task_set(wire::PromptSetName(survey.task_set));
  message.set_max_task_items(survey.max_task_items);
  message.mutable_variants()->Add(survey.variants.begin(), survey.variants.end());
  if (!survey.article_set.empty()) message.set_article_set(wire::PromptSetName(survey.article_set));
  message.set_shortest_batch_input(survey.shortest_batch_input);
  return message;
}

core::JobSpec FromProto(const v1::JobSpec& message) {
  core::JobSpec spec;
  spec.model = message.model();
  spec.variants.assign(message.variants().begin(), message.variants().end());
  if (message.noise_floor()) spec.variants.emplace_back(core::kBaselineTwin);
  spec.prompt_set = Id(message.prompt_set());
  spec.timing = FromProto(message.timing());
  if (!message.quality().text_set().empty()) spec.quality.text_set = Id(message.quality().text_set());
  spec.quality.context_tokens = message.quality().context_tokens();
  spec.quality.max_windows = message.quality().max_windows();
  if (!message.quality().task_set().empty()) spec.quality.task_set = Id(message.quality().task_set());
  spec.quality.max_task_items = message.quality().max_task_items();
  spec.quality.divergence = message.quality().divergence();
  if (!message.quality().article_set().empty()) spec.quality.article_set = Id(message.quality().article_set());
  spec.quality.max_articles = message.quality().max_articles();
  spec.quality.divergence_mode = static_cast<core::DivergenceMode>(message.quality().divergence_mode());
  spec.seed = message.seed();
  spec.lease_ns = message.lease_duration().seconds() * kNsPerSecond + message.lease_duration().nanos();
  spec.attempt_limit = message.attempt_limit();
  spec.shuffled = message.item_order() != v1::ITEM_ORDER_AS_IN_SET;
  const v1::AllocationSpec& allocation = message.allocation();
  spec.allocation.until_decided = allocation.until_decided();
  if (!allocation.profile().empty()) spec.allocation.profile = Id(allocation.profile());
  spec.allocation.device_time_ns = allocation.device_time().seconds() * kNsPerSecond + allocation.device_time().nanos();
  const v1::TrafficGrid& grid = message.grid();
  spec.grid = {{grid.batches().begin(), grid.batches().end()},
               {grid.input_tokens().begin(), grid.input_tokens().end()},
               {grid.output_tokens().begin(), grid.output_tokens().end()},
               grid.draws()};
  spec.agreement.prompts = message.agreement().prompts();
  spec.agreement.output_tokens = message.agreement().output_tokens();
  spec.agreement.batch_sizes.assign(message.agreement().batch_sizes().begin(), message.agreement().batch_sizes().end());
  return spec;
}

v1::JobSpec ToProto(const core::JobSpec& spec) {
  v1::JobSpec message;
  message.set_model(spec.model);
  message.set_noise_floor(false);
  for (const std::string& variant : spec.variants) {
    if (variant == core::kBaselineTwin) {
      message.set_noise_floor(true);
    } else {
      message.add_variants(variant);
    }
  }
  message.set_prompt_set(wire::PromptSetName(spec.prompt_set));
  *message.mutable_timing() = ToProto(spec.timing);
  if (!spec.quality.text_set.empty()) {
    message.mutable_quality()->set_text_set(wire::PromptSetName(spec.quality.text_set));
  }
  message.mutable_quality()->set_context_tokens(spec.quality.context_tokens);
  message.mutable_quality()->set_max_windows(spec.quality.max_windows);
  if (!spec.quality.task_set.empty()) {
    message.mutable_quality()->set_task_set(wire::PromptSetName(spec.quality.task_set));
  }
  message.mutable_quality()->set_max_task_items(spec.quality.max_task_items);
  message.mutable_quality()->set_divergence(spec.quality.divergence);
  if (!spec.quality.article_set.empty()) {
    message.mutable_quality()->set_article_set(wire::PromptSetName(spec.quality.article_set));
  }
  message.mutable_quality()->set_max_articles(spec.quality.max_articles);
  message.mutable_quality()->set_divergence_mode(static_cast<v1::DivergenceMode>(spec.quality.divergence_mode));
  message.set_seed(spec.seed);
  SetNs(spec.lease_ns, *message.mutable_lease_duration());
  message.set_attempt_limit(spec.attempt_limit);
  message.set_item_order(spec.shuffled ? v1::ITEM_ORDER_RANDOM : v1::ITEM_ORDER_AS_IN_SET);
  if (!spec.grid.Empty()) {
    v1::TrafficGrid& grid = *message.mutable_grid();
    grid.mutable_batches()->Add(spec.grid.batches.begin(), spec.grid.batches.end());
    grid.mutable_input_tokens()->Add(spec.grid.input_tokens.begin(), spec.grid.input_tokens.end());
    grid.mutable_output_tokens()->Add(spec.grid.output_tokens.begin(), spec.grid.output_tokens.end());
    grid.set_draws(spec.grid.draws);
  }
  if (spec.agreement.prompts > 0) {
    v1::AgreementSpec& agreement = *message.mutable_agreement();
    agreement.set_prompts(spec.agreement.prompts);
    agreement.set_output_tokens(spec.agreement.output_tokens);
    agreement.mutable_batch_sizes()->Add(spec.agreement.batch_sizes.begin(), spec.agreement.batch_sizes.end());
    agreement.set_no_batches(spec.agreement.batch_sizes.empty());
  }
  if (!spec.allocation.InRounds()) return message;
  v1::AllocationSpec& allocation = *message.mutable_allocation();
  allocation.set_until_decided(spec.allocation.until_decided);
  if (!spec.allocation.profile.empty()) allocation.set_profile(wire::ProfileName(spec.allocation.profile));
  if (spec.allocation.device_time_ns > 0) SetNs(spec.allocation.device_time_ns, *allocation.mutable_device_time());
  return message;
}

v1::DeviceTime ToProto(const core::DeviceTime& time) {
  v1::DeviceTime message;
  message.set_measured_s(time.measured_s);
  message.set_remaining_s(time.remaining_s);
  message.set_skipped_s(time.skipped_s);
  message.set_uniform_s(time.UniformS());
  message.set_saved_share(time.SavedShare());
  return message;
}

v1::Job ToProto(const core::JobView& view) {
  v1::Job message;
  message.set_name(wire::JobName(view.id));
  if (view.imported) {
    message.mutable_spec()->mutable_variants()->Assign(view.spec.variants.begin(), view.spec.variants.end());
    *message.mutable_imported() = ToProto(*view.imported);
  } else {
    *message.mutable_spec() = ToProto(view.spec);
  }
  message.set_state(static_cast<v1::JobState>(view.state));
  SetNs(view.create_wall_ns, *message.mutable_create_time());
  if (view.start_wall_ns != 0) SetNs(view.start_wall_ns, *message.mutable_start_time());
  if (view.end_wall_ns != 0) SetNs(view.end_wall_ns, *message.mutable_end_time());
  *message.mutable_progress() = ToProto(view.progress);
  message.set_error(view.error);
  if (view.device_time) *message.mutable_device_time() = ToProto(*view.device_time);
  message.set_parameters(view.parameters);
  return message;
}

core::WorkerReport FromProto(const v1::WorkerState& message) {
  core::WorkerReport report;
  report.worker = Id(message.worker());
  report.session = message.session();
  report.sequence = message.sequence();
  report.device = FromProto(message.device());
  report.build = message.build();
  for (const v1::ModelInfo& model : message.models()) report.models.push_back(FromProto(model));
  const v1::HostedVariant& hosted = message.hosted();
  report.hosted = {hosted.model(),
                   hosted.variant(),
                   static_cast<core::VariantState>(hosted.state()),
                   hosted.error(),
                   hosted.max_sequence_tokens(),
                   {hosted.calibration().layers_done(), hosted.calibration().layers_total()},
                   std::max(1, hosted.max_batch())};
  for (const v1::AttemptProgress& attempt : message.attempts()) {
    report.attempts.push_back({FromProto(attempt.attempt()), attempt.records_made(), attempt.error()});
  }
  for (const v1::SurveyResult& survey : message.surveys()) {
    report.surveys.push_back(
        {Id(survey.job()),
         {survey.longest_input_tokens(), survey.text_tokens(), survey.text_windows(), survey.error(),
          /*release_format=*/"", survey.task_items(), survey.longest_task_tokens(), survey.articles()}});
  }
  report.draining = message.draining();
  report.lists_items = message.lists_items();
  return report;
}

v1::DesiredState ToProto(const core::DesiredState& desired) {
  v1::DesiredState message;
  message.set_acknowledged_sequence(desired.acknowledged_sequence);
  if (!desired.variant.empty()) {
    message.mutable_assignment()->set_model(desired.model);
    message.mutable_assignment()->set_variant(desired.variant);
    message.mutable_assignment()->set_max_sequence_tokens(desired.max_sequence_tokens);
    message.mutable_assignment()->set_max_batch(desired.max_batch);
  }
  for (const core::Lease& lease : desired.leases) *message.add_leases() = ToProto(lease);
  for (const core::SurveyRequest& survey : desired.surveys) *message.add_surveys() = ToProto(survey);
  message.set_drain(desired.drain);
  SetNs(desired.next_report_ns, *message.mutable_next_report_in());
  return message;
}

v1::Worker ToProto(const core::WorkerView& view) {
  v1::Worker message;
  message.set_name(wire::WorkerName(view.worker));
  *message.mutable_device() = ToProto(view.device);
  message.set_build(view.build);
  if (!view.hosted.model.empty()) {
    message.set_hosting(view.hosted.model + "/" + view.hosted.variant);
    message.set_variant_state(static_cast<v1::VariantState>(view.hosted.state));
    if (view.hosted.calibration.layers_total > 0) {
      *message.mutable_calibration() = ToProto(view.hosted.calibration);
    }
  }
  if (!view.job.empty()) message.set_job(wire::JobName(view.job));
  for (const core::ModelInfo& model : view.models) *message.add_models() = ToProto(model);
  message.set_chunks_done(view.chunks_done);
  message.set_chunks_failed(view.chunks_failed);
  message.set_benched(view.benched);
  return message;
}

v1::VariantInfo ToProto(const core::VariantInfo& info) {
  v1::VariantInfo message;
  message.set_variant(info.variant);
  message.set_description(info.description);
  message.set_fits(info.fits);
  message.set_reason(info.reason);
  message.set_resident_bytes(info.resident_bytes);
  message.set_calibrated(info.calibrated);
  message.set_kv_bytes_per_token(info.kv_bytes_per_token);
  return message;
}

v1::AttemptId ToProto(const core::AttemptId& attempt) {
  v1::AttemptId message;
  message.set_job(wire::JobName(attempt.job));
  message.set_chunk(attempt.chunk);
  message.set_epoch(attempt.epoch);
  return message;
}

v1::RecordVerdict ToProto(core::Verdict verdict) {
  switch (verdict) {
    case core::Verdict::kStored:
      return v1::RECORD_VERDICT_STORED;
    case core::Verdict::kLeaseLost:
      return v1::RECORD_VERDICT_LEASE_LOST;
    case core::Verdict::kRejected:
      return v1::RECORD_VERDICT_REJECTED;
    case core::Verdict::kGap:
      break;
  }
  return v1::RECORD_VERDICT_UNSPECIFIED;
}

v1::PromptSet ToProto(const store::PromptSetInfo& info) {
  v1::PromptSet message;
  message.set_name(wire::PromptSetName(info.digest));
  message.set_display_name(info.display_name);
  message.set_kind(static_cast<v1::PromptSetKind>(info.kind));
  message.set_prompt_count(info.prompt_count);
  message.set_size_bytes(info.size_bytes);
  SetNs(info.create_wall_ns, *message.mutable_create_time());
  for (const store::CategoryCount& category : info.categories) {
    v1::CategoryCount& count = *message.add_categories();
    count.set_category(category.category);
    count.set_prompt_count(category.prompt_count);
  }
  v1::PromptSetHeader header;
  if (header.ParseFromString(info.sources)) message.mutable_sources()->Swap(header.mutable_sources());
  return message;
}

v1::StoredRecord ToProto(const store::StoredRecord& record, const core::JobId& job, const core::JobSpec& spec) {
  v1::StoredRecord message;
  message.set_job(wire::JobName(job));
  message.set_variant(spec.variants.at(static_cast<std::size_t>(record.variant)));
  message.set_chunk(record.chunk);
  message.set_epoch(record.epoch);
  message.set_kind(static_cast<v1::ChunkKind>(record.kind));
  message.set_worker(wire::WorkerName(record.worker));
  message.set_tainted(record.tainted);
  message.set_group(record.group);
  message.set_variant_digest(record.variant_digest);
  // Bytes that another version cannot read are no reason to hide the record.
  if (!record.evidence.empty() && !message.mutable_evidence()->ParseFromString(record.evidence)) {
    message.clear_evidence();
  }
  if (record.blob.empty() || !message.mutable_record()->ParseFromString(record.blob)) {
    message.mutable_record()->Clear();
    message.mutable_record()->set_item(record.item);
    message.mutable_record()->set_repeat(record.repeat);
    message.mutable_record()->set_failure(record.failure);
  }
  return message;
}

}  // namespace uaqf::rpc
