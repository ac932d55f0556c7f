#include "worker/quantize/variants.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/digest.h"

namespace uaqf::quantize {
namespace {

// Raised when the same configuration begins to give other weights.
constexpr int kQuantizerVersion = 1;
constexpr int kCalibratedVersion = 2;  // of methods that need calibration

// One for each Method, in its order.
struct MethodRow {
  std::string_view name;
  bool calibrated;
  std::vector<Option> options;
  int32_t sample_tokens = 2048;  // of calibration
};

// GPTQ buys the error of most tokens with that of few. The first token of a sample is one of few, and all that follow
// attend to it whatever it is: with one in 2048, what its values lose is larger than what they are (layers 12 and up of
// SmolLM2-135M, whose perplexity on WikiText-2 is 29.1 with gptq-w4-g64 then, and 26.1 with one in 256).
constexpr int32_t kGptqSampleTokens = 256;
constexpr int32_t kAwqSampleTokens = 512;  // as mit-han-lab/llm-awq has them

const MethodRow& RowOf(Method method) {
  static const std::vector<MethodRow> rows = {
      {"none", false, {}},
      {"rtn", false, {}},
      {"smoothquant", true, {{"alpha", 0.5, 0, 1, "how much of the activations' range moves into the weights"}}},
      {"gptq",
       true,
       {{"sym", 1, 0, 1, "1: zero is in the middle of the grid; 0: the grid spans the weights"},
        {"act-order", 1, 0, 1, "1: columns with the largest activations first"},
        {"static-groups", 1, 0, 1, "1: scales of all groups from the weights as they were"},
        {"true-sequential", 1, 0, 1, "1: o_proj, gate/up and down_proj see the quantized layers before them"},
        {"damp", 0.01, 0, 1, "share of the Hessian's mean diagonal that is added to it"}},
       kGptqSampleTokens},
      {"awq",
       true,
       {{"duo", 0, 0, 1, "1: the scale search looks at the weights as well"},
        {"clip", 1, 0, 1, "1: search the clipping of each group"}},
       kAwqSampleTokens},
      {"zeroquant", false, {{"row-groups", 64, 1, 65536, "groups of whole output rows to a matrix"}}},
      {"atom",
       true,
       {{"keepers", 128, 0, 4096, "input channels that stay INT8"},
        {"gptq", 1, 0, 1, "1: weights by GPTQ; 0: to the nearest"},
        {"activation-clip", 0.9, 0.1, 1, "share of a group's range that its INT4 grid spans"},
        {"weight-clip", 0.85, 0.1, 1, "the same for the weights"}}},
      {"checkpoint", false, {}},
  };
  return rows[static_cast<size_t>(method)];
}

std::vector<Variant> MakeTable() {
  using enum Granularity;
  std::vector<Variant> table = {
      {"fp16", "FP16 weights and activations: the baseline", Method::kNone, 16, kNone, 0, 16},
      {"rtn-w8", "INT8 weights, one scale a matrix", Method::kRtn, 8, kTensor, 0, 16},
      {"rtn-w4", "INT4 weights, one scale a matrix", Method::kRtn, 4, kTensor, 0, 16},
      {"rtn-w8-channel", "INT8 weights, one scale an output row", Method::kRtn, 8, kChannel, 0, 16},
      {"rtn-w4-channel", "INT4 weights, one scale an output row", Method::kRtn, 4, kChannel, 0, 16},
      {"rtn-w4-g128", "INT4 weights, an FP16 scale for 128 inputs of a row", Method::kRtn, 4, kGroup, 128, 16},
      {"rtn-w4-g64", "INT4 weights, an FP16 scale for 64 inputs of a row", Method::kRtn, 4, kGroup, 64, 16},
      {"rtn-w4-g32", "INT4 weights, an FP16 scale for 32 inputs of a row", Method::kRtn, 4, kGroup, 32, 16},
      {"rtn-w8a8", "INT8 weights, one scale a matrix; INT8 activations, one scale a token", Method::kRtn, 8, kTensor, 0,
       8},
      {"rtn-w8a8-channel", "INT8 weights, one scale an output row; INT8 activations, one scale a token", Method::kRtn,
       8, kChannel, 0, 8},
      {"rtn-w4a8", "INT4 weights, one scale a matrix; INT8 activations, one scale a token", Method::kRtn, 4, kTensor, 0,
       8},
      {"smoothquant-o1", "smoothed; INT8 weights, one scale a matrix; INT8 activations, one scale a token",
       Method::kSmoothQuant, 8, kTensor, 0, 8},
      {"smoothquant-o2", "smoothed; INT8 weights, one scale a matrix; INT8 activations, one scale a pass",
       Method::kSmoothQuant, 8, kTensor, 0, 8, ActivationScope::kTensor},
      {"smoothquant-o3", "smoothed; INT8 weights, one scale a matrix; INT8 activations, one calibrated scale",
       Method::kSmoothQuant, 8, kTensor, 0, 8, ActivationScope::kStatic},
      {"smoothquant-channel", "smoothed; INT8 weights, one scale an output row; INT8 activations, one scale a token",
       Method::kSmoothQuant, 8, kChannel, 0, 8},
      {"gptq-w8", "INT8 weights by GPTQ, one scale an output row", Method::kGptq, 8, kChannel, 0, 16},
      {"gptq-w4", "INT4 weights by GPTQ, one scale an output row", Method::kGptq, 4, kChannel, 0, 16},
      {"gptq-w4-g128", "INT4 weights by GPTQ, an FP16 scale for 128 inputs of a row", Method::kGptq, 4, kGroup, 128,
       16},
      {"gptq-w4-g64", "INT4 weights by GPTQ, an FP16 scale for 64 inputs of a row", Method::kGptq, 4, kGroup, 64, 16},
      {"awq-w4-g128", "INT4 weights by AWQ, an FP16 scale and a zero for 128 inputs of a row", Method::kAwq, 4, kGroup,
       128, 16},
      {"awq-w4-g64", "INT4 weights by AWQ, an FP16 scale and a zero for 64 inputs of a row", Method::kAwq, 4, kGroup,
       64, 16},
      {"atom-w4a4", "INT4 weights and activations in groups of 128, 128 input channels INT8; INT4 keys and values",
       Method::kAtom, 4, kGroup, 128, 4},
      {"atom-w4a4-g64", "INT4 weights and activations in groups of 64, 64 input channels INT8; INT4 keys and values",
       Method::kAtom, 4, kGroup, 64, 4},
      {"zeroquant-w8a8", "INT8 weights in 64 groups of rows; INT8 activations, one scale a token", Method::kZeroQuant,
       8, kChannel, 0, 8},
      {"zeroquant-w8a8-g128", "the same with groups of 128 inputs of a row", Method::kZeroQuant, 8, kGroup, 128, 8},
      {"zeroquant-w8a8-g64", "the same with groups of 64 inputs of a row", Method::kZeroQuant, 8, kGroup, 64, 8},
  };
  for (Variant& variant : table) {
    variant.options = RowOf(variant.method).options;
    // As many channels stay INT8 as a group has.
    if (variant.method == Method::kAtom) variant.options[0].value = static_cast<double>(variant.group_size);
  }
  return table;
}

std::string_view GranularityName(Granularity granularity) {
  switch (granularity) {
    case Granularity::kNone:
      return "none";
    case Granularity::kTensor:
      return "tensor";
    case Granularity::kChannel:
      return "channel";
    case Granularity::kGroup:
      return "group";
  }
  return "?";
}

std::string_view ScopeName(ActivationScope scope) {
  switch (scope) {
    case ActivationScope::kToken:
      return "token";
    case ActivationScope::kTensor:
      return "tensor";
    case ActivationScope::kStatic:
      return "static";
  }
  return "?";
}

std::string Shown(std::string_view text) { return absl::CHexEscape(std::string(text.substr(0, 80))); }

// Options of calibration, whose values are whole numbers.
const std::vector<Option>& CalibrationOptions() {
  static const std::vector<Option> options = {
      {"samples", 0, 0, 65536, "samples cut from the calibration text, 0 for as many as it has"},
      {"length", 0, 0, 1 << 17, "tokens in a sample, 0 for as many as suit the method"},
      {"seed", 0, 0, 0x1p53, "of the samples' places in the text"}};
  return options;
}

std::string KnownOptions(const Variant& variant) {
  std::string known;
  const auto add = [&](std::string_view name) {
    absl::StrAppend(&known, known.empty() ? "" : ", ", std::string(name));
  };
  for (const Option& one : variant.options) add(one.name);
  if (NeedsCalibration(variant)) {
    for (const Option& one : CalibrationOptions()) add(one.name);
    add("text");
  }
  return known.empty() ? "none" : known;
}

absl::StatusOr<double> ReadValue(const Variant& variant, const Option& option, std::string_view digits, bool whole) {
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size() && value >= option.least && value <= option.most &&
      (!whole || value == std::floor(value))) {
    return value;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "option ", std::string(option.name), " of ", variant.name, " is \"", Shown(digits), "\", expected a ",
      whole ? "whole " : "", "number from ", option.least, " to ", option.most, ": ", std::string(option.meaning)));
}

