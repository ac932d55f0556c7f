// Times the products of a prefill of Llama-2-7B's shape on random weights.
//   prefill_bench [TOKENS]
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/cuda/prefill_product.h"

namespace {

using namespace uaqf::cuda;

struct Kind {
  const char* name;
  Format format;
  int group;
  bool int8_activations;
};
constexpr Kind kKinds[] = {
    {"w8a8", Format::kInt8, 0, true},       {"w8", Format::kInt8, 0, false},      {"w4", Format::kInt4, 0, false},
    {"w4-g128", Format::kInt4, 128, false}, {"w4-g64", Format::kInt4, 64, false}, {"w4-g32", Format::kInt4, 32, false},
    {"w4a8", Format::kInt4, 0, true},
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

Status Time(const Kind& kind, const Shape& shape, int tokens, cudaStream_t stream, float* us) {
  std::vector<DeviceMatrix> copies(kCopies);
  for (int i = 0; i < kCopies; ++i) {
    const MatrixSpec spec = {kind.format, kind.group, shape.cols, shape.map};
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
    UAQF_CUDA_CHECK(
        MultiplyStaged(copies[static_cast<size_t>((i + kCopies) % kCopies)].view(), in, tokens, target, stream));
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

Status Bench(int tokens) {
  cudaStream_t stream = nullptr;
  UAQF_CUDA_RETURN(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  for (const Kind& kind : kKinds) {
    float layer = 0;
    double work = 0;
    std::printf("%-8s %d tokens:", kind.name, tokens);
    for (const Shape& shape : kShapes) {
      float us = 0;
      UAQF_CUDA_CHECK(Time(kind, shape, tokens, stream, &us));
      const double operations = 2.0 * shape.map.rows * shape.cols * tokens;
      std::printf("  %s %.1f us (%.0f T/s)", shape.name, us, operations / us * 1e-6);
      layer += us;
      work += operations;
    }
    std::printf("  all layers %.2f ms (%.0f T/s)\n", layer * kLayers * 1e-3, work / layer * 1e-6);
    std::fflush(stdout);
  }
  UAQF_CUDA_RETURN(cudaStreamDestroy(stream));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const Status status = Bench(argc > 1 ? std::atoi(argv[1]) : 512);
  if (!status.ok()) std::fprintf(stderr, "prefill_bench: %s\n", status.message);
  return status.ok() ? 0 : 1;
}
