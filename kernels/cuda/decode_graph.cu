#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <new>
#include <vector>

#include "kernels/cuda/decode/checks.h"
#include "kernels/cuda/decode/launchers.h"
#include "kernels/cuda/decode/params.h"
#include "kernels/cuda/decode/plan.h"
#include "kernels/cuda/decode_graph.h"
#include "kernels/cuda/tensor_map.h"

namespace uaqf::cuda {

namespace {

TokenLauncher Int4Kernel(int group, int kv_bits) {
  const bool plain = kv_bits == 16;
  switch (group) {
    case 0:
      return plain ? Int4RowToken() : Int4RowKvToken(kv_bits);
    case 32:
      return plain ? Int4G32Token() : Int4G32KvToken(kv_bits);
    case 64:
      return plain ? Int4G64Token() : Int4G64KvToken(kv_bits);
    default:
      return plain ? Int4G128Token() : Int4G128KvToken(kv_bits);
  }
}

Status ChooseAffine(const MatrixSpec& spec, const DecodeConfig& config, TokenLauncher* out) {
  const Rounding& rounding = config.rounding;
  const bool rounded = rounding.group > 0;
  const bool fits = !config.int8_activations && (config.kv_bits == 16 || (rounded && config.kv_bits == 4)) &&
                    (!rounded || (rounding.group == spec.group && rounding.group >= 64 && rounding.step > 0 &&
                                  (rounding.int8_inputs == 0 || rounding.int8_inputs == rounding.group)));
  if (!fits) {
    return MakeError(
        cudaErrorInvalidValue,
        "got zeros in groups of %d with inputs rounded in groups of %d, INT8 activations %d and a KV "
        "cache of %d bits: expected the same group, 64 or 128, FP16 activations, and 16 bits (or 4, rounded)",
        spec.group, rounding.group, config.int8_activations, config.kv_bits);
  }
  if (rounded) {
    *out = spec.group == 64 ? Int4RoundedG64Token(config.kv_bits) : Int4RoundedG128Token(config.kv_bits);
  } else {
    *out = spec.group == 32 ? Int4AffineG32Token() : spec.group == 64 ? Int4AffineG64Token() : Int4AffineG128Token();
  }
  return {};
}

Status ChooseKernel(const MatrixSpec& spec, const DecodeConfig& config, TokenLauncher* out) {
  const int bits = config.kv_bits;
  const bool plain = bits == 16;
  if (spec.zeros) return ChooseAffine(spec, config, out);
  if (config.rounding.group > 0) {
    return MakeError(cudaErrorInvalidValue, "got rounded inputs of matrices without zeros, expected zeros");
  }
  if (spec.format == Format::kFp16) {
    // Nothing to quantize against: FP16 weights take FP16 activations.
    *out = plain ? Fp16Token() : Fp16KvToken(bits);
  } else if (spec.format == Format::kInt8 && config.int8_activations) {
    *out = plain ? Int8Int8Token() : Int8Int8KvToken(bits);
  } else if (spec.format == Format::kInt8) {
    *out = plain ? Int8Token() : Int8KvToken(bits);
  } else if (config.int8_activations) {
    if (spec.group != 0) {
      return MakeError(cudaErrorInvalidValue, "got INT8 activations with INT4 groups of %d, expected row scales",
                       spec.group);
    }
    *out = plain ? Int4Int8Token() : Int4Int8KvToken(bits);
  } else {
    *out = Int4Kernel(spec.group, bits);
  }
  return {};
}

LayerTable TableOf(const DecodeLayer& l, int kv_bits) {
  LayerTable t;
  const DeviceMatrix* matrices[4] = {l.qkv, l.out, l.gate_up, l.down};
  const float* biases[4] = {l.qkv_bias, l.out_bias, l.gate_up_bias, l.down_bias};
  for (int i = 0; i < 4; ++i) {
    t.data[i] = matrices[i]->view().data;
    t.scales[i] = matrices[i]->view().row_scales;
    t.bias[i] = biases[i];
    t.place[i] = matrices[i]->view().place;
    t.input_scales[i] = l.input_scales[i];
  }
  t.norms[0] = l.attention_norm;
  t.norms[1] = l.mlp_norm;
  t.keys = kv_bits == 16 ? l.keys : reinterpret_cast<__half*>(l.quantized_keys);
  t.values = kv_bits == 16 ? l.values : reinterpret_cast<__half*>(l.quantized_values);
  return t;
}

__global__ void GatherKernel(const float* in, const int32_t* order, int count, float* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) out[i] = in[order[i]];
}

}  // namespace

