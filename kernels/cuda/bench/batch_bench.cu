// Batched decode of synthetic models: tokens a second of all sequences together, beside one sequence's in the same run.
//   batch_bench [--model llama-2-7b] [--kind w4-g128,...] [--batch 1,2,4,8,16,32] [--from 512] [--tokens 512]
//     [--runs 2] [--parts 1: also times the kernels of a layer, one kind after the other]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/batch_graph.h"
#include "kernels/cuda/bench/synthetic_model.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/prefill/staged.h"

namespace {

using namespace uaqf::cuda;

struct Options {
  std::string models = "llama-2-7b";
  std::string kinds = "w4-g128";
  std::string batches = "1,2,4,8,16,32";
  int from = 512;
  int tokens = 512;
  int runs = 2;
  bool parts = false;
};

// Milliseconds of what `body` puts on the stream.
Status Time(cudaStream_t stream, const std::function<Status()>& body, float* ms) {
  cudaEvent_t start = nullptr;
  cudaEvent_t stop = nullptr;
  UAQF_CUDA_RETURN(cudaEventCreate(&start));
  UAQF_CUDA_RETURN(cudaEventCreate(&stop));
  UAQF_CUDA_RETURN(cudaEventRecord(start, stream));
  UAQF_CUDA_CHECK(body());
  UAQF_CUDA_RETURN(cudaEventRecord(stop, stream));
  UAQF_CUDA_RETURN(cudaEventSynchronize(stop));
  UAQF_CUDA_RETURN(cudaEventElapsedTime(ms, start, stop));
  UAQF_CUDA_RETURN(cudaEventDestroy(start));
  return FromCuda(cudaEventDestroy(stop), "timing");
}

// The best of the runs, and whether all chose the same tokens.
Status TimeOne(DecodeGraph& graph, const Options& o, cudaStream_t stream, float* best, bool* same) {
  int32_t first = -1;
  *same = true;
  for (int run = 0; run < o.runs; ++run) {
    UAQF_CUDA_CHECK(graph.Set(1, o.from));
    float ms = 0;
    const auto steps = [&]() -> Status {
      for (int i = 0; i < o.tokens; ++i) UAQF_CUDA_CHECK(graph.Step());
      return {};
    };
    UAQF_CUDA_CHECK(Time(stream, steps, &ms));
    int32_t token = 0;
    UAQF_CUDA_CHECK(graph.Read(&token));
    *best = run == 0 ? ms : std::min(*best, ms);
    *same = *same && (run == 0 || token == first);
    first = token;
  }
  return {};
}

Status TimeBatch(BatchGraph& graph, int sequences, const Options& o, cudaStream_t stream, float* best, bool* same) {
  std::vector<int32_t> first;
  *same = true;
  UAQF_CUDA_CHECK(graph.Prepare(sequences));
  std::vector<int32_t> tokens(static_cast<size_t>(sequences));
  const std::vector<int32_t> positions(tokens.size(), o.from);
  for (int run = 0; run < o.runs; ++run) {
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i) + 1;
    UAQF_CUDA_CHECK(graph.Set(tokens.data(), positions.data()));
    float ms = 0;
    const auto steps = [&]() -> Status {
      for (int i = 0; i < o.tokens; ++i) UAQF_CUDA_CHECK(graph.Step());
      return {};
    };
    UAQF_CUDA_CHECK(Time(stream, steps, &ms));
    UAQF_CUDA_CHECK(graph.Read(tokens.data()));
    *best = run == 0 ? ms : std::min(*best, ms);
    *same = *same && (run == 0 || tokens == first);
    first = tokens;
  }
  return {};
}

