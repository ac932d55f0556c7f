#include "worker/model/model_config.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace uaqf::model {
namespace {

absl::Status OutOfRange(const char* what, double got, double least, double most) {
  return absl::InvalidArgumentError(
      absl::StrCat("the model's ", what, " is ", got, ", expected ", least, " to ", most, "; is the file damaged?"));
}

absl::Status ValidateRope(const ModelConfig& config) {
  const Rope& rope = config.rope;
  if (!(rope.theta >= 1.0 && rope.theta <= 1e12)) return OutOfRange("rope theta", rope.theta, 1.0, 1e12);
  if (!(rope.factor > 0.0 && rope.factor <= 1e6)) return OutOfRange("rope scaling factor", rope.factor, 1e-6, 1e6);
  if (rope.scaling == RopeScaling::kLlama3 &&
      !(rope.low_frequency_factor > 0.0 && rope.high_frequency_factor > rope.low_frequency_factor &&
        rope.original_context > 0)) {
    return absl::InvalidArgumentError(absl::StrCat("got llama3 rope scaling with low, high frequency factors ",
                                                   rope.low_frequency_factor, ", ", rope.high_frequency_factor,
                                                   ", expected 0 < low < high and a context"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view KnownArchitectures() { return "llama, mistral, qwen2"; }

absl::Status ValidateConfig(const ModelConfig& config) {
  struct Range {
    const char* what;
    int64_t got;
    int64_t least;
    int64_t most;
  };
  const Range ranges[] = {
      {"hidden size", config.hidden, 8, 1 << 16},
      {"number of layers", config.layers, 1, 1024},
      {"number of attention heads", config.heads, 1, 1024},
      {"number of key/value heads", config.kv_heads, 1, config.heads},
      {"head dimension", config.head_dim, 2, 256},
      {"feed-forward size", config.ff, 8, 1 << 20},
      {"vocabulary size", config.vocab, 2, 1 << 24},
      {"context length", config.context, 1, 1 << 24},
      {"sliding window", config.sliding_window, 0, 1 << 24},
  };
  for (const Range& range : ranges) {
    if (range.got < range.least || range.got > range.most) {
      return OutOfRange(range.what, static_cast<double>(range.got), static_cast<double>(range.least),
                        static_cast<double>(range.most));
    }
  }
  if (config.heads % config.kv_heads != 0 || config.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("got ", config.heads, " heads, ", config.kv_heads,
                                                   " key/value heads and head dimension ", config.head_dim,
                                                   ", expected a multiple, and an even dimension"));
  }
  if (!(config.rms_eps > 0.0 && config.rms_eps < 1.0)) return OutOfRange("RMS epsilon", config.rms_eps, 1e-12, 1.0);
  const auto is_token = [&](int32_t id) { return id >= 0 && id < config.vocab; };
  if ((config.bos_id != -1 && !is_token(config.bos_id)) ||
      !std::all_of(config.eos_ids.begin(), config.eos_ids.end(), is_token)) {
    return absl::InvalidArgumentError(absl::StrCat("a BOS or EOS id lies outside the vocabulary of ", config.vocab));
  }
  return ValidateRope(config);
}

}  // namespace uaqf::model
