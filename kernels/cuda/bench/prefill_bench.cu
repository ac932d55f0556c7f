// Times the products of a prefill of Llama-2-7B's shape on random weights, and the kernels of its layers for W8A8.
//   prefill_bench [TOKENS [layers]]    layers: not the products of each format
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill_product.h"

namespace {

using namespace uaqf::cuda;

struct Kind {
  const char* name;
  Format format;
  int group;
  bool int8_activations;
  bool zeros = false;
};
constexpr Kind kKinds[] = {
    {"w8a8", Format::kInt8, 0, true},
    {"w8", Format::kInt8, 0, false},
    {"w4", Format::kInt4, 0, false},
    {"w4-g128", Format::kInt4, 128, false},
    {"w4-g64", Format::kInt4, 64, false},
    {"w4-g32", Format::kInt4, 32, false},
    {"w4a8", Format::kInt4, 0, true},
    {"w4-g128z", Format::kInt4, 128, false, true},
    {"w4-g64z", Format::kInt4, 64, false, true},
    {"w4-g32z", Format::kInt4, 32, false, true},
};

struct Shape {
  const char* name;
  TileMap map;
  int cols;
  ProductTarget::Kind target;
};
constexpr Shape kShapes[] = {
    {"qkv", {RowOrder::kRotary, 12288, 128, 8192}, 4096, ProductTarget::kRows},
    {"out", {RowOrder::kPlain, 4096, 0, 0}, 4096, ProductTarget::kAdd},
    {"gate_up", {RowOrder::kGated, 22016, 0, 0}, 4096, ProductTarget::kGated},
    {"down", {RowOrder::kPlain, 4096, 0, 0}, 11008, ProductTarget::kAdd},
};
// Enough copies of a matrix that none is still in L2 when its turn comes again.
constexpr int kCopies = 6;
constexpr int kRepeats = 60;
constexpr int kLayers = 32;

Status Time(const Kind& kind, const Shape& shape, int tokens, void* scratch, cudaStream_t stream, float* us) {
  std::vector<DeviceMatrix> copies(kCopies);
  for (int i = 0; i < kCopies; ++i) {
    const MatrixSpec spec = {kind.format, kind.group, shape.cols, shape.map, kind.zeros};
    UAQF_CUDA_CHECK(DeviceMatrix::Create(spec, stream, &copies[static_cast<size_t>(i)]));
    UAQF_CUDA_CHECK(copies[static_cast<size_t>(i)].FillRandom(static_cast<uint64_t>(i), stream));
  }
  // Activations are taken from a matrix of random values; any order is as good.
  const int bytes = kind.int8_activations ? 1 : 2;
  DeviceMatrix input;
  MatrixSpec spec;
  spec.cols = PaddedWidth(shape.cols);
  spec.format = bytes == 1 ? Format::kInt8 : Format::kFp16;
  spec.map.rows = PaddedTokens(tokens);
  UAQF_CUDA_CHECK(DeviceMatrix::Create(spec, stream, &input));
  UAQF_CUDA_CHECK(input.FillRandom(99, stream));
  __half* out = nullptr;
  float* scales = nullptr;
  UAQF_CUDA_RETURN(cudaMalloc(&out, static_cast<size_t>(tokens) * static_cast<size_t>(shape.map.rows) * 2));
  UAQF_CUDA_RETURN(cudaMalloc(&scales, static_cast<size_t>(tokens) * 4));
  UAQF_CUDA_RETURN(cudaMemsetAsync(scales, 0, static_cast<size_t>(tokens) * 4, stream));
  float* residual = nullptr;
  const size_t residual_bytes = static_cast<size_t>(tokens) * static_cast<size_t>(shape.map.rows) * 4;
  UAQF_CUDA_RETURN(cudaMalloc(&residual, residual_bytes));
  UAQF_CUDA_RETURN(cudaMemsetAsync(residual, 0, residual_bytes, stream));
  const ProductTarget target = {shape.target, out, residual, nullptr};
  const StagedRows in = {input.view().data, bytes == 1 ? scales : nullptr};
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  UAQF_CUDA_RETURN(cudaEventCreate(&begin));
  UAQF_CUDA_RETURN(cudaEventCreate(&end));
  for (int i = -kCopies; i < kRepeats; ++i) {
    if (i == 0) UAQF_CUDA_RETURN(cudaEventRecord(begin, stream));
    UAQF_CUDA_CHECK(MultiplyStaged(copies[static_cast<size_t>((i + kCopies) % kCopies)].view(), in, tokens, target,
                                   scratch, stream));
  }
  UAQF_CUDA_RETURN(cudaEventRecord(end, stream));
  UAQF_CUDA_RETURN(cudaEventSynchronize(end));
  float ms = 0;
  UAQF_CUDA_RETURN(cudaEventElapsedTime(&ms, begin, end));
  *us = ms * 1e3f / kRepeats;
  UAQF_CUDA_RETURN(cudaEventDestroy(begin));
  UAQF_CUDA_RETURN(cudaEventDestroy(end));
  UAQF_CUDA_RETURN(cudaFree(out));
  UAQF_CUDA_RETURN(cudaFree(scales));
  UAQF_CUDA_RETURN(cudaFree(residual));
  return {};
}

// One kernel of a layer; the argument says which copy of the weights.
struct Step {
  const char* name;
  std::function<Status(size_t)> run;
};

// Mean time of `steps` one after the other.
Status TimeSteps(const std::vector<Step>& steps, int repeats, cudaStream_t stream, float* us) {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  UAQF_CUDA_RETURN(cudaEventCreate(&begin));
  UAQF_CUDA_RETURN(cudaEventCreate(&end));
  for (int i = -kCopies; i < repeats; ++i) {
    if (i == 0) UAQF_CUDA_RETURN(cudaEventRecord(begin, stream));
    for (const Step& step : steps) UAQF_CUDA_CHECK(step.run(static_cast<size_t>(i + kCopies) % kCopies));
  }
  UAQF_CUDA_RETURN(cudaEventRecord(end, stream));
  UAQF_CUDA_RETURN(cudaEventSynchronize(end));
  float ms = 0;
  UAQF_CUDA_RETURN(cudaEventElapsedTime(&ms, begin, end));
  *us = ms * 1e3f / static_cast<float>(repeats);
  UAQF_CUDA_RETURN(cudaEventDestroy(begin));
  return FromCuda(cudaEventDestroy(end), "prefill_bench");
}

// The kernels of a layer of W8A8 as the engine calls them, each by itself and all in their order. Buffers start as
// 0x3f bytes, 0.75 in FP32: zeros would take the slow path of a division.
Status BenchLayer(int tokens, void* scratch, cudaStream_t stream) {
  constexpr int kHidden = 4096;
  constexpr int kFf = 11008;
  std::vector<DeviceMatrix> matrices(4 * kCopies);
  for (size_t i = 0; i < matrices.size(); ++i) {
    const MatrixSpec spec = {Format::kInt8, 0, kShapes[i % 4].cols, kShapes[i % 4].map};
    UAQF_CUDA_CHECK(DeviceMatrix::Create(spec, stream, &matrices[i]));
    UAQF_CUDA_CHECK(matrices[i].FillRandom(i, stream));
  }
  const size_t t = static_cast<size_t>(PaddedTokens(tokens));
  uint8_t* memory = nullptr;  // never freed: the program ends soon
  size_t used = 0;
  const size_t total = t * (kHidden * (4 + 2) + kFf * 2 * 2 + kFf + kHidden * 4 + 4) + 3 * t * 128 * 4 + (1 << 20);
  UAQF_CUDA_RETURN(cudaMalloc(&memory, total));
  UAQF_CUDA_RETURN(cudaMemsetAsync(memory, 0x3f, total, stream));
  const auto take = [&](size_t bytes) {
    return memory + (used += (bytes + 255) / 256 * 256) - (bytes + 255) / 256 * 256;
  };
  auto* residual = reinterpret_cast<float*>(take(t * kHidden * 4));
  auto* attended = reinterpret_cast<__half*>(take(t * kHidden * 2));
  auto* wide = reinterpret_cast<__half*>(take(t * kFf * 2 * 2));
  auto* codes = reinterpret_cast<int8_t*>(take(t * kFf));
  auto* keys = reinterpret_cast<__half*>(take(t * kHidden * 2));
  auto* values = reinterpret_cast<__half*>(take(t * kHidden * 2));
  auto* scales = reinterpret_cast<float*>(take(t * 4));
  auto* angles = reinterpret_cast<float*>(take(t * 64 * 4));
  auto* weight = reinterpret_cast<float*>(take(kHidden * 4));
  const Int8Rows int8 = {codes, scales, PaddedTokens(tokens)};
  const PrefillAttentionShape attention = {32, 32, 128, tokens, 0, 1.0f / std::sqrt(128.0f)};
  const auto product = [&](size_t which) {
    return Step{
        kShapes[which].name, [&, which](size_t copy) {
          const ProductTarget target = {kShapes[which].target, wide, residual, nullptr};
          return MultiplyStaged(matrices[copy * 4 + which].view(), {codes, scales}, tokens, target, scratch, stream);
        }};
  };
  const Step norm = {"norm", [&](size_t) { return NormInt8(residual, weight, tokens, kHidden, 1e-5f, int8, stream); }};
  const std::vector<Step> steps = {
      norm,
      product(0),
      {"rope",
       [&](size_t) {
         return RopeAndCache({32, 32, 128, tokens}, 0, tokens, angles, angles, nullptr, wide, keys, values, stream);
       }},
      {"attention",
       [&](size_t) {
         return PrefillAttention(attention, 0, tokens, wide, 3 * kHidden, keys, values, attended, stream);
       }},
      {"quantize 4096", [&](size_t) { return QuantizeRows(attended, tokens, kHidden, int8, stream); }},
      product(1),
      norm,
      product(2),
      {"quantize 11008", [&](size_t) { return QuantizeRows(wide, tokens, kFf, int8, stream); }},
      product(3),
  };
  float us = 0;
  for (const Step& step : steps) {
    UAQF_CUDA_CHECK(TimeSteps({step}, kRepeats, stream, &us));
    std::printf("%s %.1f us  ", step.name, us);
  }
  UAQF_CUDA_CHECK(TimeSteps(steps, kLayers * 5, stream, &us));
  std::printf("\nw8a8 %d tokens: a layer %.1f us, all layers %.2f ms\n", tokens, us, us * kLayers * 1e-3);
  return {};
}

Status Bench(int tokens, bool products) {
  cudaStream_t stream = nullptr;
  UAQF_CUDA_RETURN(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  void* scratch = nullptr;
  int64_t scratch_bytes = 0;
  UAQF_CUDA_CHECK(ProductScratchBytes(&scratch_bytes));
  UAQF_CUDA_RETURN(cudaMalloc(&scratch, static_cast<size_t>(scratch_bytes)));
  UAQF_CUDA_RETURN(cudaMemsetAsync(scratch, 0, static_cast<size_t>(scratch_bytes), stream));
  UAQF_CUDA_CHECK(BenchLayer(tokens, scratch, stream));
  for (const Kind& kind : kKinds) {
    if (!products) break;
    float layer = 0;
    double work = 0;
    std::printf("%-8s %d tokens:", kind.name, tokens);
    for (const Shape& shape : kShapes) {
      float us = 0;
      UAQF_CUDA_CHECK(Time(kind, shape, tokens, scratch, stream, &us));
      const double operations = 2.0 * shape.map.rows * shape.cols * tokens;
      std::printf("  %s %.1f us (%.0f T/s)", shape.name, us, operations / us * 1e-6);
      layer += us;
      work += operations;
    }
    std::printf("  all layers %.2f ms (%.0f T/s)\n", layer * kLayers * 1e-3, work / layer * 1e-6);
    std::fflush(stdout);
  }
  UAQF_CUDA_RETURN(cudaFree(scratch));
  UAQF_CUDA_RETURN(cudaStreamDestroy(stream));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const bool layers_only = argc > 2 && std::strcmp(argv[2], "layers") == 0;
  const Status status = Bench(argc > 1 ? std::atoi(argv[1]) : 512, !layers_only);
  if (!status.ok()) std::fprintf(stderr, "prefill_bench: %s\n", status.message);
  return status.ok() ? 0 : 1;
}
