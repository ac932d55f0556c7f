// Records to figures: everything that METHODS calls L, T, S_L, S_T, PPL and their differences to fp16.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ranking/measurements.h"
#include "server/ranking/uncertainty.h"

namespace uaqf::ranking {

// The name of the baseline that differences are taken to.
inline constexpr char kBaseline[] = "fp16";

// A figure with the half width of its 95 % interval; absent when it cannot be told (one run, one window).
struct Estimate {
  double value = 0;
  std::optional<double> half_width;
};

// One metric of the tasks, as TaskMeasure of ranking_service.proto.
struct TaskMeasure {
  std::int32_t metric = 0;
  std::int32_t items = 0;
  double score = 0;
  // Absent for fp16 and without it.
  std::optional<std::int32_t> flips_to_right;
  std::optional<std::int32_t> flips_to_wrong;
  // Mean over the items both have of the share of checks passed, less fp16's. Interval: t over the items' differences.
  std::optional<Estimate> score_change;
  // McNemar's exact test, two-sided: how often flips as one-sided as these, or more, come by chance.
  std::optional<double> flip_p_value;
};

// Against FP16 on the same positions, as DivergenceMeasure of ranking_service.proto.
struct DivergenceMeasure {
  std::int64_t positions = 0;
  // Mean over positions; its interval over window means. Absent where a window's is not a number, or only bounded.
  std::optional<Estimate> kl;
  // Between which that mean lies, each side with the interval of its own window means; equal where it is exact. Absent
  // where a window's is not a number.
  std::optional<Estimate> kl_lower;
  std::optional<Estimate> kl_upper;
  double same_top = 0;
  double top_agreement = 0;
  std::int32_t top_k = 0;
};

// By lm-eval's `wikitext` recipe, as ArticleMeasure of ranking_service.proto.
struct ArticleMeasure {
  std::int32_t articles = 0;
  std::int64_t tokens = 0;
  std::int64_t words = 0;
  std::int64_t bytes = 0;
  // Absent where they are not finite.
  std::optional<double> word_perplexity;
  std::optional<double> byte_perplexity;
  std::optional<double> bits_per_byte;
  std::optional<double> delta_word_perplexity;
};

// As EnergyMeasure of ranking_service.proto; see energy.h.
struct EnergyMeasure {
  Estimate joules_per_token;
  std::int32_t chunks = 0;
  double energy_j = 0;
  std::int64_t output_tokens = 0;
};

// Agreement, SelfAgreement and BehaviourMeasure of ranking_service.proto.
struct AgreementMeasure {
  std::int32_t prompts = 0;
  Estimate tokens;
  double equal = 0;
  Interval equal_interval;
};

struct SelfAgreement {
  std::int32_t batch = 1;
  AgreementMeasure agreement;
  std::optional<double> kernel;
  std::optional<Estimate> quantization;
};

struct BehaviourMeasure {
  std::int32_t prompts = 0;
  std::vector<SelfAgreement> self{};  // by batch
  std::optional<AgreementMeasure> with_fp16{};
  double not_finite = 0;
  Interval not_finite_interval{};
  double loops = 0;
  Interval loops_interval{};
  std::optional<double> penalty{};
  std::string problem{};
};

// Everything measured of one variant; fields and units as in VariantMeasures of ranking_service.proto.
// Absent means not measured, never zero.
struct VariantMeasures {
  std::string variant;
  std::int64_t timing_records = 0;
  std::int32_t prompts = 0;
  // Runs of each prompt: the most that any prompt has.
  std::int32_t repeats = 0;

  // Means over records. Their intervals are over runs with prompts held fixed: with m_r the mean of run r over the
  // prompts that every run has, half width = t(0.975, R - 1) * sd_r(m_r) / sqrt(R), R >= 2.
  std::optional<Estimate> latency_s;
  std::optional<Estimate> ttft_s;
  std::optional<Estimate> tokens_per_s;
  // Order statistic x_(ceil(p n)) of all records; p95 needs 59 prompts.
  std::optional<double> latency_p50_s;
  std::optional<double> latency_p95_s;
  std::optional<double> token_weighted_tokens_per_s;
  std::optional<double> inter_token_s;
  std::optional<double> speedup;

  // S_L and S_T: sqrt of the mean over prompts of the sample variance over runs; prompts with one run are left out.
  std::optional<double> latency_deviation_s;
  std::optional<double> throughput_deviation;
  std::optional<double> relative_stability;
  std::optional<double> run_mean_deviation_s;
  std::optional<double> across_prompt_deviation_s;

  std::int32_t windows = 0;
  // Mean of window means (GPTQ recipe) and its exponential.
  std::optional<double> nll;
  std::optional<double> perplexity;
  // To fp16 on the windows both have. Interval: t(0.975, W - 1) * sd of the window differences / sqrt(W).
  std::optional<double> delta_perplexity;
  std::optional<Estimate> delta_nll;
  // Paired over prompts in the same way, tokens.
  std::optional<Estimate> output_length_change;

  std::vector<TaskMeasure> tasks;  // by metric
  std::optional<DivergenceMeasure> divergence;
  std::optional<ArticleMeasure> articles;
  std::optional<EnergyMeasure> energy;  // absent where the device does not count it
  std::optional<BehaviourMeasure> behaviour;

  std::optional<Memory> memory;
  std::optional<std::int64_t> memory_bytes;
  std::int32_t tainted_chunks = 0;
  std::int64_t quarantined = 0;
  std::string failure;  // why the first of them could not be measured; empty without any

  // Imported as single values: there are no records behind it.
  bool published = false;

  // Why quality is absent although windows were scored, e.g. a window whose likelihood is not a number.
  std::string quality_problem;
  // Why times or memory are absent although they were recorded; empty when they are not.
  std::string timing_problem;
  std::string length_problem;
  std::string memory_problem;
  std::string stopped;  // VariantFacts has it, and the next
  std::string failed;
};

// Takes out what no device can have measured: times that do not add up, a likelihood above 1, memory of 0 bytes or
// less. One such record takes all records of its kind of its variant with it, since what is left cannot be told from
// luck; the other variants keep theirs. Says why in VariantFacts. A coordinator accepts no such record; a store written
// by another version may hold some, and one of them must not hide the rest of the job.
[[nodiscard]] Measurements SetAsideWhatCannotBe(Measurements measurements);

// Of the rows of one window and variant, which were bounded with growing summaries, leaves the one whose sides are
// closest; an exact one before all others.
[[nodiscard]] Measurements KeepTightestBounds(Measurements measurements);

// One entry per variant, in the order of `measurements.variants`. Linear in the records.
// InvalidArgument: columns of unequal length, an index out of range, a record twice, a time or count that cannot be.
[[nodiscard]] absl::StatusOr<std::vector<VariantMeasures>> Measure(const Measurements& measurements);

// The records that a comparison may use: a slow variant must not be judged on fewer prompts than a fast one.
struct CommonRecords {
  Measurements measurements;
  // What was left out and why, for people; empty when nothing was.
  std::vector<std::string> notes;
};

// Keeps the timing records (prompt, repeat), the windows and the outputs that fp16 and every variant compared with it
// have. A variant with fewer than half of fp16's is left out of the comparison instead of shrinking it: it loses those
// records. A job whose variants all have the same records comes back unchanged. Fails like Measure.
[[nodiscard]] absl::StatusOr<CommonRecords> KeepCommonRecords(Measurements measurements);

}  // namespace uaqf::ranking
