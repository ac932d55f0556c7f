#include <algorithm>
#include <new>
#include <vector>

#include "kernels/cuda/batch_graph.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/prefill/staged.h"

namespace uaqf::cuda {
namespace {

// Of a layer, in their order.
enum Which { kQkv, kOut, kGateUp, kDown, kProducts };

const DeviceMatrix& MatrixOf(const DecodeLayer& layer, Which which) {
  const DeviceMatrix* const matrices[kProducts] = {layer.qkv, layer.out, layer.gate_up, layer.down};
  return *matrices[which];
}

const float* BiasOf(const DecodeLayer& layer, Which which) {
  const float* const biases[kProducts] = {layer.qkv_bias, layer.out_bias, layer.gate_up_bias, layer.down_bias};
  return biases[which];
}

BatchTarget TargetOf(BatchTarget::Kind kind, float* sums) {
  BatchTarget target;
  target.kind = kind;
  target.sums = sums;
  return target;
}

// Where FP16 activations become what a product reads without a pass of their own.
bool IsDirect(const DecodeConfig& c, const DecodeLayer& layer, Which which) {
  return !c.int8_activations && c.rounding.group == 0 && MatrixOf(layer, which).view().gather == nullptr;
}

}  // namespace

struct BatchGraph::State {
  DecodeConfig config;
  BatchOptions options;
  std::vector<DecodeLayer> layers;
  const DeviceMatrix* embedding = nullptr;
  const DeviceMatrix* lm_head = nullptr;
  const float* final_norm = nullptr;
  const float* rope_cos = nullptr;
  const float* rope_sin = nullptr;
  cudaStream_t stream = nullptr;
  int sequences = 0;
  cudaGraphExec_t graphs[kMostSequences + 1] = {};

  std::vector<void*> buffers;
  int64_t bytes = 0;
  int32_t* tokens = nullptr;
  int32_t* positions = nullptr;
  float* residual = nullptr;
  __half* query = nullptr;
  __half* rows = nullptr;      // FP16 rows that a pass of their own turns into `ordered` or `codes`
  __half* normed = nullptr;    // in the order of staged.h from here on
  __half* attended = nullptr;  // these two are written by columns that exist: the padding stays zero
  __half* gated = nullptr;
  __half* ordered = nullptr;
  int8_t* codes = nullptr;
  float* token_scales = nullptr;
  float* input_scales = nullptr;  // [layer][product]
  void* attention = nullptr;
  int64_t attention_bytes = 0;
  int64_t attended_bytes = 0;
  int64_t gated_bytes = 0;
  float* logits = nullptr;

  ~State() {
    // Errors here would show again in the caller's next call.
    for (cudaGraphExec_t graph : graphs) {
      if (graph != nullptr) cudaGraphExecDestroy(graph);
    }
    for (void* buffer : buffers) cudaFree(buffer);
  }

  template <typename T>
  Status Reserve(T** pointer, int64_t count);
  Status Allocate();
  BatchAttentionShape Attention() const;
  int width() const { return config.heads * config.head_dim; }