// A device buffer of zeros for as long as it lives.
class Zeros {
 public:
  explicit Zeros(int64_t bytes) {
    if (cudaMalloc(&data_, static_cast<size_t>(bytes)) != cudaSuccess) std::abort();
    cudaMemset(data_, 0, static_cast<size_t>(bytes));
  }
  Zeros(const Zeros&) = delete;
  Zeros& operator=(const Zeros&) = delete;
  ~Zeros() { cudaFree(data_); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

// Each kind of kernel for all layers in turn, so that weights and caches come from memory.
Status TimeParts(const SyntheticModel& synthetic, const WeightKind& kind, int sequences, const Options& o,
                 cudaStream_t stream) {
  const DecodeModel& m = synthetic.model();
  const DecodeConfig& c = m.config;
  const int widest = std::max(c.ff, c.hidden);
  const int padded = PaddedSequences(sequences);
  const Zeros input(int64_t{kMostSequences} * PaddedWidth(widest) * 2);
  const Zeros output(int64_t{kMostSequences} * std::max(c.vocab, 2 * widest) * 4);
  const Zeros positions(kMostSequences * 4);
  const Zeros query(int64_t{kMostSequences} * c.heads * c.head_dim * 2);
  const BatchAttentionShape shape = {c.heads, c.kv_heads, c.head_dim, c.capacity, c.window, c.attention_scale};
  const Zeros scratch(BatchAttentionBytes(shape, sequences));
  const std::vector<int32_t> at(static_cast<size_t>(sequences), o.from + o.tokens / 2);
  UAQF_CUDA_RETURN(cudaMemcpy(positions.as<int32_t>(), at.data(), at.size() * sizeof(int32_t), cudaMemcpyHostToDevice));
  const StagedRows in = {input.as<void>(), kind.int8_activations ? output.as<float>() : nullptr};
  const Fp16Rows staged = {output.as<__half>(), padded};
  const auto time = [&](const char* name, const std::function<Status(const DecodeLayer&)>& one) -> Status {
    float best = 1e9f;
    const auto all = [&]() -> Status {
      for (int i = 0; i < c.layers; ++i) UAQF_CUDA_CHECK(one(m.layers[i]));
      return {};
    };
    for (int run = 0; run < 5; ++run) {
      float ms = 0;
      UAQF_CUDA_CHECK(Time(stream, all, &ms));
      best = std::min(best, ms);
    }
    std::printf("  %s %.1f", name, 1e3 * best / c.layers);
    return {};
  };
  const auto product = [&](const char* name, const DeviceMatrix* DecodeLayer::*matrix, BatchTarget::Kind target) {
    return time(name, [&](const DecodeLayer& layer) {
      BatchTarget t;
      t.kind = target;
      t.sums = output.as<float>();
      t.gated = staged;
      t.rope = {c.heads, c.kv_heads, c.head_dim, c.capacity};
      t.positions = positions.as<int32_t>();
      t.cosine = m.rope_cos;
      t.sine = m.rope_sin;
      t.query = query.as<__half>();
      t.cache = {layer.keys, layer.values, synthetic.CacheValues()};
      return MultiplyBatch((layer.*matrix)->view(), in, sequences, t, stream);
    });
  };
  std::printf("  parts, us:");
  UAQF_CUDA_CHECK(time("norm", [&](const DecodeLayer& layer) {
    return NormFp16(output.as<float>(), layer.mlp_norm, sequences, c.hidden, 1e-5f, {input.as<__half>(), padded},
                    stream);
  }));
  UAQF_CUDA_CHECK(product("qkv", &DecodeLayer::qkv, BatchTarget::kHeads));
  UAQF_CUDA_CHECK(time("attention", [&](const DecodeLayer& layer) {
    return BatchAttention(shape, sequences, positions.as<int32_t>(), query.as<__half>(),
                          {layer.keys, layer.values, synthetic.CacheValues()}, staged, scratch.as<void>(), stream);
  }));
  UAQF_CUDA_CHECK(product("out", &DecodeLayer::out, BatchTarget::kAdd));
  UAQF_CUDA_CHECK(product("gate_up", &DecodeLayer::gate_up, BatchTarget::kGated));
  UAQF_CUDA_CHECK(product("down", &DecodeLayer::down, BatchTarget::kAdd));
  if (!kind.int8_activations) {
    UAQF_CUDA_CHECK(time("head", [&](const DecodeLayer&) {
      BatchTarget t;
      t.sums = output.as<float>();
      return MultiplyBatch(m.lm_head->view(), in, sequences, t, stream);
    }));
  }
  UAQF_CUDA_CHECK(time("choose", [&](const DecodeLayer&) {
    return ChooseTokens(output.as<float>(), sequences, c.vocab, query.as<int32_t>(), query.as<int32_t>() + 64, stream);
  }));
  std::printf("\n");
  return {};
}

Status BenchKind(const ModelShape& s, const WeightKind& kind, const Options& o, cudaStream_t stream) {
  const DecodeConfig c = ConfigOf(s, o.from + o.tokens);
  std::unique_ptr<SyntheticModel> synthetic;
  UAQF_CUDA_CHECK(SyntheticModel::Create(c, kind, 7, stream, &synthetic, kMostSequences));
  std::unique_ptr<DecodeGraph> one;
  std::unique_ptr<BatchGraph> batch;
  UAQF_CUDA_CHECK(DecodeGraph::Create(synthetic->model(), stream, &one));
  UAQF_CUDA_CHECK(BatchGraph::Create(synthetic->model(), {kMostSequences, synthetic->CacheValues()}, stream, &batch));
  float ms = 0;
  bool same = false;
  UAQF_CUDA_CHECK(TimeOne(*one, o, stream, &ms, &same));
  const double single = o.tokens / (ms * 1e-3);
  std::printf("%-12s %-10s batch  1 %9.1f tok/s %8.1f us a step%s\n", s.name, kind.name, single, 1e3 * ms / o.tokens,
              same ? "" : "  DIFFERENT BETWEEN RUNS");
  for (int n = 2; n <= kMostSequences; ++n) {
    if (!Listed(o.batches, std::to_string(n))) continue;
    UAQF_CUDA_CHECK(TimeBatch(*batch, n, o, stream, &ms, &same));
    const double rate = n * o.tokens / (ms * 1e-3);
    std::printf("%-12s %-10s batch %2d %9.1f tok/s %8.1f us a step, %.2f of batch 1%s\n", s.name, kind.name, n, rate,
                1e3 * ms / o.tokens, rate / single, same ? "" : "  DIFFERENT BETWEEN RUNS");
    if (o.parts) UAQF_CUDA_CHECK(TimeParts(*synthetic, kind, n, o, stream));
    std::fflush(stdout);
  }
  std::printf("workspace of the batch %.1f MB\n", static_cast<double>(batch->workspace_bytes()) * 1e-6);
  return {};
}

Status Bench(const Options& o) {
  cudaStream_t stream = nullptr;
  UAQF_CUDA_RETURN(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  for (const ModelShape& s : kModelShapes) {
    if (!Listed(o.models, s.name)) continue;
    for (const WeightKind& kind : kWeightKinds) {
      if (Listed(o.kinds, kind.name)) UAQF_CUDA_CHECK(BenchKind(s, kind, o, stream));
    }
  }
  return FromCuda(cudaStreamDestroy(stream), "stream");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--model") o.models = argv[i + 1];
    if (flag == "--kind") o.kinds = argv[i + 1];
    if (flag == "--batch") o.batches = argv[i + 1];
    if (flag == "--from") o.from = std::atoi(argv[i + 1]);
    if (flag == "--tokens") o.tokens = std::atoi(argv[i + 1]);
    if (flag == "--runs") o.runs = std::atoi(argv[i + 1]);
    if (flag == "--parts") o.parts = std::atoi(argv[i + 1]) != 0;
  }
  const Status status = Bench(o);
  if (!status.ok()) std::fprintf(stderr, "batch_bench: %s\n", status.message);
  return status.ok() ? 0 : 1;
}
