// What a job has measured so far, as columns: the input of everything in this box.
//
// Whoever reads the store fills it with accepted records only (one attempt per chunk) and moves the columns in.
// All columns of one table have the same length; row k of every column is one record. Order of rows is free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace uaqf::ranking {

// One row per timed generation; (variant, item, repeat) is unique, and with `group` where that is given.
struct TimingColumns {
  std::vector<std::int32_t> variant;        // index into Measurements::variants
  std::vector<std::int32_t> item;           // prompt
  std::vector<std::int32_t> repeat;         // run, from 0
  std::vector<std::int32_t> output_tokens;  // >= 0
  std::vector<std::int64_t> latency_ns;     // end to end, > 0
  std::vector<std::int64_t> prefill_ns;     // time to first token, >= 0
  std::vector<std::int64_t> decode_ns;      // first token to last, >= 0
  std::vector<std::int32_t> group;          // that it was measured in, from 0; empty: all in one. See groups.h
  std::vector<std::int32_t> process;        // that timed it: equal numbers, equal processes; only SplitTwin reads it
};

// One row per scored window; (variant, window) is unique.
struct WindowColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> window;
  std::vector<std::int32_t> scored_tokens;  // > 0
  std::vector<double> nll_sum;              // nats; a collapsed variant may bring NaN or infinity
};

// One row per natural generation; (variant, item) is unique.
struct GenerationColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> item;
  std::vector<std::int32_t> output_tokens;  // >= 0
};

// One row per metric of an answer to a task; (variant, item, metric) is unique. Metrics have the numbers of TaskMetric
// in record.proto.
struct TaskColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> item;
  std::vector<std::int32_t> metric;
  std::vector<std::int32_t> passed;  // 0 to made
  std::vector<std::int32_t> made;    // > 0
};

// One row per window compared with FP16; (variant, window) is unique, once KeepTightestBounds has chosen.
struct DivergenceColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> window;
  std::vector<std::int32_t> positions;   // > 0
  std::vector<double> kl_sum;            // nats; NaN for a collapsed variant; the lower side where it is bounded
  std::vector<std::int32_t> same_top;    // 0 to positions
  std::vector<std::int32_t> top_k;       // the same in every row
  std::vector<std::int64_t> shared_top;  // 0 to positions * top_k
  std::vector<double> kl_upper_sum;      // not below kl_sum; equals it where it is exact
  std::vector<std::int32_t> summary_k;   // of the summary it was bounded with; 0: exact
};

// One row per article; (variant, article) is unique.
struct ArticleColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> article;
  std::vector<std::int32_t> tokens;  // > 0
  std::vector<double> nll_sum;       // nats; a collapsed variant may bring NaN or infinity
  std::vector<std::int32_t> words;   // > 0
  std::vector<std::int32_t> bytes;   // > 0
};

// A prompt's output once more: RepeatedOutput of record.proto.
struct RepeatedOutput {
  std::int32_t batch = 1;        // > 0
  std::int32_t same_tokens = 0;  // 0 to the tokens of the first output
};

// Outputs of one prompt, AgreementRecord of record.proto; (variant, item) is unique. Rows, since their lengths differ.
struct AgreementRow {
  std::int32_t variant = 0;
  std::int32_t item = 0;
  std::vector<std::int32_t> ids;  // not empty
  std::vector<RepeatedOutput> repeats;
  std::int32_t not_finite_tokens = 0;
  bool loop = false;
  std::string batches_refused{};
};

// One row per accepted timing chunk.
struct EnergyColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> first;  // prompts [first, first + count)
  std::vector<std::int32_t> count;
  std::vector<double> energy_j;             // 0: the device does not count it
  std::vector<std::int64_t> output_tokens;  // generated meanwhile, those of warm-ups too
};

// Of what a device reads and computes at most, what a phase of a batch took: 0 to about 1 each. 0: not known.
struct DeviceShares {
  double read = 0;
  double compute = 0;
};

// Combinations that batches are timed at. Each list ascends; all are empty, or none.
struct TrafficGrid {
  std::vector<std::int32_t> batches;
  std::vector<std::int32_t> input_tokens;
  std::vector<std::int32_t> output_tokens;

  std::size_t Count() const { return batches.size() * input_tokens.size() * output_tokens.size(); }
  // Number of a combination, by places in the lists.
  std::size_t Cell(std::size_t batch, std::size_t input, std::size_t output) const {
    return (batch * input_tokens.size() + input) * output_tokens.size() + output;
  }
};

// One row per timed batch; (variant, cell, draw) is unique, and with `group` for fp16.
struct TrafficColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> cell;        // of the grid
  std::vector<std::int32_t> draw;        // which prompts
  std::vector<std::int64_t> latency_ns;  // of the batch, > 0
  std::vector<std::int64_t> prefill_ns;  // >= 0
  std::vector<std::int64_t> decode_ns;   // >= 0
  std::vector<DeviceShares> prefill_shares;
  std::vector<DeviceShares> decode_shares;
  std::vector<std::int32_t> group;  // as in TimingColumns
};

// Memory one hosted variant takes, bytes.
struct Memory {
  std::int64_t weights_bytes = 0;
  std::int64_t block_weights_bytes = 0;
  std::int64_t kv_cache_bytes = 0;
  std::int64_t workspace_bytes = 0;
  std::int64_t measured_peak_bytes = 0;
  std::int64_t kv_bytes_per_token = 0;  // of a sequence; 0: not known
  std::int64_t device_bytes = 0;        // of the device that hosted it; 0: not known

  // The figure that is ranked.
  std::int64_t Ranked() const { return weights_bytes + kv_cache_bytes + workspace_bytes; }
};

// What is known of a variant beside its records. The names are those of the job's spec, in its order.
struct VariantFacts {
  std::string name;
  std::optional<Memory> memory{};   // absent until a chunk of it was accepted
  std::int32_t tainted_chunks = 0;  // kept although tainted
  std::int64_t quarantined = 0;     // records given up
  std::string failure{};            // why the first of them was; empty without any
  // Why its records of a kind, or its memory, were set aside (SetAsideWhatCannotBe); empty when they were not.
  std::string timing_problem{};
  std::string quality_problem{};
  std::string length_problem{};  // of its natural generations
  std::string memory_problem{};
  std::string stopped{};  // why it was not measured to the end (elimination.h); empty when it was
  std::string failed{};   // why it could not be measured; empty when it could
};

struct Measurements {
  std::vector<VariantFacts> variants;
  TimingColumns timings;
  WindowColumns windows;
  GenerationColumns generations;
  TaskColumns tasks;
  DivergenceColumns divergences;
  ArticleColumns articles;
  EnergyColumns energies;
  TrafficGrid grid;
  TrafficColumns traffic;
  std::vector<AgreementRow> agreements{};
};

}  // namespace uaqf::ranking
