#include "tests/server/rpc/fake_worker.h"

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "proto/wire/digest.h"
#include "proto/wire/names.h"

namespace uaqf::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);

}  // namespace

FakeWorker::FakeWorker(std::shared_ptr<grpc::Channel> channel, const std::string& name, const std::string& session)
    : channel_(std::move(channel)), stub_(v1::WorkerService::NewStub(channel_)) {
  state.set_worker("workers/" + name);
  state.set_session(session);
  state.mutable_device()->set_id("device-of-" + name);
  state.mutable_device()->set_backend("cpu");
  state.set_lists_items(true);
  v1::ModelInfo& model = *state.add_models();
  model.set_model("m");
  model.set_context_tokens(4096);
  model.set_release_format("Q4_1");
  for (const char* variant : {"fp16", "rtn-w8", "rtn-w4"}) {
    v1::VariantInfo& info = *model.add_variants();
    info.set_variant(variant);
    info.set_fits(true);
  }
}

FakeWorker::~FakeWorker() {
  if (session_ != nullptr) FinishSession();
  if (records_ != nullptr) {
    records_context_->TryCancel();
    records_->Finish();
  }
}

std::unique_ptr<grpc::ClientContext> FakeWorker::Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
  return context;
}

std::optional<v1::DesiredState> FakeWorker::Report() {
  if (session_ == nullptr) {
    session_context_ = Context();
    session_ = stub_->Session(session_context_.get());
  }
  state.set_sequence(state.sequence() + 1);
  if (!session_->Write(state)) return std::nullopt;
  v1::DesiredState desired;
  // What was pushed before it came is older than the answer.
  do {
    if (!session_->Read(&desired)) return std::nullopt;
  } while (desired.acknowledged_sequence() < state.sequence());
  return desired;
}

std::optional<v1::DesiredState> FakeWorker::Await(const std::function<bool(const v1::DesiredState&)>& done) {
  while (true) {
    std::optional<v1::DesiredState> desired = Report();
    if (!desired.has_value() || done(*desired)) return desired;
    state.clear_hosted();
    if (desired->has_assignment()) {
      v1::HostedVariant& hosted = *state.mutable_hosted();
      hosted.set_model(desired->assignment().model());
      hosted.set_variant(desired->assignment().variant());
      hosted.set_max_sequence_tokens(desired->assignment().max_sequence_tokens());
      hosted.set_max_batch(desired->assignment().max_batch());
      hosted.set_state(v1::VARIANT_STATE_READY);
    }
    state.clear_surveys();
    for (const v1::Survey& survey : desired->surveys()) {
      v1::SurveyResult& result = *state.add_surveys();
      result.set_job(survey.job());
      result.set_longest_input_tokens(10);
      if (!survey.text_set().empty()) {
        result.set_text_tokens(std::int64_t{text_windows} * survey.context_tokens());
        result.set_text_windows(text_windows);
      }
      if (!survey.article_set().empty()) result.set_articles(3);
      if (!survey.task_set().empty()) {
        result.set_task_items(4);
        result.set_longest_task_tokens(12);
      }
    }
  }
}

v1::Lease FakeWorker::AwaitLease() {
  const auto desired = Await([](const v1::DesiredState& d) { return d.leases_size() > 0; });
  EXPECT_TRUE(desired.has_value()) << "the session ended before a lease came";
  return desired.has_value() ? desired->leases(0) : v1::Lease();
}

grpc::Status FakeWorker::FinishSession() {
  session_->WritesDone();
  v1::DesiredState ignored;
  while (session_->Read(&ignored)) {
  }
  const grpc::Status status = session_->Finish();
  session_.reset();
  return status;
}

std::int32_t ItemOf(const v1::Lease& lease, int place) {
  return lease.items_size() > 0 ? lease.items(place) : lease.first_item() + place;
}

