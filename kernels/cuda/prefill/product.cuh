// out = weights x activations, one persistent block a multiprocessor, in clusters of 2 blocks.
//
// A block makes 128 rows by 128 tokens at a time: two warpgroups of 64 rows, which are 4 tiles of layout.h, one a warp,
// and a warp that brings blocks of 128 columns through a ring in shared memory. Blocks of a cluster have neighbouring
// token tiles of the same rows, and each brings half of the weights to both: L2 could not feed the tensor cores
// otherwise. A weight's way is packed order -> shared memory -> A fragment in registers.
//
// With INT8 activations tiles of the last round, where they would leave most clusters idle, are split along the columns
// (product_split.cuh).
//
// Barriers order within the block only, also when another block is told: a release to the cluster would wait for all
// copies that the multiprocessor has in flight (a product then took twice as long).
#pragma once

#include <atomic>

#include "kernels/cuda/prefill/launch.cuh"
#include "kernels/cuda/prefill/product_out.cuh"
#include "kernels/cuda/prefill/product_split.cuh"

namespace uaqf::cuda::prefill {

// Weights of one format beside FP16 or INT8 activations.
template <Format kFormat, int kGroup, bool kInt8, bool kZeros>
struct Kind {
  using Sum = std::conditional_t<kInt8, int32_t, float>;
  static constexpr int kBlock = BlockBytes(kFormat, kGroup, kZeros);
  static constexpr int kSlabs = kInt8 ? 1 : 2;  // of a block of 128 columns
  static constexpr int kInputBytes = kSlabs * kTokenTile * kSlabBytes;
  static constexpr int kWeightBytes = kPackedTiles * kBlock;
  static constexpr int kStageBytes = kInputBytes + (kWeightBytes + 1023) / 1024 * 1024;
  static constexpr int kStages = (kMostShared - 1024 - 2 * kOutBytes - 2 * kScaleBytes - 256) / kStageBytes;
  static constexpr int kShared = 1024 + kStages * kStageBytes + 2 * kOutBytes + 2 * kScaleBytes + 2 * kStages * 8;
  // A half block of 64 columns is multiplied at a time.
  static constexpr int kSteps = kInt8 ? 2 : 4;
};

#if defined(UAQF_SM90)

struct Ring {
  uint32_t stages, full, empty;
  int stage = 0;
  uint32_t phase = 0;
  template <int kStages>
  __device__ __forceinline__ void Next() {
    if (++stage == kStages) {
      stage = 0;
      phase ^= 1;
    }
  }
};

// The warp that brings weights and activations. Tiles past the end are copies of the last: nobody stores them.
template <class K>
__device__ __forceinline__ void Produce(const ProductParams& p, Ring ring, uint32_t rank) {
  const int lane = threadIdx.x % 32;
  const int weight_copies = kPackedTiles / p.peers;
  const int part = static_cast<int>(rank) * weight_copies + lane;
  const int slab = lane - weight_copies;
  constexpr int kSlab = kTokenTile * kSlabBytes;
  const int64_t slab_bytes = int64_t{p.padded_tokens} * kSlabBytes;
  const int last_tile = p.weights.spec.map.tiles() - 1;
  const int last_tokens = p.padded_tokens / kTokenTile - 1;
  for (Task task(p); task.exists(p); task.Next(p)) {
    const Place at(p, rank, task.group);
    const int tile = min(at.row_tile * kPackedTiles + part, last_tile);
    const uint8_t* weights = p.weights.data + int64_t{tile} * p.weights.blocks * K::kBlock;
    const uint8_t* input = p.input + slab * slab_bytes + int64_t{min(at.token_tile, last_tokens)} * kSlab;
    for (int block = task.first; block < task.end; ++block) {
      const uint32_t full = ring.full + ring.stage * 8;
      const uint32_t base = ring.stages + ring.stage * K::kStageBytes;
      WaitBarrier(ring.empty + ring.stage * 8, ring.phase ^ 1);
      if (lane == 0) ExpectBytes(full, K::kInputBytes + K::kWeightBytes);
      __syncwarp();
      if (lane < weight_copies) {
        const uint32_t target = base + K::kInputBytes + part * K::kBlock;
        const uint8_t* source = weights + int64_t{block} * K::kBlock;
        if (p.peers == 1) {
          Copy(target, source, K::kBlock, full);
        } else {
          CopyToBoth(target, source, K::kBlock, full);
        }
      } else if (slab < K::kSlabs) {
        Copy(base + slab * kSlab, input + block * K::kSlabs * slab_bytes, kSlab, full);
      }
      ring.Next<K::kStages>();
    }
  }
}

// The sums of a warpgroup over the columns of `blocks` blocks.
template <Format kFormat, int kGroup, bool kInt8, bool kZeros, class Sum>
__device__ __forceinline__ void Accumulate(const ProductParams& p, int blocks, Ring& ring, Sum (&sums)[64]) {
  using K = Kind<kFormat, kGroup, kInt8, kZeros>;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  uint32_t a[2][16];
  uint32_t before = 0;
  const auto release = [&] {
    __syncwarp();
    if (lane < p.peers) ArriveAt(before, lane);
  };
  for (int block = 0; block < blocks; ++block) {
    const uint32_t base = ring.stages + ring.stage * K::kStageBytes;
    WaitBarrier(ring.full + ring.stage * 8, ring.phase);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      LoadFragments<kFormat, kGroup, kInt8, kZeros>(base + K::kInputBytes + warp * K::kBlock, half, lane, a[half]);
      FenceMatrices();
      const uint64_t input = MatrixDescriptor(base + (kInt8 ? half * 64 : half * kTokenTile * kSlabBytes));
#pragma unroll
      for (int i = 0; i < K::kSteps; ++i) {
        Multiply(sums, a[half] + 4 * i, input + 2 * i, block > 0 || half > 0 || i > 0 ? 1 : 0);
      }
      CommitMatrices();
      // The half before is done: its fragments can be overwritten, and its stage when it was a second half.
      WaitMatrices<1>();
      if (half == 0 && block > 0) release();
    }
    before = ring.empty + ring.stage * 8;
    ring.Next<K::kStages>();
  }
  WaitMatrices<0>();
  TakeSums(sums);
  release();
}

