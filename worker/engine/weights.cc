#include "worker/engine/weights.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/quantize/pack.h"

namespace uaqf::engine {
namespace {

int64_t BytesOf(const std::vector<float>& values) { return static_cast<int64_t>(values.size() * sizeof(float)); }

class Loader {
 public:
  Loader(const model::Checkpoint& checkpoint, const quantize::Variant& variant, quantize::BlockStore* blocks,
         kernels::ThreadPool& pool)
      : checkpoint_(checkpoint), variant_(variant), blocks_(blocks), pool_(pool) {}

  absl::StatusOr<Weights> Load() {
    const model::ModelConfig& config = checkpoint_.config();
    Weights weights;
    Matrix("lm_head.weight", fp16_, weights.lm_head);
    if (!config.tied_embeddings) Matrix("model.embed_tokens.weight", fp16_, weights.embedding);
    Vector("model.norm.weight", weights.final_norm);
    for (int64_t layer = 0; layer < config.layers && status_.ok(); ++layer) {
      weights.layers.push_back(quantize::NeedsCalibration(variant_) ? StoredLayer(layer)
                                                                    : Layer(absl::StrCat("model.layers.", layer, ".")));
    }
    if (!status_.ok()) return status_;
    return weights;
  }

 private:
  LayerWeights Layer(const std::string& prefix) {
    LayerWeights layer;
    Vector(prefix + "input_layernorm.weight", layer.attention_norm);
    Vector(prefix + "post_attention_layernorm.weight", layer.mlp_norm);
    LoadLinear(prefix + "self_attn.q_proj", layer.q);
    LoadLinear(prefix + "self_attn.k_proj", layer.k);
    LoadLinear(prefix + "self_attn.v_proj", layer.v);
    LoadLinear(prefix + "self_attn.o_proj", layer.o);
    LoadLinear(prefix + "mlp.gate_proj", layer.gate);
    LoadLinear(prefix + "mlp.up_proj", layer.up);
    LoadLinear(prefix + "mlp.down_proj", layer.down);
    return layer;
  }

  LayerWeights StoredLayer(int64_t index) {
    LayerWeights layer;
    absl::StatusOr<quantize::QuantizedBlock> block = blocks_->Get(index);
    if (!block.ok()) {
      status_ = block.status();
      return layer;
    }
    layer.attention_norm = std::move(block->attention_norm);
    layer.mlp_norm = std::move(block->mlp_norm);
    Linear* const linears[] = {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down};
    for (size_t i = 0; i < quantize::kProjections && status_.ok(); ++i) {
      absl::StatusOr<kernels::PackedMatrix> packed = quantize::Pack(block->matrices[i]);
      if (!packed.ok()) {
        const std::string_view name = quantize::ProjectionName(static_cast<quantize::Projection>(i));
        status_ = absl::Status(packed.status().code(), absl::StrCat("model.layers.", index, ".", std::string(name),
                                                                    ": ", packed.status().message()));
        break;
      }
      linears[i]->matrix = *std::move(packed);
      linears[i]->bias = std::move(block->biases[i]);
      linears[i]->input_scale = block->matrices[i].input_scale;
    }
    return layer;
  }

  void LoadLinear(const std::string& name, Linear& linear) {
    if (variant_.method == quantize::Method::kCheckpoint) {
      StoredMatrix(name + ".weight", linear.matrix);
    } else {
      Matrix(name + ".weight", variant_, linear.matrix);
    }
    const std::string bias = name + ".bias";
    if (status_.ok() && checkpoint_.Find(bias).ok()) Vector(bias, linear.bias);
    if (status_.ok() && !linear.bias.empty() && static_cast<int64_t>(linear.bias.size()) != linear.matrix.rows()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("tensor ", bias, " has ", linear.bias.size(), " values, expected ", linear.matrix.rows()));
    }
  }