  // What a product of the layer reads, made from FP16 rows in `rows`.
  Status Prepare(int layer, Which which, int row_width);
  Status Norm(int layer, Which which, const float* weight);
  StagedRows InputOf(int layer, Which which) const;
  Status Multiply(int layer, Which which, BatchTarget target);
  Status Layer(int index);
  Status Launch();
  Status Capture();
};

template <typename T>
Status BatchGraph::State::Reserve(T** pointer, int64_t count) {
  void* memory = nullptr;
  const int64_t size = std::max<int64_t>(count, 16) * static_cast<int64_t>(sizeof(T));
  UAQF_CUDA_RETURN(cudaMalloc(&memory, static_cast<size_t>(size)));
  buffers.push_back(memory);
  bytes += size;
  *pointer = static_cast<T*>(memory);
  return FromCuda(cudaMemsetAsync(memory, 0, static_cast<size_t>(size), stream), "workspace of a batch");
}

BatchAttentionShape BatchGraph::State::Attention() const {
  const DecodeConfig& c = config;
  return {c.heads, c.kv_heads, c.head_dim, c.capacity, c.window, c.attention_scale};
}

Status BatchGraph::State::Allocate() {
  const DecodeConfig& c = config;
  const int64_t most = options.most_sequences;
  const int64_t padded = PaddedSequences(options.most_sequences);
  int widest = std::max({c.hidden, width(), c.ff});
  for (const DecodeLayer& layer : layers) {
    for (int i = 0; i < kProducts; ++i) widest = std::max(widest, MatrixOf(layer, static_cast<Which>(i)).cols());
  }
  const bool direct = std::all_of(layers.begin(), layers.end(), [&](const DecodeLayer& layer) {
    return IsDirect(c, layer, kQkv) && IsDirect(c, layer, kOut) && IsDirect(c, layer, kGateUp) &&
           IsDirect(c, layer, kDown);
  });
  UAQF_CUDA_CHECK(Reserve(&tokens, most));
  UAQF_CUDA_CHECK(Reserve(&positions, most));
  UAQF_CUDA_CHECK(Reserve(&residual, most * c.hidden));
  UAQF_CUDA_CHECK(Reserve(&query, most * width()));
  UAQF_CUDA_CHECK(Reserve(&normed, padded * PaddedWidth(c.hidden)));
  UAQF_CUDA_CHECK(Reserve(&attended, padded * PaddedWidth(width())));
  UAQF_CUDA_CHECK(Reserve(&gated, padded * PaddedWidth(c.ff)));
  attended_bytes = padded * PaddedWidth(width()) * 2;
  gated_bytes = padded * PaddedWidth(c.ff) * 2;
  UAQF_CUDA_CHECK(Reserve(&rows, direct ? 0 : most * widest));
  UAQF_CUDA_CHECK(Reserve(&ordered, direct || c.int8_activations ? 0 : padded * PaddedWidth(widest)));
  UAQF_CUDA_CHECK(Reserve(&codes, c.int8_activations ? padded * PaddedWidth(widest) : 0));
  UAQF_CUDA_CHECK(Reserve(&token_scales, padded));
  std::vector<float> scales;
  for (const DecodeLayer& layer : layers) scales.insert(scales.end(), layer.input_scales, layer.input_scales + 4);
  UAQF_CUDA_CHECK(Reserve(&input_scales, static_cast<int64_t>(scales.size())));
  UAQF_CUDA_RETURN(cudaMemcpyAsync(input_scales, scales.data(), scales.size() * 4, cudaMemcpyHostToDevice, stream));
  uint8_t* scratch = nullptr;
  attention_bytes = BatchAttentionBytes(Attention(), options.most_sequences);
  UAQF_CUDA_CHECK(Reserve(&scratch, attention_bytes));
  attention = scratch;
  UAQF_CUDA_CHECK(Reserve(&logits, most * c.vocab));
  return FromCuda(cudaStreamSynchronize(stream), "workspace of a batch");
}

Status BatchGraph::State::Prepare(int layer, Which which, int row_width) {
  const DecodeLayer& l = layers[static_cast<size_t>(layer)];
  const int padded = PaddedSequences(sequences);
  if (!config.int8_activations) {
    const DeviceMatrix& matrix = MatrixOf(l, which);
    return OrderRows(rows, sequences, {row_width, matrix.cols(), matrix.view().gather}, config.rounding,
                     {ordered, padded}, stream);
  }
  const Int8Rows out = {codes, token_scales, padded};
  if (l.input_scales[which] > 0) {
    return QuantizeRowsBy(rows, sequences, row_width, input_scales + layer * kProducts + which, out, stream);
  }
  return QuantizeRows(rows, sequences, row_width, out, stream);
}

Status BatchGraph::State::Norm(int layer, Which which, const float* weight) {
  const DecodeConfig& c = config;
  const DecodeLayer& l = layers[static_cast<size_t>(layer)];
  const int padded = PaddedSequences(sequences);
  if (c.int8_activations && l.input_scales[which] <= 0) {
    return NormInt8(residual, weight, sequences, c.hidden, c.rms_epsilon, {codes, token_scales, padded}, stream);
  }
  if (IsDirect(c, l, which)) {
    return NormFp16(residual, weight, sequences, c.hidden, c.rms_epsilon, {normed, padded}, stream);
  }
  UAQF_CUDA_CHECK(NormFp16(residual, weight, sequences, c.hidden, c.rms_epsilon, {rows, 0}, stream));
  return Prepare(layer, which, c.hidden);
}

StagedRows BatchGraph::State::InputOf(int layer, Which which) const {
  if (config.int8_activations) return {codes, token_scales};
  if (!IsDirect(config, layers[static_cast<size_t>(layer)], which)) return {ordered, nullptr};
  const __half* const inputs[kProducts] = {normed, attended, normed, gated};
  return {inputs[which], nullptr};
}

Status BatchGraph::State::Multiply(int layer, Which which, BatchTarget target) {
  const DecodeLayer& l = layers[static_cast<size_t>(layer)];
  target.bias = BiasOf(l, which);
  return MultiplyBatch(MatrixOf(l, which).view(), InputOf(layer, which), sequences, target, stream);
}

Status BatchGraph::State::Layer(int index) {
  const DecodeConfig& c = config;
  const DecodeLayer& l = layers[static_cast<size_t>(index)];
  const int padded = PaddedSequences(sequences);
  BatchTarget heads = TargetOf(BatchTarget::kHeads, nullptr);
  heads.rope = {c.heads, c.kv_heads, c.head_dim, c.capacity};
  heads.positions = positions;
  heads.cosine = rope_cos;
  heads.sine = rope_sin;
  heads.query = query;
  heads.cache = {l.keys, l.values, options.cache_stride};
  const BatchTarget add = TargetOf(BatchTarget::kAdd, residual);
  BatchTarget gate = TargetOf(BatchTarget::kGated, nullptr);

  UAQF_CUDA_CHECK(Norm(index, kQkv, l.attention_norm));
  UAQF_CUDA_CHECK(Multiply(index, kQkv, heads));
  const bool direct_out = IsDirect(c, l, kOut);
  const Fp16Rows attended_rows = direct_out ? Fp16Rows{attended, padded} : Fp16Rows{rows, 0};
  UAQF_CUDA_CHECK(
      BatchAttention(Attention(), sequences, positions, query, heads.cache, attended_rows, attention, stream));
  if (!direct_out) UAQF_CUDA_CHECK(Prepare(index, kOut, width()));
  UAQF_CUDA_CHECK(Multiply(index, kOut, add));

  UAQF_CUDA_CHECK(Norm(index, kGateUp, l.mlp_norm));
  const bool direct_down = IsDirect(c, l, kDown);
  gate.gated = direct_down ? Fp16Rows{gated, padded} : Fp16Rows{rows, 0};
  UAQF_CUDA_CHECK(Multiply(index, kGateUp, gate));
  if (!direct_down) UAQF_CUDA_CHECK(Prepare(index, kDown, c.ff));
  return Multiply(index, kDown, add);
}

Status BatchGraph::State::Launch() {
  const DecodeConfig& c = config;
  const MatrixView& table = embedding->view();
  UAQF_CUDA_CHECK(Embed(reinterpret_cast<const __half*>(table.data), table.row_bytes / 2, tokens, sequences, c.hidden,
                        residual, stream));
  for (int i = 0; i < c.layers; ++i) UAQF_CUDA_CHECK(Layer(i));
  UAQF_CUDA_CHECK(
      NormFp16(residual, final_norm, sequences, c.hidden, c.rms_epsilon, {normed, PaddedSequences(sequences)}, stream));
  UAQF_CUDA_CHECK(
      MultiplyBatch(lm_head->view(), {normed, nullptr}, sequences, TargetOf(BatchTarget::kSet, logits), stream));
  return ChooseTokens(logits, sequences, c.vocab, tokens, positions, stream);
}

// The graph of `sequences`.
Status BatchGraph::State::Capture() {
  // Once as it is: what is loaded at a first launch must not be loaded while capturing.
  UAQF_CUDA_CHECK(Launch());
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream));
  cudaStream_t own = nullptr;
  UAQF_CUDA_RETURN(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
  std::swap(stream, own);
  cudaGraph_t graph = nullptr;
  Status status = FromCuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture of a batch");
  if (status.ok()) {
    status = Launch();
    const Status ended = FromCuda(cudaStreamEndCapture(stream, &graph), "capture of a batch");
    if (status.ok()) status = ended;
  }
  std::swap(stream, own);
  if (status.ok()) status = FromCuda(cudaGraphInstantiate(&graphs[sequences], graph, 0), "graph of a batch");
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaStreamDestroy(own);
  UAQF_CUDA_CHECK(status);
  UAQF_CUDA_RETURN(cudaGraphUpload(graphs[sequences], stream));
  return FromCuda(cudaStreamSynchronize(stream), "graph of a batch");
}

