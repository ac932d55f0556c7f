// How the sums of the warps that share rows (product.cuh) become results.
#pragma once

#include "kernels/cuda/batch/product_kind.cuh"
#include "kernels/cuda/batch/put.cuh"
#include "kernels/cuda/prefill/fragments.cuh"

namespace uaqf::cuda::batch {

// All threads of all blocks that share a group.
__device__ __forceinline__ void SyncPeers(int peers) {
#if __CUDA_ARCH__ >= 900
  if (peers > 1) {
    asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
    return;
  }
#endif
  __syncthreads();
}

// Of block `rank` of the cluster, at the same address there.
template <class Sum>
__device__ __forceinline__ Sum LoadOf(int peers, int rank, uint32_t address) {
  uint32_t bits;
#if __CUDA_ARCH__ >= 900
  if (peers > 1) {
    asm volatile("{ .reg .b32 a; mapa.shared::cluster.u32 a, %1, %2; ld.shared::cluster.u32 %0, [a]; }"
                 : "=r"(bits)
                 : "r"(address), "r"(rank)
                 : "memory");
    return *reinterpret_cast<const Sum*>(&bits);
  }
#endif
  bits = prefill::LoadShared4(address);
  return *reinterpret_cast<const Sum*>(&bits);
}

// A warp's share of the columns: blocks [first, first + count).
struct Share {
  int first, count;
  __device__ __forceinline__ Share(const ProductParams& p, int part)
      : first(p.blocks * part >> p.parts_log2), count((p.blocks * (part + 1) >> p.parts_log2) - first) {}
};

// The stage that holds a warp's sums of its group number `turn`: the one that it has multiplied last.
template <class K>
__device__ __forceinline__ uint32_t StageOfSums(uint32_t ring, int count, int turn) {
  const int last = count == 0 ? 0 : ((turn + 1) * count - 1) % K::kStages;
  return ring + last * K::kStageBytes;
}

// Where result `i` of a group goes; one that nobody wants is an existing one's, of no sequence.
template <class K>
__device__ __forceinline__ Place PlaceOf(const ProductParams& p, int group, int i) {
  const int within = i / 2;
  const int lane = within % 32;
  const int tile = group * K::kTiles + within / 32 / K::kEights;
  const int sequence = within / 32 % K::kEights * 8 + lane % 4 * 2 + i % 2;
  const int last = p.weights.spec.map.tiles() - 1;
  const bool wanted = i < K::kResults && tile <= last && sequence < p.sequences;
  constexpr float kFactor = K::kInt8 && K::kFormat == Format::kInt4 ? 0.0625f : 1.0f;
  const int known = wanted ? sequence : 0;
  Place place(p.weights, p.target, min(tile, last), lane / 4, known, K::kInt8 ? p.scales[known] * kFactor : 1.0f);
  if (!wanted) place.sequence = kMostSequences;
  return place;
}

// Adds the sums of all warps that share a group, and puts the results of this block's part of them.
template <class K>
__device__ __forceinline__ void Finish(const ProductParams& p, uint32_t shared, int rank, int group, int turn,
                                       const typename K::Sum (&sums)[K::kTiles][K::kEights][4]) {
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  constexpr int kRing = K::kStages * K::kStageBytes;
  const Share own(p, rank * K::kWarps + warp);
  const uint32_t stage = StageOfSums<K>(shared + warp * kRing, own.count, turn);
  __syncwarp();  // all lanes have read it
#pragma unroll
  for (int m = 0; m < K::kTiles; ++m) {
#pragma unroll
    for (int n = 0; n < K::kEights; ++n) {
      const auto* v = reinterpret_cast<const uint32_t*>(sums[m][n]);
      asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(stage + ((m * K::kEights + n) * 32 + lane) * 16),
                   "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3])
                   : "memory");
    }
  }
  const int step = p.peers * K::kThreads;
  int i = threadIdx.x * p.peers + rank;
  Place place = PlaceOf<K>(p, group, i);
  SyncPeers(p.peers);
  while (i < K::kResults) {
    const uint32_t offset = i / 2 * 16 + i % 2 * 4;
    typename K::Sum first = 0;
    typename K::Sum second = 0;
#pragma unroll 8
    for (int part = 0; part < 1 << p.parts_log2; ++part) {
      const Share share(p, part);
      const uint32_t at = StageOfSums<K>(shared + part % K::kWarps * kRing, share.count, turn) + offset;
      first += LoadOf<typename K::Sum>(p.peers, part / K::kWarps, at);
      second += LoadOf<typename K::Sum>(p.peers, part / K::kWarps, at + 8);
    }
    if (place.sequence < p.sequences) {
      PutPair(p.target, p.weights.spec.map, place, static_cast<float>(first), static_cast<float>(second));
    }
    i += step;
    if (i < K::kResults) place = PlaceOf<K>(p, group, i);
  }
  __syncwarp();
  SyncPeers(p.peers);  // the stages may be written again, and nobody leaves while others read
}

}  // namespace uaqf::cuda::batch
