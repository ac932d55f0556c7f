#include "worker/model/quantization_config.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "worker/model/bounded_json.h"

namespace uaqf::model {
namespace {

using Json = nlohmann::json;

template <typename... Parts>
absl::Status Unreadable(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("quantization_config: ", parts...));
}

std::string Shown(const Json& value) { return absl::CHexEscape(value.dump().substr(0, 80)); }

bool IsSet(const Json& object, const char* key) { return object.contains(key) && !object[key].is_null(); }

// One of two names for the same setting; null where neither is set.
Json Either(const Json& object, const char* name, const char* other) {
  return IsSet(object, name) ? object[name] : IsSet(object, other) ? object[other] : Json();
}

std::string Lower(const Json& value, const std::string& otherwise) {
  if (value.is_null()) return otherwise;
  return value.is_string() ? absl::AsciiStrToLower(value.get<std::string>()) : Shown(value);
}

absl::Status ReadBits(const Json& value, bool eight, QuantizationConfig& config) {
  const bool known = value.is_number_integer() && (value == 4 || (eight && value == 8));
  if (!known) return Unreadable("got ", Shown(value), "-bit weights, expected 4", eight ? " or 8" : "", " bits");
  config.bits = value.get<int>();
  return absl::OkStatus();
}

// -1, or nothing, is one group a row.
absl::Status ReadGroupSize(const Json& value, QuantizationConfig& config) {
  if (value.is_null() || (value.is_number_integer() && !value.is_number_unsigned() && value == -1)) {
    config.scales = QuantizedScales::kRow;
    return absl::OkStatus();
  }
  if (!value.is_number_integer() || value.get<int64_t>() < 8 || value.get<int64_t>() > 1 << 20 ||
      value.get<int64_t>() % 8 != 0) {
    return Unreadable("got group size ", Shown(value), ", expected -1 or a multiple of 8");
  }
  config.group_size = value.get<int64_t>();
  return absl::OkStatus();
}

std::string Grid(const QuantizationConfig& config) {
  const std::string scales = config.scales == QuantizedScales::kGroup ? absl::StrCat("g", config.group_size)
                             : config.scales == QuantizedScales::kRow ? "per row"
                                                                      : "per matrix";
  return absl::StrCat(config.bits, "-bit ", scales);
}

absl::StatusOr<QuantizationConfig> ReadGptq(const Json& json) {
  QuantizationConfig config;
  const std::string form = Lower(Either(json, "checkpoint_format", "format"), "gptq");
  if (form != "gptq" && form != "gptq_v2") {
    return Unreadable("got GPTQ checkpoint_format \"", absl::CHexEscape(form), "\", this build reads gptq and gptq_v2");
  }
  if (json.value("is_marlin_format", Json(false)) == Json(true)) {
    return Unreadable("got GPTQ weights in Marlin's order, expected checkpoint_format gptq or gptq_v2");
  }
  if (IsSet(json, "dynamic") && !json["dynamic"].empty()) {
    return Unreadable("got \"dynamic\" settings that differ by layer, expected the same for all layers");
  }
  if (IsSet(json, "pack_dtype") && Lower(json["pack_dtype"], "") != "int32") {
    return Unreadable("got pack_dtype ", Shown(json["pack_dtype"]), ", expected int32");
  }
  config.format = form == "gptq" ? QuantizedFormat::kGptq : QuantizedFormat::kGptqV2;
  if (absl::Status status = ReadBits(Either(json, "bits", "w_bit"), true, config); !status.ok()) return status;
  absl::Status status = ReadGroupSize(Either(json, "group_size", "q_group_size"), config);
  if (!status.ok()) return status;
  config.name = absl::StrCat("GPTQ ", Grid(config));
  return config;
}

absl::StatusOr<QuantizationConfig> ReadAwq(const Json& json) {
  QuantizationConfig config;
  config.format = QuantizedFormat::kAwqGemm;
  const std::string version = Lower(json.value("version", Json()), "gemm");
  if (version != "gemm") {
    return Unreadable("got AWQ version \"", absl::CHexEscape(version), "\", this build reads gemm");
  }
  if (absl::Status status = ReadBits(Either(json, "bits", "w_bit"), false, config); !status.ok()) return status;
  absl::Status status = ReadGroupSize(Either(json, "group_size", "q_group_size"), config);
  if (!status.ok()) return status;
  config.name = absl::StrCat("AWQ ", Grid(config));
  return config;
}

absl::Status ReadActivations(const Json& activations, QuantizationConfig& config) {
  if (activations.is_null()) return absl::OkStatus();
  const bool per_token =
      activations.is_object() && activations.value("num_bits", Json()) == Json(8) &&
      activations.value("type", Json("int")) == Json("int") && activations.value("strategy", Json()) == Json("token") &&
      activations.value("dynamic", Json()) == Json(true) && activations.value("symmetric", Json(true)) == Json(true);
  if (!per_token) {
    return Unreadable("got input_activations ", Shown(activations),
                      ", expected none, or INT8 of strategy token, dynamic and symmetric");
  }
  config.activation_bits = 8;
  return absl::OkStatus();
}

absl::Status ReadWeights(const Json& weights, QuantizationConfig& config) {
  if (!weights.is_object() || weights.value("type", Json("int")) != Json("int") ||
      weights.value("dynamic", Json(false)) != Json(false)) {
    return Unreadable("got weights ", Shown(weights), ", expected integers");
  }
  if (absl::Status status = ReadBits(weights.value("num_bits", Json(8)), true, config); !status.ok()) return status;
  config.symmetric = weights.value("symmetric", Json(true)) != Json(false);
  const bool grouped = IsSet(weights, "group_size") && weights["group_size"] != Json(-1);
  const std::string strategy = Lower(weights.value("strategy", Json()), grouped ? "group" : "tensor");
  if (strategy == "tensor") {
    config.scales = QuantizedScales::kMatrix;
  } else if (strategy == "channel") {
    config.scales = QuantizedScales::kRow;
  } else if (strategy == "group" && grouped) {
    return ReadGroupSize(weights["group_size"], config);
  } else {
    return Unreadable("got strategy ", absl::CHexEscape(strategy), ", expected tensor, channel, or group with a size");
  }
  return absl::OkStatus();
}

absl::StatusOr<QuantizationConfig> ReadCompressedTensors(const Json& json) {
  QuantizationConfig config;
  const Json groups = json.value("config_groups", Json());
  if (!groups.is_object() || groups.size() != 1 || !groups.begin()->is_object()) {
    return Unreadable("got ", groups.is_object() ? groups.size() : 0,
                      " config_groups, expected one for all linear layers");
  }
  const Json& group = *groups.begin();
  // A format of the group's own counts more than that of the file.
  const std::string form = Lower(Either(group, "format", "-"), Lower(json.value("format", Json()), "none"));
  if (form == "pack-quantized") {
    config.format = QuantizedFormat::kPackedIntegers;
  } else if (form == "int-quantized" || form == "naive-quantized") {
    config.format = QuantizedFormat::kPlainIntegers;
  } else {
    return Unreadable("got compressed-tensors format \"", absl::CHexEscape(form),
                      "\", this build reads pack-quantized and int-quantized");
  }
  const Json sparsity = json.value("sparsity_config", Json());
  if (sparsity.is_object() && Lower(sparsity.value("format", Json()), "dense") != "dense") {
    return Unreadable("got sparse weights, expected sparsity_config of format dense");
  }
  if (absl::Status status = ReadWeights(group.value("weights", Json()), config); !status.ok()) return status;
  absl::Status status = ReadActivations(group.value("input_activations", Json()), config);
  if (!status.ok()) return status;
  config.name = absl::StrCat("compressed-tensors W", config.bits, "A", config.activation_bits, " ", Grid(config));
  return config;
}

}  // namespace

int64_t GroupSizeOf(const QuantizationConfig& config, int64_t columns) {
  return config.scales == QuantizedScales::kGroup ? config.group_size : (columns + 7) / 8 * 8;
}

absl::StatusOr<QuantizationConfig> ParseQuantizationConfig(std::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text, "quantization_config");
  if (!json.ok()) return json.status();
  if (!json->is_object()) return Unreadable("is no JSON object");
  // The file of older GPTQ releases does not say what it is.
  const std::string method = Lower(json->value("quant_method", Json()), "gptq");
  if (method == "gptq") return ReadGptq(*json);
  if (method == "awq") return ReadAwq(*json);
  if (method == "compressed-tensors") return ReadCompressedTensors(*json);
  return Unreadable("got quant_method \"", absl::CHexEscape(method.substr(0, 80)),
                    "\", this build reads gptq, awq and compressed-tensors; use another release of the model");
}

}  // namespace uaqf::model
