#include "server/ranking/slices.h"

#include <set>
#include <utility>

namespace uaqf::ranking {
namespace {

// The same measurements with the timings of one slice alone.
Measurements Part(const Measurements& common, const std::vector<std::size_t>& rows) {
  Measurements part;
  part.variants = common.variants;
  part.windows = common.windows;
  part.energies = common.energies;
  part.agreements = common.agreements;
  const TimingColumns& from = common.timings;
  TimingColumns& to = part.timings;
  for (const std::size_t k : rows) {
    to.variant.push_back(from.variant[k]);
    to.item.push_back(from.item[k]);
    to.repeat.push_back(from.repeat[k]);
    to.output_tokens.push_back(from.output_tokens[k]);
    to.latency_ns.push_back(from.latency_ns[k]);
    to.prefill_ns.push_back(from.prefill_ns[k]);
    to.decode_ns.push_back(from.decode_ns[k]);
  }
  return part;
}

std::vector<std::vector<std::size_t>> RowsOf(const TimingColumns& t, const SliceLabels& labels) {
  std::vector<std::vector<std::size_t>> rows(labels.names.size());
  for (std::size_t k = 0; k < t.item.size(); ++k) {
    const auto item = static_cast<std::size_t>(t.item[k]);
    if (item >= labels.of_item.size() || labels.of_item[item] < 0) continue;
    rows[static_cast<std::size_t>(labels.of_item[item])].push_back(k);
  }
  return rows;
}

}  // namespace

std::vector<Slice> RankSlices(const Measurements& common, const SliceLabels& labels, const Profile& profile,
                              const JobFacts& job, bool ignore_sanity, const ResampleOptions& resampling,
                              const std::optional<TwinRecords>& twin) {
  const std::vector<std::vector<std::size_t>> rows = RowsOf(common.timings, labels);
  std::vector<std::vector<std::size_t>> twin_rows;
  if (twin) twin_rows = RowsOf(twin->pair.timings, labels);
  std::vector<Slice> slices;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    if (rows[s].empty()) continue;
    const Measurements part = Part(common, rows[s]);
    Slice& slice = slices.emplace_back();
    slice.name = labels.names[s];
    slice.prompts =
        static_cast<std::int32_t>(std::set<std::int32_t>(part.timings.item.begin(), part.timings.item.end()).size());
    const auto measures = Measure(part);
    if (!measures.ok()) {
      slice.ranking = measures.status();
      continue;
    }
    std::optional<TwinRecords> own_twin;
    if (twin) own_twin = {Part(twin->pair, twin_rows[s]), twin->separate_processes, twin->block_prompts, twin->places};
    const DecisionData data = PrepareDecision(part, resampling, own_twin);
    RankOptions options;
    options.ignore_sanity = ignore_sanity;
    options.data = &data;
    slice.ranking = Rank(*measures, profile, job, options);
  }
  return slices;
}

}  // namespace uaqf::ranking
