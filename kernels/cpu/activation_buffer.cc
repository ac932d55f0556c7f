#include "kernels/cpu/activation_buffer.h"

#include "kernels/cpu/dispatch.h"

namespace uaqf::kernels::internal {
namespace {

template <typename T>
void GrowTo(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(size);
}

}  // namespace

void ActivationBuffer::Resize(int64_t tokens, int64_t cols) {
  cols_ = cols;
  // One line more than needed: tokens then do not all start in the same cache set.
  padded_ = (cols + 63) / 64 * 64 + 64;
  prefix_size_ = padded_ / 8 + 1;
  GrowTo(codes_, tokens * padded_);
  GrowTo(biased_, tokens * padded_);
  GrowTo(prefix_, tokens * prefix_size_);
  GrowTo(scales_, tokens);
}

void ActivationBuffer::QuantizeToken(int64_t token, const float* x, float given, Isa isa) {
  scales_[token] =
      UAQF_KERNELS_PICK(isa, QuantizeToken)(x, cols_, given, codes_.data() + token * padded_,
                                            biased_.data() + token * padded_, prefix_.data() + token * prefix_size_);
}

Int8Vector ActivationBuffer::token(int64_t token) const {
  return {codes_.data() + token * padded_, biased_.data() + token * padded_, prefix_.data() + token * prefix_size_,
          scales_[token]};
}

Int8BlockArgs ActivationBuffer::Block(const BlockRange& range) const {
  return {range, codes_.data(), biased_.data(), padded_, prefix_.data(), prefix_size_, scales_.data()};
}

}  // namespace uaqf::kernels::internal
