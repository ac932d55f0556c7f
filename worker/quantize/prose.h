// The calibration text that is used unless another is named: English prose of many topics and styles, written for this
// project (prose/*.txt). At least 32,000 tokens for the tokenizers of the Llama family.
#pragma once

#include <string_view>

namespace uaqf::quantize {

// All files of prose/ in the order of their names. Lives as long as the process.
std::string_view CalibrationProse();

}  // namespace uaqf::quantize
