// Decode speed of synthetic models against the read bandwidth of the card, measured in the same run.
//   decode_bench [--model llama-2-7b,...] [--kind w4-g128,...] [--from 512] [--tokens 512] [--runs 2]
//     [--kv 16|8|4: bits of the KV cache]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernels/cuda/bandwidth.h"
#include "kernels/cuda/bench/synthetic_model.h"

namespace {

using namespace uaqf::cuda;

struct Options {
  std::string models = "llama-2-7b";
  std::string kinds = "fp16,w8-channel,w4-g128";
  int from = 512;
  int tokens = 512;
  int runs = 2;
  int slots = 0;
  int kv_bits = 16;
  bool trace = false;
};

// Milliseconds of `tokens` steps from position `from`, and a hash of the tokens chosen.
Status Generate(DecodeGraph& graph, const Options& o, cudaStream_t stream, float* ms, uint32_t* hash) {
  cudaEvent_t start = nullptr;
  cudaEvent_t stop = nullptr;
  UAQF_CUDA_RETURN(cudaEventCreate(&start));
  UAQF_CUDA_RETURN(cudaEventCreate(&stop));
  UAQF_CUDA_CHECK(graph.Set(1, o.from));
  UAQF_CUDA_RETURN(cudaEventRecord(start, stream));
  for (int i = 0; i < o.tokens; ++i) UAQF_CUDA_CHECK(graph.Step());
  UAQF_CUDA_RETURN(cudaEventRecord(stop, stream));
  UAQF_CUDA_RETURN(cudaEventSynchronize(stop));
  UAQF_CUDA_RETURN(cudaEventElapsedTime(ms, start, stop));
  std::string tokens(static_cast<size_t>(o.tokens + 1) * 4, '\0');
  UAQF_CUDA_CHECK(graph.Tokens(o.from, o.from + o.tokens + 1, reinterpret_cast<int32_t*>(tokens.data())));
  *hash = 2166136261u;
  for (const char c : tokens) *hash = (*hash ^ static_cast<unsigned char>(c)) * 16777619u;
  UAQF_CUDA_RETURN(cudaEventDestroy(start));
  UAQF_CUDA_RETURN(cudaEventDestroy(stop));
  return {};
}

Status BenchKind(const ModelShape& s, const WeightKind& kind, const Options& o, double limit, cudaStream_t stream) {
  DecodeConfig c = ConfigOf(s, o.from + o.tokens);
  c.max_slots = o.slots;
  c.kv_bits = o.kv_bits;
  c.trace = o.trace;
  std::unique_ptr<SyntheticModel> synthetic;
  UAQF_CUDA_CHECK(SyntheticModel::Create(c, kind, 7, stream, &synthetic));
  std::unique_ptr<DecodeGraph> graph;
  UAQF_CUDA_CHECK(DecodeGraph::Create(synthetic->model(), stream, &graph));
  float best = 0;
  uint32_t first_hash = 0;
  bool same = true;
  for (int run = 0; run < o.runs; ++run) {
    float ms = 0;
    uint32_t hash = 0;
    UAQF_CUDA_CHECK(Generate(*graph, o, stream, &ms, &hash));
    best = run == 0 ? ms : std::min(best, ms);
    if (run == 0) first_hash = hash;
    same = same && hash == first_hash;
  }
  const double bytes = static_cast<double>(BytesPerToken(synthetic->model(), o.from + o.tokens / 2));
  const double rate = o.tokens / (best * 1e-3);
  std::printf(
      "%-12s %-10s kv %-2d %8.1f tok/s %7.1f us %6.2f GB %7.0f GB/s ratio %.3f  workspace %.1f MB tokens %08x%s\n",
      s.name, kind.name, o.kv_bits, rate, 1e6 / rate, bytes * 1e-9, rate * bytes * 1e-9, rate * bytes * 1e-9 / limit,
      graph->workspace_bytes() * 1e-6, first_hash, same ? "" : " DIFFERENT BETWEEN RUNS");
  if (o.trace) UAQF_CUDA_CHECK(graph->PrintTrace(1.98));
  std::fflush(stdout);
  return {};
}

Status Bench(const Options& o) {
  cudaStream_t stream = nullptr;
  UAQF_CUDA_RETURN(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  ReadBandwidth limit;
  UAQF_CUDA_CHECK(MeasureReadBandwidth(8'000'000'000, 4, stream, &limit));
  std::printf("read %.0f GB/s (%d blocks of %d; slowest grid %.0f)\n", limit.gbps, limit.blocks, limit.threads,
              limit.worst_gbps);
  for (const ModelShape& s : kModelShapes) {
    if (!Listed(o.models, s.name)) continue;
    for (const WeightKind& kind : kWeightKinds) {
      if (!Listed(o.kinds, kind.name)) continue;
      UAQF_CUDA_CHECK(BenchKind(s, kind, o, limit.gbps, stream));
    }
  }
  UAQF_CUDA_RETURN(cudaStreamDestroy(stream));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--model") o.models = argv[i + 1];
    if (flag == "--kind") o.kinds = argv[i + 1];
    if (flag == "--from") o.from = std::atoi(argv[i + 1]);
    if (flag == "--tokens") o.tokens = std::atoi(argv[i + 1]);
    if (flag == "--kv") o.kv_bits = std::atoi(argv[i + 1]);
    if (flag == "--slots") o.slots = std::atoi(argv[i + 1]);
    if (flag == "--trace") o.trace = std::atoi(argv[i + 1]) != 0;
    if (flag == "--runs") o.runs = std::atoi(argv[i + 1]);
  }
  const Status status = Bench(o);
  if (!status.ok()) std::fprintf(stderr, "decode_bench: %s\n", status.message);
  return status.ok() ? 0 : 1;
}
