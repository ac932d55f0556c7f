// The measures of quality: likelihoods on windows, natural output lengths. Internal to server/ranking.
#pragma once

#include <vector>

#include "server/ranking/measures.h"

namespace uaqf::ranking {

// Fills the quality fields of `measures`, one entry per variant; the tables are already checked.
void MeasureQuality(const Measurements& measurements, std::vector<VariantMeasures>* measures);

}  // namespace uaqf::ranking