  void Vector(const std::string& name, std::vector<float>& out) {
    if (!status_.ok()) return;
    absl::StatusOr<model::TensorInfo> info = checkpoint_.Find(name);
    if (!info.ok()) {
      status_ = info.status();
      return;
    }
    out.resize(static_cast<size_t>(info->rows * info->columns));
    status_ = checkpoint_.ReadRows(name, 0, info->rows, out);
  }

  // In the form that the release has it in; a layer that it left alone is FP16.
  void StoredMatrix(const std::string& name, kernels::PackedMatrix& out) {
    if (!status_.ok()) return;
    absl::StatusOr<model::TensorInfo> info = checkpoint_.Find(name);
    if (!info.ok()) {
      status_ = info.status();
      return;
    }
    absl::StatusOr<model::StoredMatrix> stored = checkpoint_.ReadStored(name, {0, info->rows});
    if (absl::IsNotFound(stored.status())) return Matrix(name, fp16_, out);
    absl::StatusOr<kernels::PackedMatrix> packed =
        stored.ok() ? quantize::Pack(*stored) : absl::StatusOr<kernels::PackedMatrix>(stored.status());
    if (packed.ok()) {
      out = *std::move(packed);
    } else {
      status_ = absl::Status(packed.status().code(), absl::StrCat(name, ": ", packed.status().message()));
    }
  }

  void Matrix(const std::string& name, const quantize::Variant& variant, kernels::PackedMatrix& out) {
    if (!status_.ok()) return;
    absl::StatusOr<model::TensorInfo> info = checkpoint_.Find(name);
    if (!info.ok()) {
      status_ = info.status();
      return;
    }
    values_.resize(static_cast<size_t>(info->rows * info->columns));
    std::vector<absl::Status> read(static_cast<size_t>(pool_.lanes()));
    pool_.ParallelFor(info->rows, [&](int64_t begin, int64_t end, int lane) {
      const auto part = std::span(values_).subspan(static_cast<size_t>(begin * info->columns),
                                                   static_cast<size_t>((end - begin) * info->columns));
      read[static_cast<size_t>(lane)] = checkpoint_.ReadRows(name, begin, end - begin, part);
    });
    for (const absl::Status& status : read) status_.Update(status);
    if (status_.ok()) status_ = quantize::RoundToFp16(values_, pool_);
    if (!status_.ok()) {
      status_ = absl::Status(status_.code(), absl::StrCat(name, ": ", status_.message()));
      return;
    }
    absl::StatusOr<kernels::PackedMatrix> packed =
        quantize::PackLinear(variant, values_, info->rows, info->columns, pool_);
    if (packed.ok()) {
      out = *std::move(packed);
    } else {
      status_ = absl::Status(packed.status().code(), absl::StrCat(name, ": ", packed.status().message()));
    }
  }

  const model::Checkpoint& checkpoint_;
  const quantize::Variant& variant_;
  const quantize::Variant fp16_ = quantize::Variants().front();
  quantize::BlockStore* const blocks_;  // null for a variant that needs no calibration
  kernels::ThreadPool& pool_;
  std::vector<float> values_;  // the matrix at hand
  absl::Status status_;        // the first failure; everything after it does nothing
};

}  // namespace

int64_t Weights::block_bytes() const {
  int64_t bytes = 0;
  for (const LayerWeights& layer : layers) {
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      bytes += linear->matrix.bytes();
    }
  }
  return bytes;
}

int64_t Weights::total_bytes() const {
  int64_t bytes = block_bytes() + embedding.bytes() + lm_head.bytes() + BytesOf(final_norm);
  for (const LayerWeights& layer : layers) {
    bytes += BytesOf(layer.attention_norm) + BytesOf(layer.mlp_norm);
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      bytes += BytesOf(linear->bias);
    }
  }
  return bytes;
}

absl::StatusOr<Weights> LoadWeights(const model::Checkpoint& checkpoint, const quantize::Variant& variant,
                                    quantize::BlockStore* blocks, kernels::ThreadPool& pool) {
  const kernels::ThreadPool::ActiveRegion awake(pool);
  return Loader(checkpoint, variant, blocks, pool).Load();
}

}  // namespace uaqf::engine
