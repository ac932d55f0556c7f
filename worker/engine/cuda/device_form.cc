#include "worker/engine/cuda/device_form.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/fp16.h"
#include "worker/model/checkpoint_formats.h"

namespace uaqf::engine {
namespace {

using quantize::Granularity;
using quantize::Method;
using quantize::Variant;

constexpr int kMostZero = 55;  // QuantizedRows has it
// Of a layer, by which its form is told.
constexpr int64_t kRowsSeen = 16;

// Zeros, or an order of columns.
bool IsAffine(const Variant& variant) {
  if (variant.method == Method::kAwq || variant.method == Method::kAtom) return true;
  if (variant.method != Method::kGptq) return false;
  const bool ordered = variant.option("act-order") != 0 && variant.option("static-groups") == 0;
  return variant.option("sym") == 0 || (ordered && variant.granularity == Granularity::kGroup);
}

std::string Missing(const Variant& variant, const DeviceForm& form) {
  if (form.format == cuda::Format::kInt8 && (form.group > 0 || form.zeros)) {
    return "zeros and groups of INT8 weights";
  }
  if (variant.activation_bits == 8 && (form.group > 0 || form.zeros))
    return "groups of weights beside INT8 activations";
  const int kept = form.rounding.int8_inputs;
  if (kept != 0 && kept != form.group) {
    return absl::StrCat(kept, " INT8 input channels beside groups of ", form.group, "; keepers=", form.group,
                        " and keepers=0 have some");
  }
  return "";
}

absl::Status Unimplemented(std::string_view what, std::string_view missing) {
  return absl::UnimplementedError(absl::StrCat(std::string(what), ": the GPU has no kernels yet for ",
                                               std::string(missing), "; host it on the CPU (--device cpu)"));
}

// The widest group of the kernels of which those of a layer are multiples; a group that is the whole row may end
// anywhere. 0 if there is none.
int DeviceGroup(int64_t group_size, int64_t columns) {
  if (group_size >= columns) return 128;
  for (const int group : {128, 64, 32}) {
    if (group_size % group == 0) return group;
  }
  return 0;
}

bool IsAffine(const model::StoredMatrix& m) {
  return m.zero != 0 || !m.order.empty() ||
         std::any_of(m.group_zeros.begin(), m.group_zeros.end(), [](int8_t zero) { return zero != 0; });
}

// One layer's part in the form of a release.
absl::Status Join(const std::string& name, const model::StoredMatrix& row, bool first, DeviceForm& form) {
  if (row.block_groups > 0 || !row.group_offsets.empty()) {
    return Unimplemented(name, "scales of two levels and FP16 offsets, which the release's GGUF format has");
  }
  const cuda::Format format = row.bits == 4 ? cuda::Format::kInt4 : cuda::Format::kInt8;
  if (!first && format != form.format) return Unimplemented(name, "layers of INT4 beside layers of INT8");
  form.format = format;
  form.zeros = form.zeros || IsAffine(row);
  if (row.group_size == 0 || (format == cuda::Format::kInt8 && row.group_size >= row.columns)) {
    if (!first && form.group > 0) return Unimplemented(name, "layers with groups beside layers without");
    return absl::OkStatus();
  }
  if (format == cuda::Format::kInt8) return Unimplemented(name, "groups of INT8 weights");
  const int group = DeviceGroup(row.group_size, row.columns);
  if (group == 0) return Unimplemented(name, absl::StrCat("groups of ", row.group_size, " columns"));
  if (!first && form.group == 0) return Unimplemented(name, "layers with groups beside layers without");
  form.group = first ? group : std::min(form.group, group);
  return absl::OkStatus();
}

absl::Status CheckLayer(const DeviceForm& form, const CodesView& layer) {
  const int64_t wanted = DeviceGroup(layer.group_size, layer.columns);
  const bool grouped = layer.group_size > 0 && wanted >= form.group && wanted % std::max(form.group, 1) == 0;
  const bool by_row = layer.group_size == 0 || layer.group_size >= layer.columns;
  if (form.group > 0 ? !grouped : !by_row) {
    return absl::InvalidArgumentError(
        absl::StrCat("groups of ", layer.group_size, " columns, expected ", form.group, " or a multiple"));
  }
  const auto zeros = [&](int8_t zero) { return zero < -cuda::kInt4Offset || zero > kMostZero; };
  if (std::any_of(layer.zeros.begin(), layer.zeros.end(), zeros) || zeros(layer.zero)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a zero outside ", -cuda::kInt4Offset, " to ", kMostZero, ", which no INT4 grid has"));
  }
  const bool affine = !layer.zeros.empty() || layer.zero != 0 || !layer.order.empty();
  return affine && !form.zeros ? absl::InvalidArgumentError("zeros or an order of columns, expected none")
                               : absl::OkStatus();
}

// Scales and zeros of the form's groups, each of which lies in one of the layer's.
void SpreadGroups(const DeviceForm& form, const CodesView& layer, DeviceCodes& out) {
  const int64_t from = (layer.columns + layer.group_size - 1) / layer.group_size;
  const int64_t groups = (layer.columns + form.group - 1) / form.group;
  out.group_scales.resize(static_cast<size_t>(layer.rows * groups));
  if (form.zeros) out.group_zeros.resize(out.group_scales.size());
  for (int64_t r = 0; r < layer.rows; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const auto to = static_cast<size_t>(r * groups + g);
      const auto source = static_cast<size_t>(r * from + g * form.group / layer.group_size);
      out.group_scales[to] = layer.group_scales[source];
      if (form.zeros) out.group_zeros[to] = layer.zeros.empty() ? layer.zero : layer.zeros[source];
    }
  }
}

// Splits the INT8 codes of the last inputs: high halves stay, low halves come behind (kernels/cuda/rounding.h).
absl::Status SplitKeepers(const DeviceForm& form, DeviceCodes& out) {
  const int64_t kept = form.rounding.int8_inputs;
  const int64_t first = out.inputs - kept;
  if (kept == 0) return absl::OkStatus();
  if (first < 0 || out.inputs % form.group != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(out.inputs, " inputs, expected a multiple of ", form.group, ", above the INT8 ones"));
  }
  const int64_t groups = out.inputs / form.group;
  DeviceCodes split;
  split.rows = out.rows;
  split.cols = out.inputs + kept;
  split.inputs = out.inputs;
  split.codes.reserve(static_cast<size_t>(split.rows * split.cols));
  for (int64_t r = 0; r < out.rows; ++r) {
    const int8_t* row = out.codes.data() + r * out.inputs;
    split.codes.insert(split.codes.end(), row, row + first);
    for (int64_t c = first; c < out.inputs; ++c) split.codes.push_back(static_cast<int8_t>(row[c] >> 4));
    for (int64_t c = first; c < out.inputs; ++c) {
      split.codes.push_back(static_cast<int8_t>((row[c] & 15) - cuda::kInt4Offset));
    }
    const uint16_t* scales = out.group_scales.data() + r * groups;
    split.group_scales.insert(split.group_scales.end(), scales, scales + groups);
    uint16_t& high = split.group_scales.back();
    const uint16_t low = high;
    const float times = kernels::Fp16ToFloat(low) * 16;
    kernels::FloatToFp16(&times, 1, &high);  // exact
    if (!std::isfinite(kernels::Fp16ToFloat(high))) {
      return absl::InvalidArgumentError("a scale of INT8 weights above 4095, expected one that FP16 holds 16 times");
    }
    split.group_scales.push_back(low);
    split.group_zeros.insert(split.group_zeros.end(), static_cast<size_t>(groups), 0);
    split.group_zeros.push_back(-cuda::kInt4Offset);
  }
  split.gather = std::move(out.gather);
  if (split.gather.empty()) {
    split.gather.resize(static_cast<size_t>(out.inputs));
    std::iota(split.gather.begin(), split.gather.end(), 0);
  }
  for (int64_t c = first; c < out.inputs; ++c) split.gather.push_back(split.gather[static_cast<size_t>(c)]);
  out = std::move(split);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DeviceForm> DeviceFormOf(const Variant& variant) {
  DeviceForm form;
  if (variant.method == Method::kNone) return form;
  form.format = variant.weight_bits == 8 ? cuda::Format::kInt8 : cuda::Format::kInt4;
  form.group = static_cast<int>(variant.group_size);
  form.zeros = IsAffine(variant);
  if (form.zeros && form.group == 0) form.group = 128;  // a row's one group in many
  if (variant.method == Method::kAtom) {
    form.rounding = {form.group, static_cast<float>(variant.option("activation-clip") / 7.0),
                     static_cast<int>(variant.option("keepers"))};
  }
  if (const std::string missing = Missing(variant, form); !missing.empty()) return Unimplemented(variant.name, missing);
  return form;
}

absl::StatusOr<DeviceForm> DeviceFormOfRelease(const model::Checkpoint& release) {
  DeviceForm form;
  bool first = true;
  for (const model::ExpectedTensor& tensor : model::ExpectedTensors(release.config())) {
    if (tensor.rows == 1 || tensor.name.find(".layers.") == std::string::npos) continue;
    const auto row = release.ReadStored(tensor.name, {0, std::min(tensor.rows, kRowsSeen)});
    if (absl::IsNotFound(row.status())) return Unimplemented(tensor.name, "layers of FP16 among quantized ones");
    if (!row.ok()) return row.status();
    if (absl::Status joined = Join(tensor.name, *row, first, form); !joined.ok()) return joined;
    first = false;
  }
  if (form.zeros && form.format == cuda::Format::kInt8) return Unimplemented(release.path(), "zeros of INT8 weights");
  if (form.zeros && form.group == 0) return Unimplemented(release.path(), "zeros or orders of columns without groups");
  return form;
}

CodesView CodesView::Of(const quantize::QuantizedMatrix& m) {
  return {m.rows, m.columns, m.codes, m.scales, m.group_size, m.group_scales, m.zeros, 0, m.order};
}

CodesView CodesView::Of(const model::StoredMatrix& m) {
  return {m.rows, m.columns, m.codes, m.scales, m.group_size, m.group_scales, m.group_zeros, m.zero, m.order};
}

absl::StatusOr<DeviceCodes> ToDeviceCodes(const DeviceForm& form, const CodesView& layer) {
  if (absl::Status fits = CheckLayer(form, layer); !fits.ok()) return fits;
  DeviceCodes out;
  out.rows = layer.rows;
  out.cols = out.inputs = layer.columns;
  out.codes.assign(layer.codes.begin(), layer.codes.end());
  out.scales.assign(layer.scales.begin(), layer.scales.end());
  out.gather.assign(layer.order.begin(), layer.order.end());
  if (form.group > 0) {
    SpreadGroups(form, layer, out);
  } else if (layer.scales.empty()) {
    for (const uint16_t bits : layer.group_scales) out.scales.push_back(kernels::Fp16ToFloat(bits));
  }
  if (absl::Status split = SplitKeepers(form, out); !split.ok()) return split;
  return out;
}

}  // namespace uaqf::engine
