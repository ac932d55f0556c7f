#include "kernels/cuda/decode/checks.h"
#include "kernels/cuda/decode/params.h"

namespace uaqf::cuda {

namespace {

Status CheckConfig(const DecodeConfig& c) {
  const bool positive = c.layers > 0 && c.hidden > 0 && c.heads > 0 && c.kv_heads > 0 && c.ff > 0 && c.vocab > 0 &&
                        c.capacity > 0 && c.window >= 0;
  if (!positive || c.heads % c.kv_heads != 0) {
    return MakeError(cudaErrorInvalidValue,
                     "got %d layers, hidden %d, %d heads, %d KV heads, ff %d, vocab %d, capacity "
                     "%d: expected all positive and KV heads to divide heads",
                     c.layers, c.hidden, c.heads, c.kv_heads, c.ff, c.vocab, c.capacity);
  }
  if (c.hidden % 8 != 0 || c.hidden > kMaxHidden || c.ff % 8 != 0) {
    return MakeError(cudaErrorInvalidValue, "got hidden %d and ff %d, expected multiples of 8, hidden at most %d",
                     c.hidden, c.ff, kMaxHidden);
  }
  if (c.head_dim < 16 || c.head_dim % 16 != 0 || c.head_dim > 256) {
    return MakeError(cudaErrorInvalidValue, "got head_dim %d, expected a multiple of 16 up to 256", c.head_dim);
  }
  if (c.kv_bits != 16 && c.kv_bits != 8 && c.kv_bits != 4) {
    return MakeError(cudaErrorInvalidValue, "got a KV cache of %d bits, expected 16, 8 or 4", c.kv_bits);
  }
  return {};
}

Status CheckMatrix(const DeviceMatrix* m, const char* name, int layer, int rows, int cols, RowOrder order,
                   const MatrixSpec* like) {
  if (m == nullptr) return MakeError(cudaErrorInvalidValue, "layer %d: got no %s matrix", layer, name);
  const MatrixSpec& s = m->spec();
  if (m->rows() != rows || m->view().inputs != cols || s.map.order != order) {
    return MakeError(cudaErrorInvalidValue, "layer %d: got %s of %d x %d in row order %d, expected %d x %d in %d",
                     layer, name, m->rows(), m->view().inputs, static_cast<int>(s.map.order), rows, cols,
                     static_cast<int>(order));
  }
  if (like != nullptr && (s.format != like->format || s.group != like->group || s.zeros != like->zeros)) {
    return MakeError(cudaErrorInvalidValue, "layer %d: got %s in another format than layer 0 has", layer, name);
  }
  return {};
}

// Inputs are met again by the low halves of INT8 weights only.
Status CheckColumns(const DecodeModel& model) {
  const int low_halves = model.config.rounding.int8_inputs;
  for (int i = 0; i < model.config.layers; ++i) {
    const DecodeLayer& l = model.layers[i];
    for (const DeviceMatrix* m : {l.qkv, l.out, l.gate_up, l.down}) {
      const int inputs = m->view().inputs;
      if (m->view().gather != nullptr && !m->spec().zeros) {
        return MakeError(cudaErrorInvalidValue, "layer %d: got an order of columns of a matrix without zeros", i);
      }
      if (m->cols() == inputs + low_halves && (low_halves == 0 || inputs % low_halves == 0)) continue;
      return MakeError(cudaErrorInvalidValue,
                       "layer %d: got a matrix of %d columns over %d inputs, expected %d columns more than inputs, and "
                       "inputs in whole groups",
                       i, m->cols(), inputs, low_halves);
    }
  }
  return {};
}

Status CheckLayers(const DecodeModel& model) {
  const DecodeConfig& c = model.config;
  for (int i = 0; i < c.layers; ++i) {
    const DecodeLayer& l = model.layers[i];
    if (model.layers[0].qkv == nullptr) return MakeError(cudaErrorInvalidValue, "layer 0: got no qkv matrix");
    const MatrixSpec* like = &model.layers[0].qkv->spec();
    UAQF_CUDA_CHECK(
        CheckMatrix(l.qkv, "qkv", i, (c.heads + 2 * c.kv_heads) * c.head_dim, c.hidden, RowOrder::kRotary, like));
    UAQF_CUDA_CHECK(CheckMatrix(l.out, "out", i, c.hidden, c.heads * c.head_dim, RowOrder::kPlain, like));
    UAQF_CUDA_CHECK(CheckMatrix(l.gate_up, "gate_up", i, 2 * c.ff, c.hidden, RowOrder::kGated, like));
    UAQF_CUDA_CHECK(CheckMatrix(l.down, "down", i, c.hidden, c.ff, RowOrder::kPlain, like));
    const bool cached = c.kv_bits == 16 ? l.keys != nullptr && l.values != nullptr
                                        : l.quantized_keys != nullptr && l.quantized_values != nullptr;
    if (l.attention_norm == nullptr || l.mlp_norm == nullptr || !cached) {
      return MakeError(cudaErrorInvalidValue, "layer %d: got no norm weights or no KV cache", i);
    }
  }
  UAQF_CUDA_CHECK(CheckColumns(model));
  UAQF_CUDA_CHECK(CheckMatrix(model.embedding, "embedding", -1, c.vocab, c.hidden, RowOrder::kPlain, nullptr));
  UAQF_CUDA_CHECK(CheckMatrix(model.lm_head, "LM head", -1, c.vocab, c.hidden, RowOrder::kPlain, nullptr));
  if (model.embedding->spec().format != Format::kFp16 || model.lm_head->spec().format != Format::kFp16) {
    return MakeError(cudaErrorInvalidValue, "got an embedding or LM head that is not FP16");
  }
  return {};
}

}  // namespace

Status CheckModel(const DecodeModel& model) {
  UAQF_CUDA_CHECK(CheckConfig(model.config));
  return CheckLayers(model);
}

}  // namespace uaqf::cuda
