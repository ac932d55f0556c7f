// A model on disk, whatever its format, under one set of tensor names.
//
// Names are those of Hugging Face's Llama family: "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
// "model.layers.N.{input_layernorm,post_attention_layernorm}.weight", "model.layers.N.self_attn.{q,k,v,o}_proj.weight"
// (and ".bias"), "model.layers.N.mlp.{gate,up,down}_proj.weight". Matrices are [out, in] row-major, and RoPE is the
// rotate-half form (dimension i turns with i + head_dim / 2); readers bring other forms into this one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/gguf.h"
#include "worker/model/model_config.h"
#include "worker/model/random_tensor.h"
#include "worker/model/stored_matrix.h"
#include "worker/model/tensor_type.h"

namespace uaqf::model {

struct TensorInfo {
  TensorType type;  // kF32 for a layer whose codes and scales are tensors of their own
  int64_t rows;     // 1 for a vector
  int64_t columns;  // length of a vector
};

// Immutable and thread-safe. The files stay mapped as long as this lives; they must not be changed meanwhile.
class Checkpoint {
 public:
  // "synthetic:NAME" (see synthetic.h), a .gguf file, or a folder with config.json and model.safetensors (or its
  // shards). Refuses pickles (.pt, .bin, ...), unknown architectures, missing or wrongly shaped tensors, and malformed
  // files (INVALID_ARGUMENT or NOT_FOUND).
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::string& path);

  // The model NAME of a folder of models: its file NAME.gguf or its folder NAME. For names from the network: a name has
  // 1 to 128 letters, digits, '.', '_' or '-' and does not begin with a dot, and no link is followed.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> OpenNamed(const std::string& models, const std::string& name);

  virtual ~Checkpoint() = default;

  virtual const ModelConfig& config() const = 0;
  // The file or folder that was opened.
  virtual const std::string& path() const = 0;
  // NOT_FOUND when the model has no tensor of this name.
  virtual absl::StatusOr<TensorInfo> Find(const std::string& name) const = 0;
  // The exact FP32 values of `rows` rows from `first_row` on; `out` holds rows * columns. Reads no more than those
  // rows.
  virtual absl::Status ReadRows(const std::string& name, int64_t first_row, int64_t rows,
                                std::span<float> out) const = 0;
  // Rows of a matrix in the quantized form that the file has it in: its exact values are ReadRows'. NOT_FOUND when the
  // file has it in FP32, FP16 or BF16, or has no such matrix.
  virtual absl::StatusOr<StoredMatrix> ReadStored(const std::string& name, RowRange rows) const;
  // Metadata of a GGUF file, which holds its tokenizer; nullptr for a folder, whose tokenizer is files of their own.
  virtual const GgufMetadata* gguf() const = 0;
  // The whole of a small file beside the weights of a folder ("tokenizer.json"), at most 64 MiB. NOT_FOUND when there
  // is none, as always for a GGUF file.
  virtual absl::StatusOr<std::string> ReadCompanion(const std::string& name) const = 0;
  // SHA-256 in lower-case hex over the weights, the description and the tokenizer. Computed once for a file that did
  // not change since (path, size, time, inode) and kept in memory; the first call reads the whole model.
  virtual absl::StatusOr<std::string> Digest() const = 0;
  // How the values of a synthetic model's tensor are made, so that a GPU can make them itself; nothing for a model on
  // disk, or a tensor that it does not have.
  virtual std::optional<RandomTensor> Random(const std::string&) const { return std::nullopt; }
  // Random weights: there is no quality to measure.
  bool synthetic() const { return Random("model.norm.weight").has_value(); }
};

}  // namespace uaqf::model