absl::Status SetCalibrationText(std::string_view digest, Variant& variant) {
  if (digest.size() != 64 || digest.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("option text of ", variant.name, " is \"", Shown(digest),
                                                   "\", expected the digest of a text set, 64 of 0-9 and a-f"));
  }
  variant.calibration.text = digest;
  return absl::OkStatus();
}

absl::Status SetCalibration(const Option& option, std::string_view digits, Variant& variant) {
  const absl::StatusOr<double> value = ReadValue(variant, option, digits, /*whole=*/true);
  if (!value.ok()) return value.status();
  CalibrationSpec& spec = variant.calibration;
  if (option.name == "samples") spec.samples = static_cast<int32_t>(*value);
  if (option.name == "length") spec.length = static_cast<int32_t>(*value);
  if (option.name == "seed") spec.seed = static_cast<uint64_t>(*value);
  return absl::OkStatus();
}

// "OPTION=VALUE" into `variant`.
absl::Status SetOption(std::string_view text, Variant& variant) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string_view digits = equals == std::string_view::npos ? "" : text.substr(equals + 1);
  for (Option& option : variant.options) {
    if (option.name != name) continue;
    const absl::StatusOr<double> value = ReadValue(variant, option, digits, /*whole=*/false);
    if (value.ok()) option.value = *value;
    return value.status();
  }
  if (NeedsCalibration(variant)) {
    if (name == "text") return SetCalibrationText(digits, variant);
    for (const Option& option : CalibrationOptions()) {
      if (option.name == name) return SetCalibration(option, digits, variant);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown option \"", Shown(name), "\" of ", variant.name, "; it has ", KnownOptions(variant)));
}

