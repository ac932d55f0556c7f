// out = weights x activations of a few sequences: every weight is read once, at the speed of memory.
//
// A warp multiplies a group of 32 or 64 rows (tiles of layout.h) by its own share of the columns, and brings weights
// and activations for them through a ring of its own in shared memory; nothing in the main loop waits for another warp.
// The warps of a block, and of a cluster of blocks where there are few rows, have the same rows and share the columns
// among them. Their sums meet in shared memory, in the stage of the ring that each has just emptied, while the copies
// of the next rows are under way. Weights do not wait for the kernel before.
//
// Products run on mma.sync m16n8: weights are A, 8 sequences a column of B.
#pragma once

#include "kernels/cuda/barrier.cuh"
#include "kernels/cuda/batch/product_sums.cuh"
#include "kernels/cuda/prefill/fragments.cuh"
#include "kernels/cuda/prefill/launch.cuh"

namespace uaqf::cuda::batch {

using prefill::LoadShared16;

__device__ __forceinline__ void Copy16(uint32_t target, const void* source) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(target), "l"(source) : "memory");
}
__device__ __forceinline__ void CommitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void WaitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four 8 x 8 matrices of halves: lane i gives where row i % 8 of matrix i / 8 lies.
__device__ __forceinline__ void LoadMatrices(uint32_t address, uint32_t* m) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void MultiplyTile(float (&d)[4], const uint32_t* a, const uint32_t* b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void MultiplyTile(int32_t (&d)[4], const uint32_t* a, const uint32_t* b) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Weights of a group's rows at one block of columns. Rows past the end are copies of the last: nobody stores them.
template <class K>
__device__ __forceinline__ void CopyWeights(const ProductParams& p, uint32_t target, int group, int block) {
  const int lane = threadIdx.x % 32;
  const TileMap& map = p.weights.spec.map;
  const int last_tile = map.tiles() - 1;
#pragma unroll
  for (int m = 0; m < K::kTiles; ++m) {
    const int tile = min(group * K::kTiles + m, last_tile);
    if constexpr (K::kPlain) {
      // A row's 8 pieces of 16 bytes; those of odd rows change places, so that reading a fragment meets all banks.
      int first, second;
      map.Halves(tile, &first, &second);
      const uint8_t* column = p.weights.data + int64_t{block} * kSlabBytes + lane % 8 * 16;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int slot = j * 4 + lane / 8;
        const int row = min((j < 2 ? first : second - 8) + slot, map.rows - 1);
        Copy16(target + (m * kTileRows + slot) * kSlabBytes + (lane % 8 ^ slot % 2 * 4) * 16,
               column + row * p.weights.row_bytes);
      }
    } else {
      const uint8_t* source = p.weights.data + (int64_t{tile} * p.weights.blocks + block) * K::kBlock;
#pragma unroll
      for (int piece = 0; piece < K::kBlock / 16; piece += 32) {
        if (piece + 32 <= K::kBlock / 16 || piece + lane < K::kBlock / 16) {
          Copy16(target + m * K::kBlock + (piece + lane) * 16, source + (piece + lane) * 16);
        }
      }
    }
  }
}

// The activations of a block of columns, which are one run.
template <class K>
__device__ __forceinline__ void CopyInput(const ProductParams& p, uint32_t target, int block) {
  const uint8_t* source = p.input + int64_t{block} * K::kInputBytes;
#pragma unroll
  for (int at = 0; at < K::kInputBytes; at += 512) {
    const int offset = at + static_cast<int>(threadIdx.x) % 32 * 16;
    Copy16(target + offset, source + offset);
  }
}

template <class K>
__device__ __forceinline__ void LoadWeights(uint32_t tile, int half, int lane, uint32_t (&a)[16]) {
  if constexpr (K::kPlain) {
    const int g = lane / 4;
#pragma unroll
    for (int pair = 0; pair < 2; ++pair) {
      const uint32_t at = tile + g * kSlabBytes + ((pair * 4 + lane % 4) ^ g % 2 * 4) * 16;
      const uint4 low = LoadShared16(at);
      const uint4 high = LoadShared16(at + 8 * kSlabBytes);
      const uint32_t words[8] = {low.x, high.x, low.y, high.y, low.z, high.z, low.w, high.w};
#pragma unroll
      for (int i = 0; i < 8; ++i) a[pair * 8 + i] = words[i];
    }
  } else {
    prefill::LoadFragments<K::kFormat, K::kGroup, K::kInt8, K::kZeros, false>(tile, half, lane, a);
  }
}