Status BatchGraph::Create(const DecodeModel& model, const BatchOptions& options, cudaStream_t stream,
                          std::unique_ptr<BatchGraph>* out) {
  const DecodeConfig& c = model.config;
  if (options.most_sequences < 2 || options.most_sequences > kMostSequences || c.kv_bits != 16) {
    return MakeError(cudaErrorInvalidValue,
                     "batch: got %d sequences, keys and values of %d bits; expected 2 to %d sequences, 16 bits",
                     options.most_sequences, c.kv_bits, kMostSequences);
  }
  bool has = false;
  UAQF_CUDA_CHECK(HasStagedProducts(&has));
  if (!has) return MakeError(cudaErrorNotSupported, "batch: got an older device, expected compute capability 9.0");
  std::unique_ptr<BatchGraph> batch(new (std::nothrow) BatchGraph);
  if (batch == nullptr) return MakeError(cudaErrorMemoryAllocation, "out of host memory");
  batch->state_ = std::make_unique<State>();
  State& s = *batch->state_;
  s.config = c;
  s.options = options;
  s.layers.assign(model.layers, model.layers + c.layers);
  s.embedding = model.embedding;
  s.lm_head = model.lm_head;
  s.final_norm = model.final_norm;
  s.rope_cos = model.rope_cos;
  s.rope_sin = model.rope_sin;
  s.stream = stream;
  UAQF_CUDA_CHECK(s.Allocate());
  *out = std::move(batch);
  return {};
}

