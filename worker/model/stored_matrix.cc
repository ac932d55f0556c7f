#include "worker/model/stored_matrix.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/model/tensor_type.h"

namespace uaqf::model {
namespace {

constexpr float kNoOffset = -0.0F;  // leaves a product of -0 as it is

struct GroupValues {
  float scale;
  int zero;
  float offset;
};

GroupValues ValuesOf(const StoredMatrix& m, int64_t row, int64_t group) {
  const auto at = static_cast<size_t>(row * m.groups() + group);
  const auto block = static_cast<size_t>(row * m.blocks() + (m.block_groups > 0 ? group / m.block_groups : group));
  GroupValues values = {HalfToFloat(m.group_scales[block]), m.zero, kNoOffset};
  if (!m.scale_factors.empty()) values.scale *= static_cast<float>(m.scale_factors[at]);
  if (!m.group_zeros.empty()) values.zero = m.group_zeros[at];
  if (!m.group_offsets.empty()) values.offset = HalfToFloat(m.group_offsets[block]);
  if (!m.offset_factors.empty()) values.offset *= static_cast<float>(m.offset_factors[at]);
  return values;
}

}  // namespace

void Dequantize(const StoredMatrix& m, std::span<float> out) {
  for (int64_t row = 0; row < m.rows; ++row) {
    const int8_t* codes = m.codes.data() + row * m.columns;
    float* values = out.data() + row * m.columns;
    GroupValues group = {0, 0, kNoOffset};
    if (m.group_size == 0) group.scale = m.scales[m.scales.size() == 1 ? 0 : static_cast<size_t>(row)];
    for (int64_t col = 0; col < m.columns; ++col) {
      if (m.group_size > 0 && col % m.group_size == 0) group = ValuesOf(m, row, col / m.group_size);
      const float product = group.scale * static_cast<float>(codes[col] - group.zero);
      values[m.order.empty() ? col : m.order[static_cast<size_t>(col)]] = product + group.offset;
    }
  }
}

absl::Status OrderColumns(std::span<const int32_t> group_of_input, StoredMatrix& matrix) {
  const auto columns = static_cast<int64_t>(group_of_input.size());
  const int64_t group_size = matrix.group_size;
  const int64_t groups = matrix.groups();
  std::vector<int64_t> sizes(static_cast<size_t>(groups));
  bool in_place = true;
  for (int64_t col = 0; col < columns; ++col) {
    const int64_t group = group_of_input[static_cast<size_t>(col)];
    if (group < 0 || group >= groups) {
      return absl::InvalidArgumentError(
          absl::StrCat("g_idx puts input ", col, " into group ", group, ", expected 0 to ", groups - 1));
    }
    ++sizes[static_cast<size_t>(group)];
    in_place = in_place && group == col / group_size;
  }
  if (in_place) return absl::OkStatus();
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t expected = std::min(group_size, columns - group * group_size);
    if (sizes[static_cast<size_t>(group)] == expected) continue;
    return absl::InvalidArgumentError(absl::StrCat("g_idx gives group ", group, " ", sizes[static_cast<size_t>(group)],
                                                   " inputs, expected ", expected, " by the group size"));
  }
  std::vector<int32_t>& order = matrix.order;
  order.resize(group_of_input.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return group_of_input[static_cast<size_t>(a)] < group_of_input[static_cast<size_t>(b)];
  });
  std::vector<int8_t> row_codes(order.size());
  for (int64_t row = 0; row < matrix.rows; ++row) {
    int8_t* codes = matrix.codes.data() + row * columns;
    for (size_t i = 0; i < order.size(); ++i) row_codes[i] = codes[order[i]];
    std::copy(row_codes.begin(), row_codes.end(), codes);
  }
  return absl::OkStatus();
}

}  // namespace uaqf::model
