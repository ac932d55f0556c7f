// Activations that are quantized in groups, as Atom has them (worker/quantize/atom.h): a group of `group` inputs of a
// token becomes INT4 codes of scale absmax * step, -8..7, or at the end of the inputs INT8 codes of scale absmax / 127,
// -127..127; a value is then code * scale. Inputs are counted as the columns of the matrix meet them.
//
// Weights of the INT8 inputs are INT8 too: 16 high + low, high -8..7 and low 0..15. A matrix holds the high halves
// where these inputs stand and the low halves as INT4 codes, low - 8 with zero -8, in as many columns behind them,
// which meet the same inputs. All other zeros are 0.
#pragma once

namespace uaqf::cuda {

struct Rounding {
  int group = 0;        // 64 or 128 inputs, those of the weights; 0: activations stay as they are
  float step = 0;       // 1/7, or less where a group's largest values are clipped
  int int8_inputs = 0;  // the last inputs of a matrix, `group` or none
};

}  // namespace uaqf::cuda