struct DecodeGraph::Launch {
  TokenParams params{};
  TokenLauncher kernel;
  int shared_bytes = 0;
};

KvShape KvShapeOf(const DecodeConfig& c) { return {c.kv_bits, c.kv_heads, c.head_dim, c.capacity}; }

int64_t BytesPerToken(const DecodeModel& model, int64_t context) {
  const DecodeConfig& c = model.config;
  int64_t bytes = model.lm_head->bytes() + 2 * int64_t{c.hidden} + (2 * int64_t{c.layers} + 1) * c.hidden * 4;
  for (int i = 0; i < c.layers; ++i) {
    const DecodeLayer& l = model.layers[i];
    bytes += l.qkv->bytes() + l.out->bytes() + l.gate_up->bytes() + l.down->bytes();
  }
  const int64_t seen = c.window > 0 ? std::min<int64_t>(context, c.window) : context;
  return bytes + c.layers * KvPositionBytes(KvShapeOf(c)) * seen;
}

Status DecodeGraph::Create(const DecodeModel& model, cudaStream_t stream, std::unique_ptr<DecodeGraph>* out) {
  UAQF_CUDA_CHECK(CheckModel(model));
  std::unique_ptr<DecodeGraph> graph(new (std::nothrow) DecodeGraph);
  if (graph == nullptr) return MakeError(cudaErrorMemoryAllocation, "out of host memory");
  graph->launch_ = std::make_unique<Launch>();
  graph->stream_ = stream;
  Launch& launch = *graph->launch_;
  UAQF_CUDA_CHECK(ChooseKernel(model.layers[0].qkv->spec(), model.config, &launch.kernel));
  int device = 0;
  int multiprocessors = 0;
  int available = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&available, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  UAQF_CUDA_CHECK(PlanToken(model, launch.kernel, multiprocessors, available, &launch.params, &launch.shared_bytes));
  UAQF_CUDA_CHECK(graph->Allocate(model));
  UAQF_CUDA_CHECK(graph->Capture());
  *out = std::move(graph);
  return {};
}

template <typename T>
Status DecodeGraph::Reserve(T** pointer, int64_t count) {
  const size_t bytes = static_cast<size_t>(RoundUp(count * static_cast<int64_t>(sizeof(T)), 1024));
  void* memory = nullptr;
  UAQF_CUDA_RETURN(cudaMalloc(&memory, bytes));
  buffers_[buffer_count_++] = memory;
  workspace_bytes_ += static_cast<int64_t>(bytes);
  *pointer = static_cast<T*>(memory);
  UAQF_CUDA_RETURN(cudaMemsetAsync(memory, 0, bytes, stream_));
  return {};
}

Status DecodeGraph::Allocate(const DecodeModel& model) {
  TokenParams& p = launch_->params;
  std::vector<LayerTable> table;
  for (int i = 0; i < p.layers; ++i) table.push_back(TableOf(model.layers[i], model.config.kv_bits));
  UAQF_CUDA_CHECK(OrderNorms(model, table.data()));
  LayerTable* device_table = nullptr;
  UAQF_CUDA_CHECK(Reserve(&device_table, p.layers));
  UAQF_CUDA_RETURN(
      cudaMemcpyAsync(device_table, table.data(), table.size() * sizeof(LayerTable), cudaMemcpyHostToDevice, stream_));
  p.table = device_table;
  UAQF_CUDA_CHECK(AllocateRowMaps(model));
  // Vectors are read in whole blocks.
  const int64_t attention = RoundUp(int64_t{p.heads} * p.head_dim, 256);
  UAQF_CUDA_CHECK(Reserve(&p.embedded, RoundUp(p.hidden, 256)));
  UAQF_CUDA_CHECK(Reserve(&p.residual, RoundUp(p.hidden, 256)));
  UAQF_CUDA_CHECK(Reserve(&p.middle, RoundUp(p.hidden, 256)));
  UAQF_CUDA_CHECK(Reserve(&p.query, attention));
  UAQF_CUDA_CHECK(Reserve(&p.own, 2 * int64_t{p.kv_heads} * p.head_dim));
  UAQF_CUDA_CHECK(Reserve(&p.attended, attention));
  UAQF_CUDA_CHECK(Reserve(&p.gated, RoundUp(p.ff, 256)));
  UAQF_CUDA_CHECK(Reserve(&p.logits, p.vocab));
  UAQF_CUDA_CHECK(Reserve(&p.parts, int64_t{p.attend_blocks} * p.task_queries * (p.head_dim + 2)));
  UAQF_CUDA_CHECK(Reserve(&p.best, p.grid));
  UAQF_CUDA_CHECK(Reserve(&p.state, 1));
  UAQF_CUDA_CHECK(Reserve(&p.history, int64_t{p.capacity} + 1));
  if (model.config.trace) UAQF_CUDA_CHECK(Reserve(&p.trace, (int64_t{p.layers} * 5 + 1) * p.grid * 4));
  logits_ = p.logits;
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream_));
  return {};
}