#endif  // UAQF_SM90

template <Format kFormat, int kGroup, bool kInt8, bool kZeros>
__global__ void __launch_bounds__(kProductThreads, 1) ProductKernel(const __grid_constant__ ProductParams p) {
#if defined(UAQF_SM90)
  using K = Kind<kFormat, kGroup, kInt8, kZeros>;
  extern __shared__ unsigned char shared[];
  Ring ring;
  ring.stages = (SharedAddress(shared) + 1023) / 1024 * 1024;
  const uint32_t buffers = ring.stages + K::kStages * K::kStageBytes;
  ring.full = buffers + 2 * kOutBytes + 2 * kScaleBytes;
  ring.empty = ring.full + K::kStages * 8;
  const uint32_t rank = ClusterRank();
  if (threadIdx.x == 0) {
    for (int i = 0; i < K::kStages; ++i) {
      BarrierInit(ring.full + i * 8, 1);
      BarrierInit(ring.empty + i * 8, p.peers * kConsumerWarps);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  SyncCluster();
  WaitForPrevious();
  if (threadIdx.x >= kConsumerWarps * 32) {
    Produce<K>(p, ring, rank);
    __syncwarp();
  } else {
    const int warpgroup = threadIdx.x / 128;
    auto* scales =
        reinterpret_cast<float*>(shared + (buffers - SharedAddress(shared)) + 2 * kOutBytes + warpgroup * kScaleBytes);
    for (Task task(p); task.exists(p); task.Next(p)) {
      const Place at(p, rank, task.group);
      if (kInt8) LoadTokenScales(p, at.token_tile * kTokenTile, warpgroup, scales);
      typename K::Sum sums[64];
      Accumulate<kFormat, kGroup, kInt8, kZeros>(p, task.end - task.first, ring, sums);
      if constexpr (kInt8) {
        if (task.split(p) && !Join(p, task, rank, sums)) continue;
      }
      constexpr float kFactor = kInt8 && kFormat == Format::kInt4 ? 0.0625f : 1.0f;
      const Results<kInt8, typename K::Sum> results(p, sums, scales,
                                                    at.row_tile * kPackedTiles + static_cast<int>(threadIdx.x) / 32,
                                                    at.token_tile * kTokenTile, kFactor);
      if (p.target.kind == ProductTarget::kAdd) {
        Add(p, at, results);
      } else if (p.target.kind == ProductTarget::kGated) {
        StoreRows<true>(p, at, buffers + warpgroup * kOutBytes, results);
      } else {
        StoreRows<false>(p, at, buffers + warpgroup * kOutBytes, results);
      }
    }
  }
  SyncCluster();  // nobody leaves while others may still reach into its shared memory
#endif
}

// Fills the clusters of the device that can run at once. The caller has checked the arguments.
template <Format kFormat, int kGroup, bool kInt8, bool kZeros = false>
Status LaunchProduct(ProductParams p, cudaStream_t stream) {
  using K = Kind<kFormat, kGroup, kInt8, kZeros>;
  const auto kernel = ProductKernel<kFormat, kGroup, kInt8, kZeros>;
  const int token_tiles = p.padded_tokens / kTokenTile;
  p.peers = token_tiles > 1 ? 2 : 1;
  p.token_groups = (token_tiles + p.peers - 1) / p.peers;
  const int row_tiles = (p.weights.spec.map.tiles() + kPackedTiles - 1) / kPackedTiles;
  p.groups = row_tiles * p.token_groups;
  const auto peers = static_cast<unsigned>(p.peers);
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {peers, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = {peers, 1, 1};
  config.blockDim = {kProductThreads, 1, 1};
  config.dynamicSmemBytes = K::kShared;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  // Asking takes longer than a launch: once for each device and cluster size. Threads that ask together agree.
  static std::atomic<int> known[kMostDevices][2];
  int device = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  if (device >= kMostDevices) return MakeError(cudaErrorInvalidDevice, "got device %d of %d", device, kMostDevices);
  int clusters = known[device][p.peers - 1];
  if (clusters == 0) {
    UAQF_CUDA_RETURN(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, K::kShared));
    UAQF_CUDA_RETURN(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
    if (clusters < 1) return MakeError(cudaErrorInvalidConfiguration, "no room for a cluster of %d blocks", p.peers);
    known[device][p.peers - 1] = clusters;
  }
  PlanSplit(kInt8 ? clusters : 0, &p);
  config.gridDim.x = peers * static_cast<unsigned>(clusters < p.groups * p.parts ? clusters : p.groups * p.parts);
  UAQF_CUDA_RETURN(cudaLaunchKernelEx(&config, kernel, p));
  return {};
}

}  // namespace uaqf::cuda::prefill
