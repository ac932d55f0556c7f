// Scores of tasks and divergence from FP16, of records that CheckTables found in order. Internal to server/ranking.
#pragma once

#include <vector>

#include "server/ranking/measures.h"

namespace uaqf::ranking {

// Fills `tasks` of every variant that has task records.
void MeasureTasks(const Measurements& measurements, std::vector<VariantMeasures>* measures);

// Fills `divergence` of every variant that has divergence records.
void MeasureDivergence(const Measurements& measurements, std::vector<VariantMeasures>* measures);

}  // namespace uaqf::ranking
