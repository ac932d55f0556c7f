// Flash attention by products of warpgroups (sm_90), for heads of up to 128 dimensions. Queries, keys and values lie in
// shared memory as slabs of 64 dimensions, [row][128 bytes] swizzled by 128 bytes, where the copy engine brings them. A
// team has one tile of keys and one of values; each is fetched anew as soon as it has been read, so that it comes while
// the other is at work, and two blocks share a multiprocessor.
#include "kernels/cuda/prefill/attention.cuh"
#include "kernels/cuda/prefill/ptx.cuh"
#include "kernels/cuda/tensor_map.h"

namespace uaqf::cuda::prefill {

namespace {

constexpr int kPositions = 64;  // of a tile; as many as queries
constexpr int kSlabDims = 64;
constexpr int kSlab = kPositions * kSlabDims * 2;

template <int kDims>
constexpr int kTileBytes = kDims / kSlabDims* kSlab;
// Queries, and keys and values of each team; then the barriers.
template <int kDims>
constexpr int kSharedBytes = 1024 + 5 * kTileBytes<kDims> + 5 * 8;

struct GroupLaunch {
  TensorMap query;  // [token][head][dim]
  TensorMap keys;   // [kv_head][position][dim]
  TensorMap values;
  AttentionLaunch l;
};

#if defined(UAQF_SM90)

// A tile in shared memory and what tells that it has come. One thread fetches.
template <int kDims>
struct Tile {
  uint32_t data;
  uint32_t barrier;
  __device__ __forceinline__ Tile(uint32_t base, int index)
      : data(base + index * kTileBytes<kDims>), barrier(base + 5 * kTileBytes<kDims> + index * 8) {}
  __device__ __forceinline__ void Fetch(const TensorMap& map, int y, int z) const {
    ExpectBytes(barrier, kTileBytes<kDims>);
#pragma unroll
    for (int i = 0; i < kDims / kSlabDims; ++i) CopyBox(data + i * kSlab, &map, i * kSlabDims, y, z, barrier);
  }
};

__device__ __forceinline__ void SyncTeam(int team) {
  asm volatile("bar.sync %0, %1;" ::"r"(team + 1), "n"(kTeam) : "memory");
}

template <int kDims>
__device__ __forceinline__ void Scores(uint32_t queries, uint32_t keys, float (&scores)[kPositions / 2]) {
  FenceMatrices();
#pragma unroll
  for (int k = 0; k < kDims / 16; ++k) {
    const uint32_t slab = k / 4 * kSlab;
    MultiplyShared(scores, MatrixDescriptor(queries + slab) + k % 4 * 2, MatrixDescriptor(keys + slab) + k % 4 * 2,
                   k > 0 ? 1 : 0);
  }
  CommitMatrices();
  WaitMatrices<0>();
  TakeSums(scores);
}

template <int kDims>
__device__ __forceinline__ void AddValues(Running<kDims>& w, uint32_t values, const float (&weights)[kPositions / 2]) {
  uint32_t a[kPositions / 4];
#pragma unroll
  for (int i = 0; i < kPositions / 4; ++i) a[i] = Pack(weights[i * 2], weights[i * 2 + 1]);
  FenceMatrices();
#pragma unroll
  for (int k = 0; k < kPositions / 16; ++k) {
    MultiplyAcross(w.out, a + 4 * k, MatrixDescriptor(values + k * 16 * 128, kSlab), 1);
  }
  CommitMatrices();
  WaitMatrices<0>();
  TakeSums(w.out);
}

// A team's tiles: every other one.
template <int kDims>
__device__ __forceinline__ void Attend(const GroupLaunch& g, const Work& work, uint32_t base, int team,
                                       Running<kDims>& w) {
  const AttentionLaunch& l = g.l;
  const int thread = threadIdx.x % kTeam;
  const int kv_head = work.head / (l.s.heads / l.s.kv_heads);
  const Tile<kDims> queries(base, 0);
  const Tile<kDims> keys(base, 1 + team * 2);
  const Tile<kDims> values(base, 2 + team * 2);
  const int position = l.first + work.row;
  const int row = position + thread / 32 * 16 + thread % 32 / 4;
  int from = work.begin + team * kPositions;
  if (thread == 0 && from < work.end) {
    if (team == 0) queries.Fetch(g.query, work.head, work.row);
    keys.Fetch(g.keys, from, kv_head);
    values.Fetch(g.values, from, kv_head);
  }
  BarrierWait(queries.barrier, 0);
  for (uint32_t phase = 0; from < work.end; phase ^= 1) {
    const int next = from + 2 * kPositions;
    float scores[kPositions / 2];
    BarrierWait(keys.barrier, phase);
    Scores<kDims>(queries.data, keys.data, scores);
    SyncTeam(team);
    if (thread == 0 && next < work.end) keys.Fetch(g.keys, next, kv_head);
    if (SeeAll(l, position, kQueries, from, kPositions)) {
      Softmax<false>(l, row, from, w, scores);
    } else {
      Softmax<true>(l, row, from, w, scores);
    }
    BarrierWait(values.barrier, phase);
    AddValues<kDims>(w, values.data, scores);
    SyncTeam(team);
    if (thread == 0 && next < work.end) values.Fetch(g.values, next, kv_head);
    from = next;
  }
  // racecheck knows the order of two teams only if both have passed as many barriers.
  const int tiles = (work.end - work.begin + kPositions - 1) / kPositions;
  if (team == 1 && tiles % 2 == 1) {
    SyncTeam(team);
    SyncTeam(team);
  }
}

#endif  // UAQF_SM90

template <int kDims>
__global__ void __launch_bounds__(2 * kTeam, 2) GroupAttentionKernel(const __grid_constant__ GroupLaunch g) {
#if defined(UAQF_SM90)
  extern __shared__ unsigned char shared[];
  const uint32_t base = (SharedAddress(shared) + 1023) / 1024 * 1024;
  // The same in all lanes, so that branches on it are the warp's.
  const int team = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / kTeam, 0);
  if (threadIdx.x < 5) BarrierInit(Tile<kDims>(base, threadIdx.x).barrier, 1);
  if (threadIdx.x == 0) {
    for (const TensorMap* map : {&g.query, &g.keys, &g.values}) PrefetchMap(map);
  }
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncthreads();
  WaitForPrevious();
  const AttentionLaunch& l = g.l;
  const Work work(l, kPositions);
  Running<kDims> w;
  Attend<kDims>(g, work, base, team, w);
  Join<kDims>(reinterpret_cast<float*>(shared), team, l.s.scale * kLog2E, w);
  StoreOut<kDims>(l, work.head, work.row + static_cast<int>(threadIdx.x) % kTeam / 32 * 16, team, w);
#endif
}

template <int kDims>
Status Run(const GroupLaunch& g, cudaStream_t stream) {
  constexpr int kBytes = kSharedBytes<kDims>;
  const auto kernel = GroupAttentionKernel<kDims>;
  UAQF_CUDA_RETURN(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const dim3 grid(g.l.s.heads, (g.l.tokens + kQueries - 1) / kQueries);
  return FromCuda(LaunchAfter(kernel, grid, 2 * kTeam, kBytes, stream, g), "prefill attention");
}

}  // namespace

Status RunGroupAttention(const AttentionLaunch& l, cudaStream_t stream) {
  const PrefillAttentionShape& s = l.s;
  GroupLaunch g = {};
  g.l = l;
  UAQF_CUDA_CHECK(MakeTensorMap(
      {l.query, {s.head_dim, s.heads, l.tokens}, {s.head_dim * 2, l.query_stride * 2}, {kSlabDims, 1, kQueries}},
      &g.query));
  // What lies in the cache behind the last token is not a value: it must be read as zeros.
  const auto cache = [&](const __half* data, TensorMap* map) {
    return MakeTensorMap({data,
                          {s.head_dim, l.first + l.tokens, s.kv_heads},
                          {s.head_dim * 2, int64_t{s.capacity} * s.head_dim * 2},
                          {kSlabDims, kPositions, 1}},
                         map);
  };
  UAQF_CUDA_CHECK(cache(l.keys, &g.keys));
  UAQF_CUDA_CHECK(cache(l.values, &g.values));
  return s.head_dim <= 64 ? Run<64>(g, stream) : Run<128>(g, stream);
}

}  // namespace uaqf::cuda::prefill