// nlohmann sorts keys, so equal configurations have one text. What a plain variant does not have stays out of it.
nlohmann::json ConfigOf(const Variant& variant) {
  nlohmann::json config = {{"activation_bits", variant.activation_bits},
                           {"granularity", GranularityName(variant.granularity)},
                           {"group_size", variant.group_size},
                           {"method", RowOf(variant.method).name},
                           {"quantizer_version", NeedsCalibration(variant) ? kCalibratedVersion : kQuantizerVersion},
                           {"weight_bits", variant.weight_bits}};
  if (variant.activation_scope != ActivationScope::kToken) {
    config["activation_scope"] = ScopeName(variant.activation_scope);
  }
  for (const Option& one : variant.options) config["options"][std::string(one.name)] = one.value;
  return config;
}

bool KeepersFit(const Variant& variant, const model::ModelConfig& config) {
  const auto keepers = static_cast<int64_t>(variant.option("keepers"));
  return keepers % variant.group_size == 0 &&
         keepers < std::min({config.hidden, config.heads * config.head_dim, config.ff});
}

}  // namespace

double Variant::option(std::string_view option_name) const {
  for (const Option& one : options) {
    if (one.name == option_name) return one.value;
  }
  std::abort();  // asked for an option that the method's row does not have
}

std::span<const Variant> Variants() {
  static const std::vector<Variant> table = MakeTable();
  return table;
}