Status DecodeGraph::OrderNorms(const DecodeModel& model, LayerTable* table) {
  int64_t count = 0;
  for (int i = 0; i < model.config.layers; ++i) {
    for (const DeviceMatrix* m : {model.layers[i].qkv, model.layers[i].gate_up}) {
      if (m->view().gather != nullptr) count += m->view().inputs;
    }
  }
  if (count == 0) return {};
  float* out = nullptr;
  UAQF_CUDA_CHECK(Reserve(&out, count));
  for (int i = 0; i < model.config.layers; ++i) {
    const DeviceMatrix* matrices[2] = {model.layers[i].qkv, model.layers[i].gate_up};
    for (int j = 0; j < 2; ++j) {
      const int32_t* order = matrices[j]->view().gather;
      if (order == nullptr) continue;
      const int columns = matrices[j]->view().inputs;
      GatherKernel<<<(columns + 255) / 256, 256, 0, stream_>>>(table[i].norms[j], order, columns, out);
      UAQF_CUDA_RETURN(cudaGetLastError());
      table[i].norms[j] = out;
      out += columns;
    }
  }
  return {};
}

Status DecodeGraph::AllocateRowMaps(const DecodeModel& model) {
  int major = 0;
  int device = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  if (major < 9) return {};
  const int layers = launch_->params.layers;
  std::vector<TensorMap> maps(static_cast<size_t>(layers) * 4 + 1);
  TensorMap* next = maps.data();
  for (int i = 0; i < layers; ++i) {
    const DecodeLayer& l = model.layers[i];
    for (const DeviceMatrix* m : {l.qkv, l.out, l.gate_up, l.down}) {
      if (m->spec().format == Format::kFp16) UAQF_CUDA_CHECK(MakeRowMap(m->view(), next));
      ++next;
    }
  }
  UAQF_CUDA_CHECK(MakeRowMap(model.lm_head->view(), next));
  TensorMap* device_maps = nullptr;
  UAQF_CUDA_CHECK(Reserve(&device_maps, static_cast<int64_t>(maps.size())));
  UAQF_CUDA_RETURN(
      cudaMemcpyAsync(device_maps, maps.data(), maps.size() * sizeof(TensorMap), cudaMemcpyHostToDevice, stream_));
  launch_->params.row_maps = device_maps->bytes;
  // The host's copy must outlive the transfer.
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream_));
  return {};
}

Status DecodeGraph::Capture() {
  Launch& l = *launch_;
  UAQF_CUDA_RETURN(cudaFuncSetAttribute(l.kernel.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, l.shared_bytes));
  // A stream of its own: the caller's may be the legacy one, which cannot be captured.
  cudaStream_t stream = nullptr;
  UAQF_CUDA_RETURN(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  cudaGraph_t graph = nullptr;
  cudaError_t code = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (code == cudaSuccess) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(l.params.grid);
    config.blockDim = dim3(kDecodeThreads);
    config.dynamicSmemBytes = l.shared_bytes;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
    void* arguments[] = {&l.params};
    const cudaError_t launched = cudaLaunchKernelExC(&config, l.kernel.kernel, arguments);
    code = cudaStreamEndCapture(stream, &graph);
    if (launched != cudaSuccess) code = launched;
  }
  if (code == cudaSuccess) code = cudaGraphInstantiate(&graph_, graph, 0);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
  UAQF_CUDA_CHECK(FromCuda(code, "capture of the decode step"));
  UAQF_CUDA_RETURN(cudaGraphUpload(graph_, stream_));
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream_));
  return {};
}

DecodeGraph::~DecodeGraph() {
  // Errors here would show again in the caller's next call.
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  for (int i = 0; i < buffer_count_; ++i) cudaFree(buffers_[i]);
}

