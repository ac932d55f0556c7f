#include "kernels/cpu/check_quantized.h"

#include <cmath>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/cpu/packed_layout.h"
#include "kernels/fp16.h"

namespace uaqf::kernels::internal {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

absl::Status CheckCount(std::string_view what, size_t got, int64_t expected) {
  if (static_cast<int64_t>(got) == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("got ", got, " ", std::string(what), ", expected ", expected));
}

// What may be left out, but not in part.
absl::Status CheckOptionalCount(std::string_view what, size_t got, int64_t expected) {
  return got == 0 ? absl::OkStatus() : CheckCount(what, got, expected);
}

absl::Status CheckFinite(std::string_view what, std::span<const uint16_t> halves) {
  for (uint16_t bits : halves) {
    if (!std::isfinite(Fp16ToFloat(bits))) {
      return absl::InvalidArgumentError(
          absl::StrCat("got a group ", std::string(what),
                       " that is not finite in FP16: the group's largest weight is beyond FP16's range"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckWholeScales(const QuantizedWeights& w) {
  if (!w.group_scales.empty() || !w.group_zeros.empty() || !w.group_offsets.empty() || !w.scale_factors.empty() ||
      !w.offset_factors.empty() || w.block_groups != 0 || w.zero != 0) {
    return absl::InvalidArgumentError(
        "got group scales, zeros, offsets or factors for a matrix without groups, expected none; one group may be a "
        "whole row");
  }
  const int64_t expected = w.granularity == ScaleGranularity::kPerRow ? w.rows : 1;
  if (absl::Status status = CheckCount("scales", w.scales.size(), expected); !status.ok()) return status;
  for (float scale : w.scales) {
    if (!std::isfinite(scale)) return absl::InvalidArgumentError("got a scale that is not finite");
  }
  return absl::OkStatus();
}

absl::Status CheckGroups(const QuantizedWeights& w) {
  if (w.group_size <= 0 || w.group_size % kInt4Unit != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("got group size ", w.group_size, ", expected a positive multiple of ", kInt4Unit));
  }
  const bool two_levels = w.block_groups != 0;
  if (w.block_groups < 0 || (w.block_groups & (w.block_groups - 1)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", w.block_groups, " groups to a block, expected a power of two"));
  }
  if (two_levels == w.scale_factors.empty() || (!w.offset_factors.empty() && w.group_offsets.empty())) {
    return absl::InvalidArgumentError(
        "got blocks without scale factors, scale factors without blocks, or offset factors without offsets");
  }
  const int64_t groups = CeilDiv(w.cols, w.group_size);
  const int64_t blocks = two_levels ? CeilDiv(groups, w.block_groups) : groups;
  absl::Status status = CheckCount("scales", w.scales.size(), 0);
  status.Update(CheckCount("group scales", w.group_scales.size(), w.rows * blocks));
  status.Update(CheckOptionalCount("group offsets", w.group_offsets.size(), w.rows * blocks));
  status.Update(CheckOptionalCount("group zeros", w.group_zeros.size(), w.rows * groups));
  status.Update(CheckOptionalCount("scale factors", w.scale_factors.size(), w.rows * groups));
  status.Update(CheckOptionalCount("offset factors", w.offset_factors.size(), w.rows * groups));
  status.Update(CheckFinite("scale", w.group_scales));
  status.Update(CheckFinite("offset", w.group_offsets));
  return status;
}

absl::Status CheckGather(const QuantizedWeights& w) {
  if (w.gather.empty()) return absl::OkStatus();
  if (absl::Status status = CheckCount("columns to gather", w.gather.size(), w.cols); !status.ok()) return status;
  std::vector<bool> seen(w.gather.size());
  for (const int32_t col : w.gather) {
    if (col < 0 || col >= w.cols || seen[col]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "got column ", col, " out of range or twice in gather, expected each of 0 to ", w.cols - 1, " once"));
    }
    seen[col] = true;
  }
  return absl::OkStatus();
}

absl::Status CheckCodes(const QuantizedWeights& w) {
  if (w.format == WeightFormat::kFp16) {
    return absl::InvalidArgumentError("got FP16 as a quantized format, expected INT8 or INT4; use FromFp16");
  }
  if (w.format == WeightFormat::kInt8) return absl::OkStatus();
  for (size_t i = 0; i < w.codes.size(); ++i) {
    if (w.codes[i] < -8 || w.codes[i] > 7) {
      return absl::InvalidArgumentError(absl::StrCat("got INT4 code ", static_cast<int>(w.codes[i]), " at row ",
                                                     i / w.cols, ", column ", i % w.cols, ", expected -8 to 7"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckShape(int64_t rows, int64_t cols, size_t values) {
  if (rows <= 0 || cols <= 0) {
    return absl::InvalidArgumentError(absl::StrCat("got a matrix of ", rows, " x ", cols, ", expected at least 1 x 1"));
  }
  if (static_cast<int64_t>(values) != rows * cols) {
    return absl::InvalidArgumentError(
        absl::StrCat("got ", values, " values for a matrix of ", rows, " x ", cols, ", expected ", rows * cols));
  }
  return absl::OkStatus();
}

absl::Status CheckQuantized(const QuantizedWeights& w) {
  absl::Status status = CheckShape(w.rows, w.cols, w.codes.size());
  if (!status.ok()) return status;
  status = w.granularity == ScaleGranularity::kPerGroup ? CheckGroups(w) : CheckWholeScales(w);
  status.Update(CheckGather(w));
  status.Update(CheckCodes(w));
  return status;
}

}  // namespace uaqf::kernels::internal