// Adds the products of a tile's fragments of 64 columns. Those of a group are summed apart, then scaled in FP32.
template <class K>
__device__ __forceinline__ void MultiplyHalf(uint32_t tile, int half, const uint32_t (&b)[K::kEights][8],
                                             typename K::Sum (&sums)[K::kEights][4]) {
  const int lane = threadIdx.x % 32;
  uint32_t a[16];
  LoadWeights<K>(tile, half, lane, a);
  if constexpr (K::kGroup == 0) {
#pragma unroll
    for (int i = 0; i < K::kSteps; ++i) {
#pragma unroll
      for (int n = 0; n < K::kEights; ++n) MultiplyTile(sums[n], a + 4 * i, b[n] + 2 * i);
    }
  } else {
    constexpr int kGroups = K::kGroup == 32 ? 2 : 1;  // of 64 columns
#pragma unroll
    for (int group = 0; group < kGroups; ++group) {
      const int in_block = (half * 64 + group * 32) / K::kGroup;
      const uint32_t pair = prefill::LoadShared4(tile + CodeBytes(K::kFormat) + in_block * 32 + lane / 4 * 4);
      const float2 scales = __half22float2(prefill::AsHalves(pair));
#pragma unroll
      for (int n = 0; n < K::kEights; ++n) {
        float part[4] = {};
#pragma unroll
        for (int i = 0; i < K::kSteps / kGroups; ++i) {
          const int step = group * (K::kSteps / kGroups) + i;
          MultiplyTile(part, a + 4 * step, b[n] + 2 * step);
        }
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[n][e] = fmaf(part[e], e < 2 ? scales.x : scales.y, sums[n][e]);
      }
    }
  }
}

template <class K>
__device__ __forceinline__ void MultiplyStage(uint32_t stage, typename K::Sum (&sums)[K::kTiles][K::kEights][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < K::kHalves; ++half) {
    uint32_t b[K::kEights][8];
#pragma unroll
    for (int n = 0; n < K::kEights; ++n) {
      const uint32_t row = stage + (K::kSlabs > 1 ? half * K::kSlab : 0) + (n * 8 + lane % 8) * kSlabBytes;
#pragma unroll
      for (int i = 0; i < K::kSteps / 2; ++i) {
        const int chunk = (K::kInt8 ? half : i) * 4 + lane / 8;
        LoadMatrices(row + (chunk ^ lane % 8) * 16, b[n] + 4 * i);
      }
    }
#pragma unroll
    for (int m = 0; m < K::kTiles; ++m) {
      MultiplyHalf<K>(stage + K::kInputBytes + m * K::kBlock, half, b, sums[m]);
    }
  }
}

template <class K>
__global__ void __launch_bounds__(K::kThreads, 1) ProductKernel(const __grid_constant__ ProductParams p) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) unsigned char memory[];
  const uint32_t shared = SharedAddress(memory);
  const int warp = threadIdx.x / 32;
  const uint32_t ring = shared + warp * K::kStages * K::kStageBytes;
  const int rank = blockIdx.x % p.peers;
  const int cluster = blockIdx.x / p.peers;
  const int clusters = gridDim.x / p.peers;
  const Share share(p, rank * K::kWarps + warp);
  const int turns = (p.groups - cluster - 1) / clusters + 1;
  const int total = turns * share.count;
  // What is brought next; the ring's stage of it is `fill`.
  int group = cluster;
  int block = 0;
  int fill = 0;
  const auto next = [&] {
    if (++block == share.count) {
      block = 0;
      group += clusters;
    }
    fill = fill + 1 == K::kStages ? 0 : fill + 1;
  };
#pragma unroll
  for (int i = 0; i < K::kStages - 1; ++i) {
    if (i < total) CopyWeights<K>(p, ring + i * K::kStageBytes + K::kInputBytes, group, share.first + block);
    next();
  }
  prefill::WaitForPrevious();