absl::StatusOr<Variant> FindVariant(std::string_view name) {
  const size_t colon = name.find(':');
  std::string known;
  for (const Variant& row : Variants()) {
    if (row.name != name.substr(0, colon)) {
      absl::StrAppend(&known, known.empty() ? "" : ", ", row.name);
      continue;
    }
    Variant variant = row;
    for (size_t at = colon; at != std::string_view::npos;) {
      const size_t next = name.find(':', at + 1);
      if (absl::Status set = SetOption(name.substr(at + 1, next - at - 1), variant); !set.ok()) return set;
      at = next;
    }
    variant.name = name;
    return variant;
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown variant \"", Shown(name), "\"; this build knows ", known,
                                                 ", and checkpoint:NAME for a quantized release"));
}

bool NeedsCalibration(const Variant& variant) { return RowOf(variant.method).calibrated; }

int32_t SampleTokens(const Variant& variant) { return RowOf(variant.method).sample_tokens; }

absl::Status FitsModel(const Variant& variant, const model::ModelConfig& config) {
  if (variant.granularity != Granularity::kGroup) return absl::OkStatus();
  if (variant.method == Method::kAtom && !KeepersFit(variant, config)) {
    return absl::InvalidArgumentError(absl::StrCat(
        variant.name, " keeps ", variant.option("keepers"),
        " input channels in INT8, expected a multiple of the group ", "size ", variant.group_size, " below ",
        std::min({config.hidden, config.heads * config.head_dim, config.ff}), ", the smallest input dimension"));
  }
  const std::pair<const char*, int64_t> inputs[] = {
      {"q_proj", config.hidden}, {"o_proj", config.heads * config.head_dim}, {"down_proj", config.ff}};
  for (const auto& [layer, size] : inputs) {
    if (size % variant.group_size == 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(variant.name, " does not fit ", config.name.empty() ? "the model" : config.name, ": group size ",
                     variant.group_size, " does not divide input dimension ", size, " (layer 0 ", layer,
                     "); use a group size that does, or a -channel variant"));
  }
  return absl::OkStatus();
}

int KvBits(const Variant& variant) { return variant.method == Method::kAtom ? 4 : 16; }

int64_t KvBytesPerToken(const Variant& variant, const model::ModelConfig& c) {
  constexpr int64_t kScaleAndZero = 4;
  const int64_t row = KvBits(variant) == 4 ? c.head_dim / 2 + kScaleAndZero : c.head_dim * 2;
  return c.layers * 2 * c.kv_heads * row;
}

int64_t PackedBytes(const Variant& variant, const model::ModelConfig& c) {
  const int64_t query = c.heads * c.head_dim;
  const int64_t kv = c.kv_heads * c.head_dim;
  const int64_t weights = c.layers * (c.hidden * (2 * query + 2 * kv) + 3 * c.hidden * c.ff);
  const int64_t groups = variant.group_size > 0 ? weights / variant.group_size : 0;
  // A zero for each group, or each row, where the grid is not symmetric.
  const bool zeros = variant.method == Method::kAwq || (variant.method == Method::kGptq && variant.option("sym") == 0);
  return weights * variant.weight_bits / 8 + groups * (zeros ? 3 : 2) +
         c.vocab * c.hidden * 2 * (c.tied_embeddings ? 1 : 2);
}

std::string ConfigText(const Variant& variant, const std::optional<CalibrationFacts>& calibration) {
  nlohmann::json config = ConfigOf(variant);
  if (calibration) {
    config["calibration"] = {{"samples", calibration->samples}, {"length", calibration->length},
                             {"seed", calibration->seed},       {"text", calibration->text},
                             {"tokens", calibration->tokens},   {"device", calibration->device}};
  }
  return config.dump();
}

std::string ReleaseConfigText(const Variant& variant, std::string_view release_digest) {
  nlohmann::json config = ConfigOf(variant);
  config["release"] = release_digest;
  return config.dump();
}

}  // namespace uaqf::quantize