BatchGraph::~BatchGraph() = default;

Status BatchGraph::Prepare(int sequences) {
  State& s = *state_;
  if (sequences < 1 || sequences > s.options.most_sequences) {
    return MakeError(cudaErrorInvalidValue, "batch: got %d sequences, expected 1 to %d", sequences,
                     s.options.most_sequences);
  }
  s.sequences = sequences;
  // Padding lies elsewhere with another number of sequences, and a step that was broken off may have left counts.
  UAQF_CUDA_RETURN(cudaMemsetAsync(s.attended, 0, static_cast<size_t>(s.attended_bytes), s.stream));
  UAQF_CUDA_RETURN(cudaMemsetAsync(s.gated, 0, static_cast<size_t>(s.gated_bytes), s.stream));
  UAQF_CUDA_RETURN(cudaMemsetAsync(s.attention, 0, static_cast<size_t>(s.attention_bytes), s.stream));
  UAQF_CUDA_RETURN(cudaMemsetAsync(s.tokens, 0, static_cast<size_t>(sequences) * 4, s.stream));
  UAQF_CUDA_RETURN(cudaMemsetAsync(s.positions, 0, static_cast<size_t>(sequences) * 4, s.stream));
  return s.graphs[sequences] == nullptr ? s.Capture() : Status{};
}

Status BatchGraph::SetTokens(const int32_t* tokens) {
  const State& s = *state_;
  for (int i = 0; i < s.sequences; ++i) {
    if (tokens[i] >= 0 && tokens[i] < s.config.vocab) continue;
    return MakeError(cudaErrorInvalidValue, "batch: got token %d, expected 0 to %d", tokens[i], s.config.vocab - 1);
  }
  return FromCuda(
      cudaMemcpyAsync(s.tokens, tokens, static_cast<size_t>(s.sequences) * 4, cudaMemcpyHostToDevice, s.stream),
      "tokens of a batch");
}

Status BatchGraph::Set(const int32_t* tokens, const int32_t* positions) {
  const State& s = *state_;
  for (int i = 0; i < s.sequences; ++i) {
    if (positions[i] >= 0 && positions[i] < s.config.capacity) continue;
    return MakeError(cudaErrorInvalidValue, "batch: got position %d, expected 0 to %d", positions[i],
                     s.config.capacity - 1);
  }
  UAQF_CUDA_CHECK(SetTokens(tokens));
  return FromCuda(
      cudaMemcpyAsync(s.positions, positions, static_cast<size_t>(s.sequences) * 4, cudaMemcpyHostToDevice, s.stream),
      "positions of a batch");
}

Status BatchGraph::Step() {
  const State& s = *state_;
  if (s.sequences == 0) return MakeError(cudaErrorInvalidValue, "batch: got a step, expected Prepare first");
  return FromCuda(cudaGraphLaunch(s.graphs[s.sequences], s.stream), "step of a batch");
}

Status BatchGraph::Read(int32_t* tokens) {
  const State& s = *state_;
  UAQF_CUDA_RETURN(
      cudaMemcpyAsync(tokens, s.tokens, static_cast<size_t>(s.sequences) * 4, cudaMemcpyDeviceToHost, s.stream));
  return FromCuda(cudaStreamSynchronize(s.stream), "step of a batch");
}

const float* BatchGraph::logits() const { return state_->logits; }
float* BatchGraph::mutable_logits() { return state_->logits; }
int64_t BatchGraph::workspace_bytes() const { return state_->bytes; }

}  // namespace uaqf::cuda
