// Perplexity of whole articles, of records that CheckTables found in order. Internal to server/ranking.
#pragma once

#include <vector>

#include "server/ranking/measures.h"

namespace uaqf::ranking {

// Fills `articles` of every variant that has article records.
void MeasureArticles(const Measurements& measurements, std::vector<VariantMeasures>* measures);

}  // namespace uaqf::ranking
