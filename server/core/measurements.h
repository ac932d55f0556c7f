// Accepted records as columns, the way ranking wants them. Row k of every column of a table is one record; order is
// free. The layout is that of server/ranking/measurements.h, so that columns can be moved over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/core/attempt_evidence.h"
#include "server/core/record.h"

namespace uaqf::core {

struct TimingColumns {
  std::vector<std::int32_t> variant;  // into Measurements::variants
  std::vector<std::int32_t> item;
  std::vector<std::int32_t> repeat;
  std::vector<std::int32_t> output_tokens;
  std::vector<std::int64_t> latency_ns;
  std::vector<std::int64_t> prefill_ns;
  std::vector<std::int64_t> decode_ns;
  std::vector<std::int32_t> group;    // of the chunk
  std::vector<std::int32_t> process;  // the worker process that timed it: equal numbers, equal processes
};

struct WindowColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> window;
  std::vector<std::int32_t> scored_tokens;
  std::vector<double> nll_sum;
};

struct GenerationColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> item;
  std::vector<std::int32_t> output_tokens;
};

// One row per metric of an answer.
struct TaskColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> item;
  std::vector<std::int32_t> metric;
  std::vector<std::int32_t> passed;
  std::vector<std::int32_t> made;
};

struct DivergenceColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> window;
  std::vector<std::int32_t> positions;
  std::vector<double> kl_sum;           // the lower side, where it is bounded
  std::vector<double> kl_upper_sum;     // equals kl_sum where it is exact
  std::vector<std::int32_t> summary_k;  // 0: exact
  std::vector<std::int32_t> same_top;
  std::vector<std::int32_t> top_k;
  std::vector<std::int64_t> shared_top;
};

struct ArticleColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> article;
  std::vector<std::int32_t> tokens;
  std::vector<double> nll_sum;
  std::vector<std::int32_t> words;
  std::vector<std::int32_t> bytes;
};

// One row per timed batch.
struct TrafficColumns {
  std::vector<std::int32_t> variant;
  std::vector<std::int32_t> cell;  // combination of the grid
  std::vector<std::int32_t> draw;
  std::vector<std::int64_t> latency_ns;
  std::vector<std::int64_t> prefill_ns;
  std::vector<std::int64_t> decode_ns;
  std::vector<DeviceShares> prefill_shares;
  std::vector<DeviceShares> decode_shares;
  std::vector<std::int32_t> group;  // of the chunk
};

// A record of agreement as it came: its tokens are compared with those of others.
struct AgreementBlob {
  std::int32_t variant = 0;
  std::int32_t item = 0;
  std::string blob;  // the serialized uaqf.v1.Record
};

// What a variant is in full: JSON, and its digest.
struct Configuration {
  std::string digest;
  std::string text;

  friend bool operator==(const Configuration&, const Configuration&) = default;
};

struct VariantFacts {
  std::string name;
  std::optional<MemoryUse> memory;  // of the latest accepted attempt; absent before the first
  std::int32_t tainted_chunks = 0;  // kept although tainted
  std::int64_t quarantined = 0;
  std::string failure;                        // why the first of them was; empty without any
  std::vector<Configuration> configurations;  // of its accepted attempts, by digest
};

struct Measurements {
  std::vector<VariantFacts> variants;  // in the order of the spec
  TimingColumns timings;
  WindowColumns windows;
  GenerationColumns generations;
  TaskColumns tasks;
  DivergenceColumns divergences;
  ArticleColumns articles;
  TrafficColumns traffic;
  std::vector<AgreementBlob> agreements;
  std::vector<AttemptEvidence> attempts;  // in the order of their acceptance
  // Of each prompt and window its place in the job's order (item_order.h); empty: its own number.
  std::vector<std::int32_t> prompt_places;
  std::vector<std::int32_t> window_places;
};

}  // namespace uaqf::core