std::vector<v1::Record> FakeWorker::Measure(const v1::Lease& lease) {
  std::vector<v1::Record> records;
  const bool fp16 = wire::HostedVariantName(lease.variant()) == "fp16";
  const bool twin = lease.variant() == "fp16#2";
  for (int i = 0; i < lease.item_count(); ++i) {
    v1::Record& record = records.emplace_back();
    record.set_item(ItemOf(lease, i));
    record.set_repeat(lease.repeat());
    switch (lease.kind()) {
      case v1::CHUNK_KIND_TIMING: {
        v1::TimingRecord& timing = *record.mutable_timing();
        const int tokens = lease.output_tokens_size() > i ? lease.output_tokens(i) : 8;
        timing.set_input_tokens(10);
        timing.set_output_tokens(tokens);
        // fp16 takes twice as long, its twin 1 % longer still; runs differ a little.
        timing.set_latency_ns((twin   ? 20'200'000
                               : fp16 ? 20'000'000
                                      : 10'000'000) +
                              100'000 * lease.repeat() + 1000 * record.item());
        timing.set_prefill_ns(2'000'000);
        timing.set_decode_ns(timing.latency_ns() - 3'000'000);
        for (int gap = 1; gap < tokens; ++gap) {
          const std::int64_t even = timing.decode_ns() / (tokens - 1);
          timing.add_inter_token_ns(gap > 1 ? even : timing.decode_ns() - (tokens - 2) * even);
        }
        break;
      }
      case v1::CHUNK_KIND_GENERATION:
        record.mutable_generation()->set_input_tokens(10);
        record.mutable_generation()->set_output_tokens(8 + record.item());
        record.mutable_generation()->set_stopped(true);
        break;
      case v1::CHUNK_KIND_TASK: {
        v1::TaskCheck& check = *record.mutable_task()->add_checks();
        check.set_metric(v1::TASK_METRIC_CHOICE);
        check.set_made(1);
        // fp16 gets the even items right, the others all but the first.
        check.set_passed(fp16 ? (record.item() + 1) % 2 : record.item() > 0 ? 1 : 0);
        record.mutable_task()->set_answer("A");
        break;
      }
      case v1::CHUNK_KIND_ARTICLE:
        record.mutable_article()->set_scored_tokens(150);
        record.mutable_article()->set_words(100);
        record.mutable_article()->set_bytes(500);
        record.mutable_article()->set_nll_sum(fp16 ? 300 : 310);
        break;
      case v1::CHUNK_KIND_DIVERGENCE: {
        v1::DivergenceRecord& divergence = *record.mutable_divergence();
        divergence.set_positions(lease.context_tokens() - 1);
        divergence.set_kl_sum(0.02 * divergence.positions());
        if (lease.summary_k() > 0) {
          divergence.set_summary_k(lease.summary_k());
          // Too loose with the first k.
          divergence.set_kl_upper_sum((lease.summary_k() < 2048 ? 0.2 : 0.025) * divergence.positions());
        }
        divergence.set_same_top(divergence.positions());
        divergence.set_top_k(10);
        divergence.set_shared_top(9L * divergence.positions());
        break;
      }
      case v1::CHUNK_KIND_TRAFFIC: {
        const v1::TrafficCell& cell = lease.cells(i);
        v1::TrafficRecord& traffic = *record.mutable_traffic();
        traffic.set_batch(cell.batch());
        traffic.set_input_tokens(cell.input_tokens());
        traffic.set_output_tokens(cell.output_tokens());
        // The others are twice as fast alone, and slower together: they pass at batch 7.
        const std::int64_t step_ns = fp16 ? 2'000'000 + 20'000 * cell.batch() : 1'000'000 + 160'000 * cell.batch();
        traffic.set_decode_ns(step_ns * cell.output_tokens() + 1000 * lease.repeat());
        traffic.set_prefill_ns(1000);
        traffic.set_latency_ns(traffic.decode_ns() + traffic.prefill_ns());
        traffic.mutable_decode()->set_bytes(1e6);
        traffic.mutable_decode()->set_operations(1e6);
        traffic.set_read_bytes_per_s(1e6 / (static_cast<double>(traffic.decode_ns()) * 1e-9) / 0.75);
        traffic.set_operations_per_s(1e12);
        break;
      }
      case v1::CHUNK_KIND_AGREEMENT: {
        // Eight tokens; of the others' the last two are not fp16's, and half differ within a batch.
        v1::AgreementRecord& agreement = *record.mutable_agreement();
        agreement.set_input_tokens(10);
        for (int token = 0; token < 8; ++token) agreement.add_output_ids(fp16 || token < 6 ? token : 100 + token);
        const auto add = [&](int batch, int same) {
          v1::RepeatedOutput& repeat = *agreement.add_repeats();
          repeat.set_batch(batch);
          repeat.set_same_tokens(same);
        };
        add(1, 8);
        for (const int size : lease.batch_sizes()) add(size, fp16 ? 8 : 4);
        break;
      }
      case v1::CHUNK_KIND_SUMMARY:
        record.mutable_summary()->set_positions(lease.context_tokens() - 1);
        record.mutable_summary()->set_summary_k(lease.summary_k());
        record.mutable_summary()->set_bytes(1);
        break;
      default:
        record.mutable_window()->set_scored_tokens(lease.context_tokens() - 1);
        record.mutable_window()->set_nll_sum((fp16 ? 3.0 : 3.07) * record.window().scored_tokens());
    }
  }
  return records;
}

v1::RecordBatch FakeWorker::Batch(const v1::Lease& lease, int sequence, int first, int last) const {
  v1::RecordBatch batch;
  batch.set_worker(state.worker());
  *batch.mutable_attempt() = lease.attempt();
  batch.set_sequence(sequence);
  const std::vector<v1::Record> records = Measure(lease);
  for (int i = first; i < last; ++i) *batch.add_records() = records[static_cast<std::size_t>(i)];
  if (last == static_cast<int>(records.size())) {
    batch.mutable_end()->set_record_count(last);
    v1::ChunkEvidence& evidence = *batch.mutable_end()->mutable_evidence();
    *evidence.mutable_device() = state.device();
    evidence.mutable_memory()->set_kv_bytes_per_token(2);
    evidence.mutable_memory()->set_weights_bytes(wire::HostedVariantName(lease.variant()) == "fp16" ? 200 : 80);
    evidence.set_wall_ns(1'000'000);
    batch.mutable_end()->set_variant_configuration(
        absl::StrCat("{\"method\":\"", wire::HostedVariantName(lease.variant()), "\"}"));
    evidence.set_variant_digest(wire::Sha256Hex(batch.end().variant_configuration()));
  }
  if (adjust) adjust(lease, batch);
  return batch;
}

bool FakeWorker::Write(const v1::RecordBatch& batch) {
  if (records_ == nullptr) {
    records_context_ = Context();
    records_ = stub_->Records(records_context_.get());
  }
  return records_->Write(batch);
}

std::optional<v1::RecordAck> FakeWorker::Send(const v1::RecordBatch& batch) {
  v1::RecordAck ack;
  if (!Write(batch) || !records_->Read(&ack)) return std::nullopt;
  return ack;
}

grpc::Status FakeWorker::FinishRecords() {
  records_->WritesDone();
  v1::RecordAck ignored;
  while (records_->Read(&ignored)) {
  }
  const grpc::Status status = records_->Finish();
  records_.reset();
  return status;
}

bool FakeWorker::Complete(const v1::Lease& lease) {
  const auto ack = Send(Batch(lease, 0, 0, lease.item_count()));
  return ack.has_value() && ack->verdict() == v1::RECORD_VERDICT_STORED;
}

int FakeWorker::RunUntilIdle() {
  int done = 0;
  while (true) {
    const auto desired = Await(
        [](const v1::DesiredState& d) { return d.leases_size() > 0 || (!d.has_assignment() && d.surveys().empty()); });
    if (!desired.has_value() || desired->leases().empty()) return done;
    for (const v1::Lease& lease : desired->leases()) done += Complete(lease) ? 1 : 0;
  }
}

}  // namespace uaqf::test
