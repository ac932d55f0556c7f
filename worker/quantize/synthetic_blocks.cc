#include "worker/quantize/synthetic_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/fp16.h"

namespace uaqf::quantize {
namespace {

// Of INT8 activations with one scale for all tokens, where values are of about unit size.
constexpr float kInputScale = 4.0F / 127;
constexpr int64_t kStride = 997;  // a prime, which no width is a multiple of

// SplitMix64.
class Bits {
 public:
  explicit Bits(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

// Uniform over 4 or 8 bits.
std::vector<int8_t> RandomCodes(int64_t count, int bits, Bits& random) {
  std::vector<int8_t> codes(static_cast<size_t>((count + 7) / 8 * 8));
  for (size_t i = 0; i < codes.size(); i += 8) {
    const uint64_t word = random.Next();
    std::memcpy(codes.data() + i, &word, 8);
  }
  codes.resize(static_cast<size_t>(count));
  if (bits == 4) {
    for (int8_t& code : codes) code = static_cast<int8_t>(static_cast<int8_t>(code << 4) >> 4);
  }
  return codes;
}

struct Form {
  bool zeros = false;
  bool order = false;
  int64_t keepers = 0;
  bool fixed_input = false;
};

Form FormOf(const Variant& variant) {
  Form form;
  form.fixed_input = variant.activation_bits == 8 && variant.activation_scope == ActivationScope::kStatic;
  if (variant.method == Method::kAwq) form.zeros = true;
  if (variant.method == Method::kGptq) {
    form.zeros = variant.option("sym") == 0;
    form.order = variant.granularity == Granularity::kGroup && variant.option("act-order") != 0 &&
                 variant.option("static-groups") == 0;
  }
  if (variant.method == Method::kAtom) {
    form.order = true;
    form.keepers = static_cast<int64_t>(variant.option("keepers"));
  }
  return form;
}

void SetScales(const Variant& variant, const Form& form, Bits& random, QuantizedMatrix& matrix) {
  // A product with a vector of unit values has about unit variance.
  const float levels = variant.weight_bits == 8 ? 128 : 8;
  const float scale = std::sqrt(3.0F / static_cast<float>(matrix.columns)) / levels;
  // A row's zero is that of one group.
  matrix.granularity = form.zeros ? Granularity::kGroup : variant.granularity;
  if (matrix.granularity != Granularity::kGroup) {
    const int64_t count = matrix.granularity == Granularity::kTensor ? 1 : matrix.rows;
    matrix.scales.assign(static_cast<size_t>(count), scale);
    return;
  }
  matrix.group_size = variant.group_size > 0 ? variant.group_size : matrix.columns;
  uint16_t bits = 0;
  kernels::FloatToFp16(&scale, 1, &bits);
  matrix.group_scales.assign(static_cast<size_t>(matrix.rows * matrix.groups()), bits);
  if (form.zeros) matrix.zeros = RandomCodes(matrix.rows * matrix.groups(), variant.weight_bits, random);
}

// The last inputs of each row keep all their bits.
void SetKeepers(const Form& form, Bits& random, QuantizedMatrix& matrix) {
  matrix.bits = 8;
  const int64_t first = matrix.columns - form.keepers;
  const std::vector<int8_t> kept = RandomCodes(matrix.rows * form.keepers, 8, random);
  for (int64_t r = 0; r < matrix.rows; ++r) {
    for (int64_t c = 0; c < form.keepers; ++c) {
      matrix.codes[static_cast<size_t>(r * matrix.columns + first + c)] =
          std::max<int8_t>(kept[static_cast<size_t>(r * form.keepers + c)], -127);
    }
  }
}

QuantizedMatrix RandomMatrix(const Variant& variant, int64_t rows, int64_t columns, bool ordered, uint64_t seed) {
  const Form form = FormOf(variant);
  Bits random(seed);
  QuantizedMatrix matrix;
  matrix.bits = variant.weight_bits;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.codes = RandomCodes(rows * columns, variant.weight_bits, random);
  SetScales(variant, form, random, matrix);
  if (variant.method == Method::kAtom) SetKeepers(form, random, matrix);
  if (form.order && ordered) {
    for (int64_t c = 0; c < columns; ++c) matrix.order.push_back(static_cast<int32_t>(c * kStride % columns));
  }
  if (form.fixed_input) matrix.input_scale = kInputScale;
  return matrix;
}

}  // namespace

absl::StatusOr<QuantizedBlock> SyntheticBlocks::Get(int64_t index) {
  const int64_t query = config_.heads * config_.head_dim;
  const int64_t kv = config_.kv_heads * config_.head_dim;
  const std::array<std::pair<int64_t, int64_t>, kProjections> shapes = {{{query, config_.hidden},
                                                                         {kv, config_.hidden},
                                                                         {kv, config_.hidden},
                                                                         {config_.hidden, query},
                                                                         {config_.ff, config_.hidden},
                                                                         {config_.ff, config_.hidden},
                                                                         {config_.hidden, config_.ff}}};
  QuantizedBlock block;
  block.attention_norm.assign(static_cast<size_t>(config_.hidden), 1);
  block.mlp_norm = block.attention_norm;
  for (size_t i = 0; i < kProjections; ++i) {
    // Atom's rows before down_proj bring its inputs in order.
    const bool ordered = !(variant_.method == Method::kAtom && static_cast<Projection>(i) == Projection::kDown);
    block.matrices[i] = RandomMatrix(variant_, shapes[i].first, shapes[i].second, ordered,
                                     static_cast<uint64_t>(index) * kProjections + i);
  }
  return block;
}

absl::Status SyntheticBlocks::Put(int64_t, const QuantizedBlock&) {
  return absl::UnimplementedError("random blocks are made, not stored");
}

}  // namespace uaqf::quantize