Status DecodeGraph::Set(int32_t token, int32_t position) {
  const TokenParams& p = launch_->params;
  if (token < 0 || token >= p.vocab || position < 0 || position >= p.capacity) {
    return MakeError(cudaErrorInvalidValue, "got token %d at position %d, expected below %d and %d", token, position,
                     p.vocab, p.capacity);
  }
  const int32_t values[2] = {token, position};
  UAQF_CUDA_RETURN(cudaMemcpyAsync(&p.state->token, values, sizeof values, cudaMemcpyHostToDevice, stream_));
  UAQF_CUDA_RETURN(cudaMemcpyAsync(p.history + position, &token, sizeof token, cudaMemcpyHostToDevice, stream_));
  return {};
}

Status DecodeGraph::SetToken(int32_t token) {
  if (token < 0 || token >= launch_->params.vocab) {
    return MakeError(cudaErrorInvalidValue, "got token %d, expected 0 to %d", token, launch_->params.vocab - 1);
  }
  UAQF_CUDA_RETURN(
      cudaMemcpyAsync(&launch_->params.state->token, &token, sizeof token, cudaMemcpyHostToDevice, stream_));
  return {};
}

Status DecodeGraph::Step() {
  UAQF_CUDA_RETURN(cudaGraphLaunch(graph_, stream_));
  return {};
}

Status DecodeGraph::CheckRefused() {
  DecodeState state;
  UAQF_CUDA_RETURN(cudaMemcpyAsync(&state, launch_->params.state, sizeof state, cudaMemcpyDeviceToHost, stream_));
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream_));
  if (state.refused == 0) return {};
  UAQF_CUDA_RETURN(cudaMemsetAsync(&launch_->params.state->refused, 0, sizeof state.refused, stream_));
  return MakeError(cudaErrorInvalidValue, "got a step of token %d at position %d, expected a position below %d",
                   state.token, state.position, launch_->params.capacity);
}

Status DecodeGraph::Read(int32_t* next_token) {
  UAQF_CUDA_CHECK(CheckRefused());
  UAQF_CUDA_RETURN(
      cudaMemcpyAsync(next_token, &launch_->params.state->token, sizeof *next_token, cudaMemcpyDeviceToHost, stream_));
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream_));
  return {};
}

Status DecodeGraph::Tokens(int32_t begin, int32_t end, int32_t* tokens) {
  if (begin < 0 || end < begin || end > launch_->params.capacity + 1) {
    return MakeError(cudaErrorInvalidValue, "got positions %d to %d of %d", begin, end, launch_->params.capacity + 1);
  }
  UAQF_CUDA_CHECK(CheckRefused());
  UAQF_CUDA_RETURN(cudaMemcpyAsync(tokens, launch_->params.history + begin, sizeof(int32_t) * (end - begin),
                                   cudaMemcpyDeviceToHost, stream_));
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream_));
  return {};
}

Status DecodeGraph::PrintTrace(double ghz) {
  const TokenParams& p = launch_->params;
  if (p.trace == nullptr) return MakeError(cudaErrorInvalidValue, "got no trace, expected config.trace at Create");
  std::vector<long long> clocks((static_cast<size_t>(p.layers) * 5 + 1) * static_cast<size_t>(p.grid) * 4);
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream_));
  UAQF_CUDA_RETURN(cudaMemcpy(clocks.data(), p.trace, clocks.size() * sizeof(long long), cudaMemcpyDeviceToHost));
  const char* names[] = {"qkv", "attend", "out", "gate_up", "down", "head"};
  std::printf("%-8s %8s %8s %8s us, %d slots of %d\n", "op", "wait", "stage", "multiply", p.slots, p.slot_bytes);
  for (int op = 0; op < 6; ++op) {
    double sums[3] = {};
    int count = 0;
    for (int layer = op == 5 ? p.layers : 1; layer < (op == 5 ? p.layers + 1 : p.layers); ++layer) {
      for (int cta = 0; cta < p.grid; ++cta, ++count) {
        const long long* at =
            &clocks[((static_cast<size_t>(layer) * 5 + op % 5) * static_cast<size_t>(p.grid) + cta) * 4];
        for (int i = 0; i < 3; ++i) sums[i] += static_cast<double>(at[i + 1] - at[i]);
      }
    }
    for (double& sum : sums) sum /= count * ghz * 1e3;
    std::printf("%-8s %8.2f %8.2f %8.2f\n", names[op], sums[0], sums[1], sums[2]);
  }
  return {};
}

const float* DecodeGraph::query() const { return launch_->params.query; }
const float* DecodeGraph::own() const { return launch_->params.own; }
const float* DecodeGraph::attended() const { return launch_->params.attended; }
const float* DecodeGraph::gated() const { return launch_->params.gated; }
const float* DecodeGraph::residual() const { return launch_->params.residual; }

}  // namespace uaqf::cuda
