#include "server/rpc/ranking_convert.h"

#include <cmath>
#include <optional>

#include "server/rpc/agreements.h"

namespace uaqf::rpc {
namespace {

template <typename Message>
void Set(const std::optional<ranking::Estimate>& from, v1::Estimate* (Message::*mutable_field)(), Message& to) {
  if (!from.has_value()) return;
  v1::Estimate& estimate = *(to.*mutable_field)();
  estimate.set_value(from->value);
  if (from->half_width.has_value()) estimate.set_half_width(*from->half_width);
}

template <typename T>
void Set(const std::optional<T>& from, void (v1::VariantMeasures::*set_field)(T), v1::VariantMeasures& to) {
  if (from.has_value()) (to.*set_field)(*from);
}

void SetMemory(const std::optional<ranking::Memory>& from, v1::VariantMeasures& to) {
  if (!from.has_value()) return;
  v1::MemoryUse& memory = *to.mutable_memory();
  memory.set_weights_bytes(from->weights_bytes);
  memory.set_block_weights_bytes(from->block_weights_bytes);
  memory.set_kv_cache_bytes(from->kv_cache_bytes);
  memory.set_workspace_bytes(from->workspace_bytes);
  memory.set_measured_peak_bytes(from->measured_peak_bytes);
  memory.set_kv_bytes_per_token(from->kv_bytes_per_token);
}

v1::UtilityFormula ToProto(ranking::Formula formula) {
  switch (formula) {
    case ranking::Formula::kUtility:
      return v1::UTILITY_FORMULA_UTILITY;
    case ranking::Formula::kRegime:
      return v1::UTILITY_FORMULA_REGIME;
    case ranking::Formula::kFull:
      break;
  }
  return v1::UTILITY_FORMULA_FULL;
}

ranking::Formula FromProto(v1::UtilityFormula formula) {
  if (formula == v1::UTILITY_FORMULA_UTILITY) return ranking::Formula::kUtility;
  return formula == v1::UTILITY_FORMULA_REGIME ? ranking::Formula::kRegime : ranking::Formula::kFull;
}

v1::RankStatus ToProto(ranking::RankStatus status) {
  switch (status) {
    case ranking::RankStatus::kRanked:
      return v1::RANK_STATUS_RANKED;
    case ranking::RankStatus::kStopped:
      return v1::RANK_STATUS_STOPPED;
    case ranking::RankStatus::kNotFeasible:
      return v1::RANK_STATUS_NOT_FEASIBLE;
    case ranking::RankStatus::kNotMeasured:
      break;
  }
  return v1::RANK_STATUS_NOT_MEASURED;
}

void Fill(const ranking::Interval& from, v1::Interval& to) {
  to.set_low(from.low);
  to.set_high(from.high);
}

void Fill(const ranking::Standing& from, v1::Standing& to) {
  Fill(from.utility, *to.mutable_utility());
  to.set_probability_best(from.probability_best);
  to.set_rank_low(from.rank_low);
  to.set_rank_high(from.rank_high);
  to.set_expected_regret(from.expected_regret);
  Fill(from.behind, *to.mutable_behind_winner());
  to.set_tied(from.tied);
  to.set_noise(from.noise);
}

void Fill(const ranking::Comparison& from, v1::Comparison& to) {
  to.set_value(from.value);
  Fill(from.interval, *to.mutable_interval());
  Fill(from.unpaired, *to.mutable_unpaired_interval());
  to.set_smallest_detectable(from.smallest_detectable);
  to.set_within_noise(from.within_noise);
}

void Fill(const ranking::SelfDifference& from, v1::SelfDifference& to) {
  to.set_value(from.value);
  Fill(from.interval, *to.mutable_interval());
  to.set_floor(from.Floor());
}

// Of logarithms, as a share.
void FillShare(const ranking::SelfDifference& log, v1::SelfDifference& to) {
  to.set_value(std::expm1(log.value));
  Fill({std::expm1(log.interval.low), std::expm1(log.interval.high)}, *to.mutable_interval());
  to.set_floor(std::expm1(log.Floor()));
}

void Fill(const ranking::WeightSweep& from, v1::WeightSweep& to) {
  to.set_term(from.term);
  to.set_weight(from.weight);
  for (const ranking::SweepSegment& segment : from.segments) {
    v1::SweepSegment& out = *to.add_segments();
    out.set_from(segment.from);
    out.set_to(segment.to);
    out.set_winner(segment.winner);
  }
}

v1::ConstraintVerdict ToProto(ranking::Verdict verdict) {
  switch (verdict) {
    case ranking::Verdict::kMet:
      return v1::CONSTRAINT_VERDICT_MET;
    case ranking::Verdict::kUnsure:
      return v1::CONSTRAINT_VERDICT_UNSURE;
    case ranking::Verdict::kNotMet:
      return v1::CONSTRAINT_VERDICT_NOT_MET;
    case ranking::Verdict::kUndecidable:
      break;
  }
  return v1::CONSTRAINT_VERDICT_UNDECIDABLE;
}

// The enums have the same order; 0 of the proto's is none.
v1::LimitedFigure ToProto(ranking::LimitedFigure figure) {
  return static_cast<v1::LimitedFigure>(static_cast<int>(figure) + 1);
}
static_assert(static_cast<int>(ranking::LimitedFigure::kPricePerMillion) + 1 == v1::LIMITED_FIGURE_PRICE);
static_assert(static_cast<int>(ranking::LimitedFigure::kMemory) + 1 == v1::LIMITED_FIGURE_MEMORY);
static_assert(static_cast<int>(ranking::LimitedFigure::kEnergyPerToken) + 1 == v1::LIMITED_FIGURE_ENERGY_PER_TOKEN);

void Fill(const ranking::Constraint& from, v1::Constraint& to) {
  to.set_figure(ToProto(from.figure));
  to.set_limit(from.limit);
}

void Fill(const ranking::Check& from, v1::ConstraintCheck& to) {
  Fill(from.constraint, *to.mutable_constraint());
  to.set_verdict(ToProto(from.verdict));
  if (from.value) to.set_value(*from.value);
  if (from.interval) Fill(*from.interval, *to.mutable_interval());
  if (from.margin) to.set_margin(*from.margin);
  if (from.probability_met) to.set_probability_met(*from.probability_met);
  if (from.needed_limit) to.set_needed_limit(*from.needed_limit);
  to.set_reason(from.reason);
}

void Fill(const ranking::TrafficShape& from, v1::TrafficShape& to) {
  to.set_batch(from.batch);
  to.set_input_tokens(from.input_tokens);
  to.set_output_tokens(from.output_tokens);
}

void Fill(const ranking::Phase& from, v1::TrafficPhase& to) {
  to.set_time_share(from.share);
  to.set_read_share(from.of_limit.read);
  to.set_compute_share(from.of_limit.compute);
  to.set_bound(static_cast<v1::Bound>(from.bound));
}
static_assert(static_cast<int>(ranking::Bound::kUnknown) == v1::BOUND_UNSPECIFIED);
static_assert(static_cast<int>(ranking::Bound::kNeither) == v1::BOUND_NEITHER);

void Fill(const ranking::TrafficMap& from, v1::TrafficMap& to) {
  to.set_draws(from.draws);
  for (const ranking::TrafficCellFigures& cell : from.cells) {
    v1::TrafficCellFigures& out = *to.add_cells();
    Fill(cell.shape, *out.mutable_shape());
    for (const ranking::TrafficFigure& figure : cell.variants) {
      v1::TrafficFigure& added = *out.add_variants();
      added.set_variant(figure.variant);
      added.set_batch_s(figure.batch_s);
      added.set_tokens_per_s(figure.tokens_per_s);
      if (figure.ratio) added.set_speedup(*figure.ratio);
      if (figure.interval) Fill(*figure.interval, *added.mutable_interval());
      Fill(figure.prefill, *added.mutable_prefill());
      Fill(figure.decode, *added.mutable_decode());
    }
  }
  for (const ranking::Crossover& crossover : from.crossovers) {
    v1::Crossover& out = *to.add_crossovers();
    out.set_variant(crossover.variant);
    out.set_input_tokens(crossover.input_tokens);
    out.set_output_tokens(crossover.output_tokens);
    out.set_batch(crossover.batch);
    out.set_faster_above(crossover.faster_above);
    if (crossover.probability) out.set_probability(*crossover.probability);
    if (crossover.interval) Fill(*crossover.interval, *out.mutable_interval());
  }
}

void Fill(const ranking::Capacity& from, v1::Capacity& to) {
  to.set_context_tokens(from.context_tokens);
  to.set_device_bytes(from.device_bytes);
  to.set_free_bytes(from.free_bytes);
  if (from.sequences) to.set_sequences(*from.sequences);
  to.set_reason(from.reason);
}

void Fill(const ranking::RankedVariant& from, v1::RankedVariant& to) {
  to.set_variant(from.variant);
  to.set_rank(from.rank);
  to.set_status(ToProto(from.status));
  if (from.utility.has_value()) to.set_utility(*from.utility);
  to.set_reason(from.reason);
  for (const ranking::Term& term : from.terms) {
    v1::Term& out = *to.add_terms();
    out.set_name(term.name);
    out.set_weight(term.weight);
    out.set_raw(term.raw);
    out.set_unit(term.unit);
    out.set_normalized(term.normalized);
    out.set_contribution(term.contribution);
    if (term.interval) Fill(*term.interval, *out.mutable_interval());
    out.set_within_noise(term.within_noise);
  }
  if (from.standing) Fill(*from.standing, *to.mutable_standing());
  if (from.speedup) Fill(*from.speedup, *to.mutable_speedup());
  if (from.nll_loss) Fill(*from.nll_loss, *to.mutable_nll_loss());
  for (const ranking::Check& check : from.checks) Fill(check, *to.add_checks());
  to.set_dominated_by(from.dominated_by);
  if (from.energy_per_token) to.set_energy_per_token(*from.energy_per_token);
  if (from.energy_interval) Fill(*from.energy_interval, *to.mutable_energy_interval());
  if (from.capacity) Fill(*from.capacity, *to.mutable_capacity());
  if (from.behaviour) *to.mutable_behaviour() = rpc::ToProto(*from.behaviour);
}

}  // namespace

ranking::Profile FromProto(const v1::Profile& message) {
  ranking::Profile profile;
  profile.name = message.name();
  profile.description = message.description();
  profile.formula = FromProto(message.formula());
  profile.normalization = message.normalization() == v1::NORMALIZATION_MINMAX ? ranking::Normalization::kMinMax
                                                                              : ranking::Normalization::kBaseline;
  profile.weights = {message.weights().speed(), message.weights().quality(), message.weights().stability(),
                     message.weights().memory(), message.weights().behaviour()};
  profile.stability_form = message.stability_form() == v1::STABILITY_FORM_COMBINED ? ranking::StabilityForm::kCombined
                                                                                   : ranking::StabilityForm::kRelative;
  profile.stability_alpha = message.stability_alpha();
  profile.stability_beta = message.stability_beta();
  if (message.has_max_delta_nll()) profile.max_delta_nll = message.max_delta_nll();
  for (const v1::Constraint& constraint : message.constraints()) {
    profile.constraints.push_back(
        {static_cast<ranking::LimitedFigure>(static_cast<int>(constraint.figure()) - 1), constraint.limit()});
  }
  profile.price_per_hour = message.price_per_hour();
  for (const v1::TrafficShare& part : message.traffic()) {
    profile.traffic.push_back(
        {{part.shape().batch(), part.shape().input_tokens(), part.shape().output_tokens()}, part.share()});
  }
  profile.context_tokens = message.context_tokens();
  profile.device_memory_bytes = message.device_memory_bytes();
  return profile;
}

v1::Profile ToProto(const ranking::Profile& profile) {
  v1::Profile message;
  message.set_name(profile.name);
  message.set_description(profile.description);
  message.set_formula(ToProto(profile.formula));
  message.set_normalization(profile.normalization == ranking::Normalization::kMinMax ? v1::NORMALIZATION_MINMAX
                                                                                     : v1::NORMALIZATION_BASELINE);
  message.mutable_weights()->set_speed(profile.weights.speed);
  message.mutable_weights()->set_quality(profile.weights.quality);
  message.mutable_weights()->set_stability(profile.weights.stability);
  message.mutable_weights()->set_memory(profile.weights.memory);
  message.mutable_weights()->set_behaviour(profile.weights.behaviour);
  message.set_stability_form(profile.stability_form == ranking::StabilityForm::kCombined ? v1::STABILITY_FORM_COMBINED
                                                                                         : v1::STABILITY_FORM_RELATIVE);
  message.set_stability_alpha(profile.stability_alpha);
  message.set_stability_beta(profile.stability_beta);
  if (profile.max_delta_nll.has_value()) message.set_max_delta_nll(*profile.max_delta_nll);
  message.set_built_in(profile.built_in);
  for (const ranking::Constraint& constraint : profile.constraints) Fill(constraint, *message.add_constraints());
  message.set_price_per_hour(profile.price_per_hour);
  for (const ranking::TrafficShare& part : profile.traffic) {
    v1::TrafficShare& out = *message.add_traffic();
    Fill(part.shape, *out.mutable_shape());
    out.set_share(part.share);
  }
  message.set_context_tokens(profile.context_tokens);
  message.set_device_memory_bytes(profile.device_memory_bytes);
  return message;
}

v1::VariantMeasures ToProto(const ranking::VariantMeasures& from) {
  using M = v1::VariantMeasures;
  M to;
  to.set_variant(from.variant);
  to.set_timing_records(from.timing_records);
  to.set_prompts(from.prompts);
  to.set_repeats(from.repeats);
  Set(from.latency_s, &M::mutable_latency_s, to);
  Set(from.latency_p50_s, &M::set_latency_p50_s, to);
  Set(from.latency_p95_s, &M::set_latency_p95_s, to);
  Set(from.ttft_s, &M::mutable_ttft_s, to);
  Set(from.tokens_per_s, &M::mutable_tokens_per_s, to);
  Set(from.token_weighted_tokens_per_s, &M::set_token_weighted_tokens_per_s, to);
  Set(from.inter_token_s, &M::set_inter_token_s, to);
  Set(from.speedup, &M::set_speedup, to);
  Set(from.latency_deviation_s, &M::set_latency_deviation_s, to);
  Set(from.throughput_deviation, &M::set_throughput_deviation, to);
  Set(from.relative_stability, &M::set_relative_stability, to);
  Set(from.run_mean_deviation_s, &M::set_run_mean_deviation_s, to);
  Set(from.across_prompt_deviation_s, &M::set_across_prompt_deviation_s, to);
  to.set_windows(from.windows);
  Set(from.nll, &M::set_nll, to);
  Set(from.perplexity, &M::set_perplexity, to);
  Set(from.delta_perplexity, &M::set_delta_perplexity, to);
  Set(from.delta_nll, &M::mutable_delta_nll, to);
  Set(from.output_length_change, &M::mutable_output_length_change, to);
  for (const ranking::TaskMeasure& task : from.tasks) {
    v1::TaskMeasure& out = *to.add_tasks();
    out.set_metric(static_cast<v1::TaskMetric>(task.metric));
    out.set_items(task.items);
    out.set_score(task.score);
    if (task.flips_to_right) out.set_flips_to_right(*task.flips_to_right);
    if (task.flips_to_wrong) out.set_flips_to_wrong(*task.flips_to_wrong);
    Set(task.score_change, &v1::TaskMeasure::mutable_score_change, out);
    if (task.flip_p_value) out.set_flip_p_value(*task.flip_p_value);
  }
  if (from.divergence) {
    v1::DivergenceMeasure& out = *to.mutable_divergence();
    out.set_positions(from.divergence->positions);
    Set(from.divergence->kl, &v1::DivergenceMeasure::mutable_kl, out);
    Set(from.divergence->kl_lower, &v1::DivergenceMeasure::mutable_kl_lower, out);
    Set(from.divergence->kl_upper, &v1::DivergenceMeasure::mutable_kl_upper, out);
    out.set_same_top(from.divergence->same_top);
    out.set_top_agreement(from.divergence->top_agreement);
    out.set_top_k(from.divergence->top_k);
  }
  if (from.articles) {
    v1::ArticleMeasure& out = *to.mutable_articles();
    out.set_articles(from.articles->articles);
    out.set_tokens(from.articles->tokens);
    out.set_words(from.articles->words);
    out.set_bytes(from.articles->bytes);
    if (from.articles->word_perplexity) out.set_word_perplexity(*from.articles->word_perplexity);
    if (from.articles->byte_perplexity) out.set_byte_perplexity(*from.articles->byte_perplexity);
    if (from.articles->bits_per_byte) out.set_bits_per_byte(*from.articles->bits_per_byte);
    if (from.articles->delta_word_perplexity) out.set_delta_word_perplexity(*from.articles->delta_word_perplexity);
  }
  if (from.energy) {
    v1::EnergyMeasure& out = *to.mutable_energy();
    out.mutable_joules_per_token()->set_value(from.energy->joules_per_token.value);
    if (from.energy->joules_per_token.half_width) {
      out.mutable_joules_per_token()->set_half_width(*from.energy->joules_per_token.half_width);
    }
    out.set_chunks(from.energy->chunks);
    out.set_energy_j(from.energy->energy_j);
    out.set_output_tokens(from.energy->output_tokens);
  }
  if (from.behaviour) *to.mutable_behaviour() = rpc::ToProto(*from.behaviour);
  SetMemory(from.memory, to);
  if (from.memory_bytes.has_value()) to.set_memory_bytes(*from.memory_bytes);
  to.set_tainted_chunks(from.tainted_chunks);
  to.set_quarantined(from.quarantined);
  to.set_failure(from.failure);
  return to;
}

v1::NoiseFloor ToProto(const ranking::NoiseFloor& floor) {
  v1::NoiseFloor to;
  to.set_reason(floor.problem);
  if (!floor.problem.empty()) return to;
  FillShare(floor.speed, *to.mutable_tokens_per_s());
  FillShare(floor.latency, *to.mutable_latency());
  if (floor.stability) Fill(*floor.stability, *to.mutable_stability());
  to.set_pairs(floor.pairs);
  to.set_separate_processes(floor.separate_processes);
  to.set_differs(floor.speed.Differs());
  return to;
}

v1::RankedSlice ToProto(const ranking::Slice& slice) {
  v1::RankedSlice to;
  to.set_name(slice.name);
  to.set_prompts(slice.prompts);
  if (!slice.ranking.ok()) {
    to.set_reason(std::string(slice.ranking.status().message()));
    return to;
  }
  for (const ranking::RankedVariant& variant : slice.ranking->variants) Fill(variant, *to.add_variants());
  to.set_winner(slice.ranking->winner);
  if (slice.ranking->floor) *to.mutable_noise_floor() = ToProto(*slice.ranking->floor);
  return to;
}

v1::RankVariantsResponse ToProto(const ranking::Ranking& ranking) {
  v1::RankVariantsResponse to;
  to.set_job(ranking.job);
  *to.mutable_profile() = ToProto(ranking.profile);
  to.set_formula(ranking.formula);
  for (const ranking::RankedVariant& variant : ranking.variants) Fill(variant, *to.add_variants());
  to.set_winner(ranking.winner);
  to.set_other_normalization_winner(ranking.other_normalization_winner);
  for (const std::string& warning : ranking.warnings) to.add_warnings(warning);
  to.set_records_used(ranking.records_used);
  to.set_conditions(ranking.conditions);
  to.set_point_values(ranking.point_values);
  to.set_resamples(ranking.resamples);
  to.set_seed(ranking.seed);
  for (const ranking::WeightSweep& sweep : ranking.sweeps) Fill(sweep, *to.add_sweeps());
  if (ranking.floor) *to.mutable_noise_floor() = ToProto(*ranking.floor);
  if (ranking.traffic) Fill(*ranking.traffic, *to.mutable_traffic());
  if (ranking.relaxation) {
    to.mutable_relaxation()->set_variant(ranking.relaxation->variant);
    for (const ranking::Constraint& limit : ranking.relaxation->limits)
      Fill(limit, *to.mutable_relaxation()->add_limits());
  }
  return to;
}

v1::CompareJobsResponse ToProto(const ranking::JobComparison& comparison) {
  v1::CompareJobsResponse to;
  for (const ranking::ComparedVariant& from : comparison.variants) {
    v1::ComparedVariant& variant = *to.add_variants();
    variant.set_variant(from.variant);
    variant.set_prompts(from.prompts);
    variant.set_windows(from.windows);
    if (from.speed_ratio) Fill(*from.speed_ratio, *variant.mutable_speed_ratio());
    if (from.nll_difference) Fill(*from.nll_difference, *variant.mutable_nll_difference());
    variant.set_speed_differs(from.SpeedDiffers());
    variant.set_nll_differs(from.NllDiffers());
  }
  if (comparison.speed_floor) to.set_speed_floor(std::expm1(*comparison.speed_floor));
  for (const std::string& note : comparison.notes) to.add_notes(note);
  to.set_resamples(comparison.resamples);
  to.set_seed(comparison.seed);
  return to;
}

}  // namespace uaqf::rpc