#pragma unroll
  for (int i = 0; i < K::kStages - 1; ++i) {
    if (i < total) CopyInput<K>(p, ring + i * K::kStageBytes, share.first + i % share.count);
    CommitCopies();
  }
  int left = total - (K::kStages - 1);
  int at = 0;
  for (int turn = 0; turn < turns; ++turn) {
    typename K::Sum sums[K::kTiles][K::kEights][4] = {};
    for (int i = 0; i < share.count; ++i) {
      WaitCopies<K::kStages - 2>();
      __syncwarp();  // the stage is there for all lanes, and all have left the one before
      if (left-- > 0) {
        const uint32_t target = ring + fill * K::kStageBytes;
        CopyWeights<K>(p, target + K::kInputBytes, group, share.first + block);
        CopyInput<K>(p, target, share.first + block);
        next();
      }
      CommitCopies();
      MultiplyStage<K>(ring + at * K::kStageBytes, sums);
      at = at + 1 == K::kStages ? 0 : at + 1;
    }
    Finish<K>(p, shared, rank, cluster + turn * clusters, turn, sums);
  }
#endif
}

// Blocks of a cluster: as many as leave fewer multiprocessors idle in the last turn, each warp with two blocks of
// columns or more. Not for few sequences: what a cluster tells its blocks waits for all copies under way.
template <class K>
int PeersOf(int groups, int blocks, int multiprocessors) {
  int best = 1;
  double most = 0;
  for (int peers = 1; peers <= kMostPeers && (peers == 1 || (!K::kFew && blocks >= 2 * peers * K::kWarps));
       peers *= 2) {
    const int work = groups * peers;
    const int turns = (work + multiprocessors - 1) / multiprocessors;
    const double busy = static_cast<double>(work) / turns / multiprocessors;
    if (busy < most + 0.03) continue;
    most = busy;
    best = peers;
  }
  return best;
}

template <Format kFormat, int kGroup, bool kInt8, bool kZeros, int kEights>
Status LaunchProduct(ProductParams p, cudaStream_t stream) {
  using K = Kind<kFormat, kGroup, kInt8, kZeros, kEights>;
  const auto kernel = ProductKernel<K>;
  p.blocks = K::kPlain ? static_cast<int>(p.weights.row_bytes / kSlabBytes) : p.weights.blocks;
  p.groups = (p.weights.spec.map.tiles() + K::kTiles - 1) / K::kTiles;
  int device = 0;
  int multiprocessors = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  p.peers = PeersOf<K>(p.groups, p.blocks, multiprocessors);
  for (int parts = p.peers * K::kWarps; parts > 1; parts /= 2) ++p.parts_log2;
  const auto peers = static_cast<unsigned>(p.peers);
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {peers, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = {peers, 1, 1};
  config.blockDim = {K::kThreads, 1, 1};
  config.dynamicSmemBytes = K::kShared;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = peers > 1 ? 2 : 1;
  UAQF_CUDA_RETURN(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, K::kShared));
  int clusters = multiprocessors;
  if (peers > 1) UAQF_CUDA_RETURN(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
  if (clusters < 1) return MakeError(cudaErrorInvalidConfiguration, "no room for a cluster of %d blocks", p.peers);
  config.gridDim.x = peers * static_cast<unsigned>(clusters < p.groups ? clusters : p.groups);
  UAQF_CUDA_RETURN(cudaLaunchKernelEx(&config, kernel, p));
  return {};
}

template <Format kFormat, int kGroup, bool kInt8, bool kZeros = false>
Status LaunchFor(const ProductParams& p, cudaStream_t stream) {
  switch (PaddedSequences(p.sequences)) {
    case 8:
      return LaunchProduct<kFormat, kGroup, kInt8, kZeros, 1>(p, stream);
    case 16:
      return LaunchProduct<kFormat, kGroup, kInt8, kZeros, 2>(p, stream);
    default:
      return LaunchProduct<kFormat, kGroup, kInt8, kZeros, 4>(p, stream);
  }
}

}  // namespace uaqf::cuda::batch
