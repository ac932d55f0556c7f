// Groups of tiles of the last round, where there are few: each is split along the columns among several clusters. Sums
// of all parts but the first go through memory to the cluster of the first, which adds them. All clusters of a product
// run at once, so a part never waits for one that has not begun. Integer sums only: where FP32 sums were added to,
// ptxas no longer let products follow each other without a wait (a fifth slower).
//
// Scratch: for each split tile a count of parts that have arrived, 0 between products; then the sums of parts.
#pragma once

#include "kernels/cuda/prefill/product_out.cuh"

namespace uaqf::cuda::prefill {

constexpr int kMostParts = 4;    // more take longer to add up than they save
constexpr int kLeastBlocks = 4;  // of 128 columns in a part
constexpr int kConsumers = kConsumerWarps * 32;
constexpr int kTileSums = 64 * kConsumers;
constexpr int64_t kCountBytes = 1024;

// Room for every block of the device to hand over a tile.
constexpr int64_t SplitBytes(int multiprocessors) { return kCountBytes + int64_t{multiprocessors} * kTileSums * 4; }
constexpr int kMostSplitTiles = kCountBytes / 4;

// How many of `clusters` a group of the last round gets; 0: none is split.
inline void PlanSplit(int clusters, ProductParams* p) {
  p->whole = p->groups;
  p->parts = 1;
  if (p->scratch == nullptr || clusters == 0) return;
  const int rest = p->groups % clusters;
  if (rest == 0 || rest * p->peers > kMostSplitTiles) return;
  int parts = clusters / rest;
  if (parts > kMostParts) parts = kMostParts;
  if (parts > p->weights.blocks / kLeastBlocks) parts = p->weights.blocks / kLeastBlocks;
  if (parts < 2) return;
  p->whole = p->groups - rest;
  p->parts = parts;
}

#if defined(UAQF_SM90)

// What a cluster does at a time: a group, or a part of one: its blocks of columns [first, end).
struct Task {
  int at;  // among all that clusters do
  int group, part, first, end;
  __device__ __forceinline__ explicit Task(const ProductParams& p) : at(blockIdx.x / p.peers) { Find(p); }
  __device__ __forceinline__ bool exists(const ProductParams& p) const { return group < p.groups; }
  __device__ __forceinline__ bool split(const ProductParams& p) const { return group >= p.whole; }
  __device__ __forceinline__ void Next(const ProductParams& p) {
    at += gridDim.x / p.peers;
    Find(p);
  }
  __device__ __forceinline__ void Find(const ProductParams& p) {
    const int over = at - p.whole;
    const int blocks = p.weights.blocks;
    group = over < 0 ? at : p.whole + over / p.parts;
    part = over < 0 ? 0 : over % p.parts;
    first = over < 0 ? 0 : blocks * part / p.parts;
    end = over < 0 ? blocks : blocks * (part + 1) / p.parts;
  }
};

__device__ __forceinline__ void SyncConsumers() { asm volatile("bar.sync 3, %0;" ::"n"(kConsumers) : "memory"); }

// Hands a part's sums over; or, for the first part, adds those of the others: then true.
__device__ __forceinline__ bool Join(const ProductParams& p, const Task& task, uint32_t rank, int32_t (&sums)[64]) {
  const int tile = (task.group - p.whole) * p.peers + static_cast<int>(rank);
  int* count = static_cast<int*>(p.scratch) + tile;
  auto* handed = reinterpret_cast<int4*>(static_cast<uint8_t*>(p.scratch) + kCountBytes) +
                 int64_t{tile} * (p.parts - 1) * (kTileSums / 4) + threadIdx.x;
  if (task.part > 0) {
    handed += int64_t{task.part - 1} * (kTileSums / 4);
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      __stcg(handed + i * kConsumers, int4{sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]});
    }
    __threadfence();
    SyncConsumers();
    if (threadIdx.x == 0) asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(count) : "memory");
    return false;
  }
  int arrived;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(arrived) : "l"(count) : "memory");
  } while (arrived < p.parts - 1);
  for (int part = 1; part < p.parts; ++part, handed += kTileSums / 4) {
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const int4 theirs = __ldcg(handed + i * kConsumers);
      sums[4 * i] += theirs.x;
      sums[4 * i + 1] += theirs.y;
      sums[4 * i + 2] += theirs.z;
      sums[4 * i + 3] += theirs.w;
    }
  }
  SyncConsumers();  // all have seen the count
  if (threadIdx.x == 0) *count = 0;
  return true;
}

#endif  // UAQF_SM90

}  // namespace uaqf::cuda::prefill
