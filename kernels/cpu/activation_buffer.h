#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/packed_layout.h"
#include "kernels/isa.h"

namespace uaqf::kernels::internal {

// Tokens quantized to INT8, reused from call to call so that decoding allocates nothing. One owner thread; others may
// read between two calls of Resize.
class ActivationBuffer {
 public:
  // Makes room for `tokens` vectors of `cols`, with scales for so many groups each where groups > 0; their content is
  // undefined.
  void Resize(int64_t tokens, int64_t cols, int64_t groups = 0);

  // Fills one token's place from x[0 .. cols), under the `given` scale where that is above 0, else its own. Different
  // tokens may be filled by different threads.
  void QuantizeToken(int64_t token, const float* x, float given, Isa isa);

  // The same in groups of `size` columns, as Activations::Kind::kGroups says; all tokens since Resize alike.
  void QuantizeGroups(int64_t token, const float* x, int64_t size, float clip, int64_t keepers);

  // Valid until the next Resize.
  Int8Vector token(int64_t token) const;
  Int8BlockArgs Block(const BlockRange& range) const;

 private:
  void FinishCodes(int64_t token);

  int64_t cols_ = 0;
  int64_t padded_ = 0;       // codes to a token, multiple of 64
  int64_t prefix_size_ = 0;  // sums to a token
  std::vector<int8_t> codes_;
  std::vector<uint8_t> biased_;
  std::vector<int32_t> prefix_;
  std::vector<float> scales_;
  std::vector<float> group_scales_;  // [token][group_stride_]
  int64_t group_stride_ = 0;         // 0: a scale a token
};

}  // namespace uaqf::kernels::internal
