// The table of all variants of this build. A variant is a treatment of the linear layers inside the blocks: embedding
// and LM head are FP16 and norms FP32 in every one. A variant is a name of the table plus options of its method:
// "gptq-w4-g64", "gptq-w4-g64:act-order=1:damp=0.05".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/model_config.h"

namespace uaqf::quantize {

// kCheckpoint is not in the table: checkpoint_variant.h makes it of a release's name.
enum class Method { kNone, kRtn, kSmoothQuant, kGptq, kAwq, kZeroQuant, kAtom, kCheckpoint };
// What shares one scale: the whole matrix of a linear layer, a row (output channel), or `group_size` inputs of a row.
enum class Granularity { kNone, kTensor, kChannel, kGroup };
// What shares one scale of INT8 activations. kTensor: the tokens that are computed together, at most 512 of a prompt
// and one at a time in decoding. kStatic: every token ever; found by calibration.
enum class ActivationScope { kToken, kTensor, kStatic };

// A number that a method can be given, with its default (switches are 0 or 1) and its range.
struct Option {
  std::string_view name;
  double value;
  double least;
  double most;
  std::string_view meaning;  // for people
};

// On what a variant is calibrated. Options of every variant that needs it: "gptq-w4:samples=64:length=512:seed=1".
struct CalibrationSpec {
  int32_t samples = 0;    // 0: as many as the text has
  int32_t length = 0;     // tokens in a sample; 0: SampleTokens, at most the model's context
  uint64_t seed = 0;      // of the places in the text that samples begin at
  std::string text = {};  // "text=DIGEST": the text set of that SHA-256; empty: the prose that is part of the program
};

struct Variant {
  std::string name;              // "rtn-w4-g64", options included where some are given
  std::string_view description;  // one line for people
  Method method;
  int weight_bits;  // 16, 8 or 4
  Granularity granularity;
  int64_t group_size;   // kGroup only, else 0
  int activation_bits;  // 16, 8, or 4 (groups of INT4 as Atom has them)
  ActivationScope activation_scope = ActivationScope::kToken;
  std::vector<Option> options = {};
  CalibrationSpec calibration = {};

  // The value of one of `options`, which there must be.
  double option(std::string_view option_name) const;
};

// All variants with their default options, FP16 first. Lives as long as the process.
std::span<const Variant> Variants();

// "NAME" or "NAME:OPTION=VALUE:...", OPTION being one of its method or of its calibration. INVALID_ARGUMENT for an
// unknown name or option, or a value out of its range; the message lists the known ones.
absl::StatusOr<Variant> FindVariant(std::string_view name);

// Whether its weights need calibration (calibrate.h): they are then read from an artifact, not made while loading.
bool NeedsCalibration(const Variant& variant);

// Tokens in a calibration sample that suit the method.
int32_t SampleTokens(const Variant& variant);

// INVALID_ARGUMENT when the variant cannot be made of this model: a group size that does not divide the input
// dimension of a linear layer; the message names both and the layer.
absl::Status FitsModel(const Variant& variant, const model::ModelConfig& config);

// Bits of a cached key or value: 16 (FP16), or 4 (INT4 codes, keys before RoPE; kernels/int4_kv.h).
int KvBits(const Variant& variant);

// Bytes of the KV cache for each position, in all layers: what an engine's cache takes, but for its padding.
int64_t KvBytesPerToken(const Variant& variant, const model::ModelConfig& config);

// Bytes of the model's packed weights under the variant, estimated from its dimensions; embedding and LM head in FP16.
int64_t PackedBytes(const Variant& variant, const model::ModelConfig& config);

// What a calibrated variant was calibrated on, every default of CalibrationSpec resolved.
struct CalibrationFacts {
  int32_t samples = 0;
  int32_t length = 0;
  uint64_t seed = 0;
  std::string text;    // SHA-256 of the text
  std::string tokens;  // CalibrationSet::digest: of the tokens chosen from it
  std::string device;  // "cpu" or "cuda": a GPU's sums round differently
};

// The variant's whole configuration and the quantizer's version as JSON with sorted keys, `calibration` where it needs
// some. Every option is in it with its value. SHA-256 of it is the variant's digest: equal digests, and equal model
// digests, mean equal weights.
std::string ConfigText(const Variant& variant, const std::optional<CalibrationFacts>& calibration = std::nullopt);
// The same of a variant made of a quantized release (checkpoint_variant.h), whose digest is Checkpoint::Digest.
std::string ReleaseConfigText(const Variant& variant, std::string_view release_digest);

}  // namespace uaqf::quantize
