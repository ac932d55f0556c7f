#include "worker/quantize/quantized_matrix.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/fp16.h"

namespace uaqf::quantize {
namespace {

absl::Status CheckCount(const char* what, size_t got, int64_t expected) {
  if (static_cast<int64_t>(got) == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("got ", got, " ", what, ", expected ", expected));
}

absl::Status CheckCounts(const QuantizedMatrix& m) {
  const bool grouped = m.granularity == Granularity::kGroup;
  if (m.rows <= 0 || m.columns <= 0 || (m.bits != 4 && m.bits != 8)) {
    return absl::InvalidArgumentError(
        absl::StrCat("got a matrix of ", m.rows, " x ", m.columns, " at ", m.bits, " bits, expected 4 or 8 bits"));
  }
  if (grouped != (m.group_size > 0) || (grouped && m.columns % m.group_size != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("got group size ", m.group_size, ", expected a divisor of ", m.columns, " columns"));
  }
  const int64_t scales = grouped ? 0 : m.granularity == Granularity::kTensor ? 1 : m.rows;
  absl::Status status = CheckCount("codes", m.codes.size(), m.rows * m.columns);
  status.Update(CheckCount("scales", m.scales.size(), scales));
  status.Update(CheckCount("group scales", m.group_scales.size(), m.rows * m.groups()));
  if (!m.zeros.empty()) status.Update(CheckCount("zeros", m.zeros.size(), m.rows * m.groups()));
  if (!m.order.empty()) status.Update(CheckCount("entries of the order", m.order.size(), m.columns));
  return status;
}

// Without leaving early, which would keep it from being vectorized.
bool InRange(std::span<const int8_t> codes, int bits) {
  int8_t least = 0;
  int8_t most = 0;
  for (const int8_t code : codes) {
    least = std::min(least, code);
    most = std::max(most, code);
  }
  const int half = 1 << (bits - 1);
  return least >= -half && most < half;
}

bool IsScale(float scale) { return std::isfinite(scale) && scale > 0; }

bool IsPermutation(std::vector<int32_t> order) {
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<int32_t>(i)) return false;
  }
  return true;
}

}  // namespace

absl::Status CheckMatrix(const QuantizedMatrix& m) {
  if (absl::Status counts = CheckCounts(m); !counts.ok()) return counts;
  if (!InRange(m.codes, m.bits) || !InRange(m.zeros, m.bits)) {
    return absl::InvalidArgumentError(absl::StrCat("got a code beyond ", m.bits, " bits"));
  }
  if (!std::all_of(m.scales.begin(), m.scales.end(), IsScale) ||
      !std::all_of(m.group_scales.begin(), m.group_scales.end(),
                   [](uint16_t bits) { return IsScale(kernels::Fp16ToFloat(bits)); }) ||
      !std::isfinite(m.input_scale) || m.input_scale < 0) {
    return absl::InvalidArgumentError("got a scale that is not finite or not above zero");
  }
  if (!IsPermutation(m.order)) return absl::InvalidArgumentError("got an order of columns that is no permutation");
  return absl::OkStatus();
}

std::vector<QuantizedMatrix> SplitRows(const QuantizedMatrix& matrix, std::span<const int64_t> rows) {
  std::vector<QuantizedMatrix> parts;
  int64_t begin = 0;
  for (const int64_t count : rows) {
    QuantizedMatrix part;
    part.bits = matrix.bits;
    part.granularity = matrix.granularity;
    part.rows = count;
    part.columns = matrix.columns;
    part.group_size = matrix.group_size;
    part.order = matrix.order;
    part.input_scale = matrix.input_scale;
    const auto take = [&](const auto& all, auto& own) {
      const auto width = static_cast<int64_t>(all.size()) / matrix.rows;
      own.assign(all.begin() + begin * width, all.begin() + (begin + count) * width);
    };
    take(matrix.codes, part.codes);
    take(matrix.scales, part.scales);
    take(matrix.group_scales, part.group_scales);
    take(matrix.zeros, part.zeros);
    parts.push_back(std::move(part));
    begin += count;
  }
  return parts;
}

std::string_view ProjectionName(Projection projection) {
  constexpr std::string_view kNames[kProjections] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                     "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                     "mlp.down_proj"};
  return kNames[static_cast<size_t>(projection)];
}

}  // namespace uaqf::quantize
