// What a decision is resampled over (METHODS.md, section 2): prompts, each with all its runs, windows of the text, and
// prompts that were generated again.
// All variants have the same units, so a draw of units is the same for all of them: differences to fp16 stay paired.
#pragma once

#include <vector>

#include "server/ranking/measurements.h"

namespace uaqf::ranking {

// Sums of one variant over its records of each prompt, and over each window. Empty where it has no such records.
struct VariantUnits {
  std::vector<double> tokens_per_s;         // [prompt] sum over runs
  std::vector<double> latency_s;            // [prompt] sum over runs
  std::vector<double> latency_variance;     // [prompt] sample variance over runs, s^2; 0 with one run
  std::vector<double> throughput_variance;  // [prompt] the same of tokens/s
  std::vector<double> ttft_s;               // [prompt] sum over runs
  std::vector<double> output_tokens;        // [prompt] sum over runs
  std::vector<double> decode_s;             // [prompt] sum over runs of more than one token
  std::vector<double> gaps;                 // [prompt] between the tokens of those
  std::vector<double> nll;                  // [window] nats per token
  std::vector<double> penalty;              // [output] what the prompt adds to B (agreement_measures.h)
};

struct PairedUnits {
  std::vector<double> runs;            // [prompt] records of each variant that has timings
  std::vector<double> several;         // [prompt] 1 where there are at least two runs, else 0
  std::vector<double> windows;         // [window] 1
  std::vector<double> outputs;         // [output] 1
  std::vector<VariantUnits> variants;  // in the order of Measurements::variants
};

// `common` as KeepCommonRecords gives it: what differs in its prompts, runs or windows from fp16 has no units. A
// variant with a loss that is not finite has no windows, and one without a run of fp16's no outputs. Without fp16
// nobody has units.
[[nodiscard]] PairedUnits PairUnits(const Measurements& common);

// The same with at most `most` units of each kind: where there are more, they are put together by chance into `most`
// bundles of like size, and their sums add up. A sample of a thousand bundles tells the spread as well as one of all
// that are in them.
[[nodiscard]] PairedUnits Bundle(PairedUnits units, std::size_t most);

}  // namespace uaqf::ranking
