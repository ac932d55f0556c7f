#include "kernels/cpu/activation_buffer.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels::internal {
namespace {

template <typename T>
void GrowTo(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(size);
}

}  // namespace

void ActivationBuffer::Resize(int64_t tokens, int64_t cols, int64_t groups) {
  cols_ = cols;
  // One line more than needed: tokens then do not all start in the same cache set.
  padded_ = (cols + 63) / 64 * 64 + 64;
  prefix_size_ = padded_ / 8 + 1;
  GrowTo(codes_, tokens * padded_);
  GrowTo(biased_, tokens * padded_);
  GrowTo(prefix_, tokens * prefix_size_);
  GrowTo(scales_, tokens);
  GrowTo(group_scales_, tokens * groups);
  group_stride_ = groups;
}

void ActivationBuffer::QuantizeGroups(int64_t token, const float* x, int64_t size, float clip, int64_t keepers) {
  int8_t* codes = codes_.data() + token * padded_;
  float* scales = group_scales_.data() + token * group_stride_;
  const int64_t kept = cols_ - keepers;
  const auto encode = [&](int64_t begin, int64_t end, float scale, float low, float high) {
    for (int64_t i = begin; i < end; ++i) {
      codes[i] = static_cast<int8_t>(std::nearbyint(std::clamp(x[i] / scale, low, high)));
    }
  };
  const auto absmax = [&](int64_t begin, int64_t end) {
    float most = 1e-5f;
    for (int64_t i = begin; i < end; ++i) most = std::max(most, std::fabs(x[i]));
    return most;
  };
  for (int64_t begin = 0; begin < kept; begin += size) {
    const float scale = absmax(begin, begin + size) * clip / 7.0f;
    scales[begin / size] = scale;
    encode(begin, begin + size, scale, -8.0f, 7.0f);
  }
  if (keepers > 0) {
    const float scale = absmax(kept, cols_) / 127.0f;
    std::fill(scales + kept / size, scales + cols_ / size, scale);
    encode(kept, cols_, scale, -127.0f, 127.0f);
  }
  scales_[token] = 1.0f;
  FinishCodes(token);
}

// What goes with the codes of a token: padding, the unsigned side, running sums.
void ActivationBuffer::FinishCodes(int64_t token) {
  int8_t* codes = codes_.data() + token * padded_;
  uint8_t* biased = biased_.data() + token * padded_;
  int32_t* prefix = prefix_.data() + token * prefix_size_;
  const int64_t padded = (cols_ + 63) / 64 * 64;
  std::fill(codes + cols_, codes + padded, int8_t{0});
  prefix[0] = 0;
  for (int64_t i = 0; i < padded; i += 8) {
    int32_t sum = prefix[i / 8];
    for (int64_t j = i; j < i + 8; ++j) {
      biased[j] = static_cast<uint8_t>(codes[j] + 128);
      sum += codes[j];
    }
    prefix[i / 8 + 1] = sum;
  }
}

void ActivationBuffer::QuantizeToken(int64_t token, const float* x, float given, Isa isa) {
  scales_[token] =
      UAQF_KERNELS_PICK(isa, QuantizeToken)(x, cols_, given, codes_.data() + token * padded_,
                                            biased_.data() + token * padded_, prefix_.data() + token * prefix_size_);
}

Int8Vector ActivationBuffer::token(int64_t token) const {
  return {codes_.data() + token * padded_, biased_.data() + token * padded_, prefix_.data() + token * prefix_size_,
          scales_[token], group_stride_ > 0 ? group_scales_.data() + token * group_stride_ : nullptr};
}

Int8BlockArgs ActivationBuffer::Block(const BlockRange& range) const {
  return {range,          codes_.data(), biased_.data(), padded_,
          prefix_.data(), prefix_size_,  scales_.data(), group_stride_ > 0 ? group_scales_.data() : nullptr,
          group_stride_};
}

}  // namespace uaqf::kernels::internal
