#include "server/ranking/measures.h"

#include "server/ranking/agreement_measures.h"
#include "server/ranking/article_measures.h"
#include "server/ranking/energy.h"
#include "server/ranking/quality_measures.h"
#include "server/ranking/tables.h"
#include "server/ranking/task_measures.h"
#include "server/ranking/timing_measures.h"

namespace uaqf::ranking {

absl::StatusOr<std::vector<VariantMeasures>> Measure(const Measurements& measurements) {
  if (auto status = CheckTables(measurements); !status.ok()) return status;
  std::vector<VariantMeasures> measures(measurements.variants.size());
  for (std::size_t v = 0; v < measures.size(); ++v) {
    const VariantFacts& facts = measurements.variants[v];
    measures[v].variant = facts.name;
    measures[v].memory = facts.memory;
    if (facts.memory) measures[v].memory_bytes = facts.memory->Ranked();
    measures[v].tainted_chunks = facts.tainted_chunks;
    measures[v].quarantined = facts.quarantined;
    measures[v].failure = facts.failure;
    measures[v].timing_problem = facts.timing_problem;
    measures[v].quality_problem = facts.quality_problem;
    measures[v].length_problem = facts.length_problem;
    measures[v].memory_problem = facts.memory_problem;
    measures[v].stopped = facts.stopped;
    measures[v].failed = facts.failed;
  }
  if (auto status = MeasureTimings(measurements, &measures); !status.ok()) return status;
  MeasureQuality(measurements, &measures);
  MeasureTasks(measurements, &measures);
  MeasureDivergence(measurements, &measures);
  MeasureArticles(measurements, &measures);
  MeasureEnergy(measurements, &measures);
  MeasureBehaviour(measurements, &measures);
  return measures;
}

}  // namespace uaqf::ranking
