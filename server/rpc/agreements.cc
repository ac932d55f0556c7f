#include "server/rpc/agreements.h"

#include "uaqf/v1/record.pb.h"

namespace uaqf::rpc {
namespace {

void Fill(const ranking::Estimate& from, v1::Estimate& to) {
  to.set_value(from.value);
  if (from.half_width) to.set_half_width(*from.half_width);
}

void Fill(const ranking::Interval& from, v1::Interval& to) {
  to.set_low(from.low);
  to.set_high(from.high);
}

void Fill(const ranking::AgreementMeasure& from, v1::Agreement& to) {
  to.set_prompts(from.prompts);
  Fill(from.tokens, *to.mutable_tokens());
  to.set_equal(from.equal);
  Fill(from.equal_interval, *to.mutable_equal_interval());
}

}  // namespace

std::vector<ranking::AgreementRow> ParseAgreements(const std::vector<core::AgreementBlob>& records) {
  std::vector<ranking::AgreementRow> rows;
  v1::Record record;
  for (const core::AgreementBlob& from : records) {
    if (!record.ParseFromString(from.blob) || !record.has_agreement()) continue;
    const v1::AgreementRecord& agreement = record.agreement();
    ranking::AgreementRow& row = rows.emplace_back();
    row.variant = from.variant;
    row.item = from.item;
    row.ids.assign(agreement.output_ids().begin(), agreement.output_ids().end());
    for (const v1::RepeatedOutput& repeat : agreement.repeats()) {
      row.repeats.push_back({repeat.batch(), repeat.same_tokens()});
    }
    row.not_finite_tokens = agreement.not_finite_tokens();
    row.loop = agreement.loop();
    row.batches_refused = agreement.batches_refused();
  }
  return rows;
}

v1::BehaviourMeasure ToProto(const ranking::BehaviourMeasure& behaviour) {
  v1::BehaviourMeasure to;
  to.set_prompts(behaviour.prompts);
  for (const ranking::SelfAgreement& from : behaviour.self) {
    v1::SelfAgreement& self = *to.add_self();
    self.set_batch(from.batch);
    Fill(from.agreement, *self.mutable_agreement());
    if (from.kernel) self.set_kernel(*from.kernel);
    if (from.quantization) Fill(*from.quantization, *self.mutable_quantization());
  }
  if (behaviour.with_fp16) Fill(*behaviour.with_fp16, *to.mutable_with_fp16());
  to.set_not_finite(behaviour.not_finite);
  Fill(behaviour.not_finite_interval, *to.mutable_not_finite_interval());
  to.set_loops(behaviour.loops);
  Fill(behaviour.loops_interval, *to.mutable_loops_interval());
  if (behaviour.penalty) to.set_penalty(*behaviour.penalty);
  to.set_problem(behaviour.problem);
  return to;
}

v1::CompareJobsResponse ToProto(const ranking::OutputComparison& comparison) {
  v1::CompareJobsResponse to;
  for (const ranking::ComparedOutputs& from : comparison.variants) {
    v1::ComparedVariant& variant = *to.add_variants();
    variant.set_variant(from.variant);
    Fill(from.outputs, *variant.mutable_outputs());
  }
  for (const std::string& note : comparison.notes) to.add_notes(note);
  return to;
}

}  // namespace uaqf::rpc
