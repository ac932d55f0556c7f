// Flash attention: a block takes 64 queries of a head, a warp 16 of them. Two teams of four warps take every other tile
// of positions, each through two buffers of its own, and add up at the end: the last queries, which see the most, would
// take twice as long otherwise. Scores and the running softmax are FP32, products FP16 with FP32 sums.
#include "kernels/cuda/decode/ptx.cuh"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/prefill/launch.cuh"

namespace uaqf::cuda {

namespace {

constexpr float kLog2E = 1.4426950408889634f;
constexpr int kWarps = 4;
constexpr int kTeam = kWarps * 32;
constexpr int kQueries = kWarps * 16;

struct Launch {
  PrefillAttentionShape s;
  int first, tokens;
  const __half* query;
  int64_t query_stride;
  const __half* keys;
  const __half* values;
  __half* out;
};

// kDims: head_dim rounded up, the rest is zeros. Rows are padded by 16 bytes, so that 8 rows lie in all banks.
template <int kDims>
struct Tiling {
  static constexpr int kPositions = kDims > 128 ? 32 : 64;
  static constexpr int kPitch = kDims + 8;  // halves
  static constexpr int kTile = kPositions * kPitch;
  static constexpr int kTeamBytes = 4 * kTile * 2;
};

__device__ __forceinline__ void LoadMatrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void LoadTransposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ uint32_t Pack(float a, float b) {
  const __half2 pair = __floats2half2_rn(a, b);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// Positions [from, from + kPositions) into shared memory, zeros past `end` and past head_dim.
template <int kDims>
__device__ __forceinline__ void CopyTile(const __half* head, int head_dim, int from, int end, uint32_t target) {
  using T = Tiling<kDims>;
  constexpr int kPieces = kDims / 8;
  for (int i = threadIdx.x % kTeam; i < T::kPositions * kPieces; i += kTeam) {
    const int row = i / kPieces;
    const int piece = i % kPieces;
    const bool inside = from + row < end && piece * 8 < head_dim;
    const __half* source = inside ? head + int64_t{from + row} * head_dim + piece * 8 : head;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target + (row * T::kPitch + piece * 8) * 2),
                 "l"(source), "r"(inside ? 16 : 0)
                 : "memory");
  }
}

template <int kDims>
struct WarpState {
  uint32_t query[kDims / 16][4];
  float out[kDims / 8][4];
  float maximum[2];
  float sum[2];
};

// This warp's 16 queries as A fragments; rows past the end are zeros.
template <int kDims>
__device__ __forceinline__ void LoadQueries(const Launch& l, int head, int row, int lane, WarpState<kDims>& w) {
#pragma unroll
  for (int k = 0; k < kDims / 16; ++k) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int token = row + lane / 4 + (r & 1) * 8;
      const int dim = k * 16 + lane % 4 * 2 + (r & 2) * 4;
      w.query[k][r] = 0;
      if (token >= l.tokens || dim >= l.s.head_dim) continue;
      w.query[k][r] =
          *reinterpret_cast<const uint32_t*>(l.query + token * l.query_stride + int64_t{head} * l.s.head_dim + dim);
    }
  }
#pragma unroll
  for (int d = 0; d < kDims / 8; ++d) {
    for (int i = 0; i < 4; ++i) w.out[d][i] = 0;
  }
  for (int i = 0; i < 2; ++i) {
    w.maximum[i] = -1e30f;
    w.sum[i] = 0;
  }
}

// scores[n][0..3]: positions 8 n + 2 t, + 1 for rows g and g + 8.
template <int kDims>
__device__ __forceinline__ void Scores(const WarpState<kDims>& w, uint32_t keys, int lane,
                                       float (&scores)[Tiling<kDims>::kPositions / 8][4]) {
  using T = Tiling<kDims>;
#pragma unroll
  for (int n = 0; n < T::kPositions / 8; ++n) {
    for (int i = 0; i < 4; ++i) scores[n][i] = 0;
#pragma unroll
    for (int k = 0; k < kDims / 32; ++k) {
      uint32_t b[4];
      LoadMatrices(b, keys + ((n * 8 + lane % 8) * T::kPitch + k * 32 + lane / 8 * 8) * 2);
      MultiplyFp16(scores[n], w.query[2 * k][0], w.query[2 * k][1], w.query[2 * k][2], w.query[2 * k][3], b[0], b[1]);
      MultiplyFp16(scores[n], w.query[2 * k + 1][0], w.query[2 * k + 1][1], w.query[2 * k + 1][2],
                   w.query[2 * k + 1][3], b[2], b[3]);
    }
  }
}

__device__ __forceinline__ float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Masks (where a query does not see the whole tile), raises the maxima and turns scores into weights.
template <int kDims, bool kMasked>
__device__ __forceinline__ void Softmax(const Launch& l, int position, int from, int lane, WarpState<kDims>& w,
                                        float (&scores)[Tiling<kDims>::kPositions / 8][4]) {
  constexpr int kTiles = Tiling<kDims>::kPositions / 8;
  const float scale = l.s.scale * kLog2E;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const int at = position + row * 8;
    float maximum = w.maximum[row];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = from + n * 8 + lane % 4 * 2 + i;
        float& score = scores[n][row * 2 + i];
        const bool seen = !kMasked || (key <= at && (l.s.window == 0 || key > at - l.s.window));
        if (!seen) score = -INFINITY;
        maximum = fmaxf(maximum, score);
      }
    }
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 1));
    maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 2));
    const float factor = Exp2((w.maximum[row] - maximum) * scale);
    const float shift = -maximum * scale;
    w.maximum[row] = maximum;
    w.sum[row] *= factor;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& score = scores[n][row * 2 + i];
        score = Exp2(fmaf(score, scale, shift));
        w.sum[row] += score;
      }
    }
#pragma unroll
    for (int d = 0; d < kDims / 8; ++d) {
      w.out[d][row * 2] *= factor;
      w.out[d][row * 2 + 1] *= factor;
    }
  }
}

template <int kDims>
__device__ __forceinline__ void AddValues(WarpState<kDims>& w, uint32_t values, int lane,
                                          const float (&weights)[Tiling<kDims>::kPositions / 8][4]) {
  using T = Tiling<kDims>;
#pragma unroll
  for (int k = 0; k < T::kPositions / 16; ++k) {
    const uint32_t a[4] = {Pack(weights[2 * k][0], weights[2 * k][1]), Pack(weights[2 * k][2], weights[2 * k][3]),
                           Pack(weights[2 * k + 1][0], weights[2 * k + 1][1]),
                           Pack(weights[2 * k + 1][2], weights[2 * k + 1][3])};
#pragma unroll
    for (int d = 0; d < kDims / 16; ++d) {
      uint32_t b[4];
      LoadTransposed(b, values + ((k * 16 + lane % 16) * T::kPitch + d * 16 + lane / 16 * 8) * 2);
      MultiplyFp16(w.out[2 * d], a[0], a[1], a[2], a[3], b[0], b[1]);
      MultiplyFp16(w.out[2 * d + 1], a[0], a[1], a[2], a[3], b[2], b[3]);
    }
  }
}

template <int kDims>
__device__ __forceinline__ void StoreOut(const Launch& l, int head, int row, int lane, WarpState<kDims>& w) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = w.sum[half];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    const int token = row + lane / 4 + half * 8;
    if (token >= l.tokens) continue;
    __half* out = l.out + (int64_t{token} * l.s.heads + head) * l.s.head_dim;
#pragma unroll
    for (int d = 0; d < kDims / 8; ++d) {
      const int dim = d * 8 + lane % 4 * 2;
      if (dim >= l.s.head_dim) continue;
      *reinterpret_cast<uint32_t*>(out + dim) = Pack(w.out[d][half * 2] / sum, w.out[d][half * 2 + 1] / sum);
    }
  }
}

__device__ __forceinline__ void SyncTeam(int team) {
  asm volatile("bar.sync %0, %1;" ::"r"(team + 1), "n"(kTeam) : "memory");
}

// Adds the second team's sums to the first's, through shared memory that nobody needs any more.
template <int kDims>
__device__ __forceinline__ void Join(float* shared, int team, float scale, WarpState<kDims>& w) {
  float* mine = shared + threadIdx.x % kTeam;  // a value of each thread, then the next
  __syncthreads();
  if (team == 1) {
#pragma unroll
    for (int i = 0; i < kDims / 2; ++i) mine[i * kTeam] = w.out[i / 4][i % 4];
    for (int row = 0; row < 2; ++row) {
      mine[(kDims / 2 + row) * kTeam] = w.maximum[row];
      mine[(kDims / 2 + 2 + row) * kTeam] = w.sum[row];
    }
  }
  __syncthreads();
  if (team == 1) return;
  float own[2];
  float other[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const float theirs = mine[(kDims / 2 + row) * kTeam];
    const float maximum = fmaxf(w.maximum[row], theirs);
    own[row] = Exp2((w.maximum[row] - maximum) * scale);
    other[row] = Exp2((theirs - maximum) * scale);
    w.sum[row] = w.sum[row] * own[row] + mine[(kDims / 2 + 2 + row) * kTeam] * other[row];
  }
#pragma unroll
  for (int i = 0; i < kDims / 2; ++i) {
    float& out = w.out[i / 4][i % 4];
    out = out * own[i % 4 / 2] + mine[i * kTeam] * other[i % 4 / 2];
  }
}

// A team's tiles: every kTeams-th one from `from` on.
template <int kDims, int kTeams>
__device__ __forceinline__ void Attend(const Launch& l, int head, int position, int from, int end, uint32_t buffers,
                                       int team, WarpState<kDims>& w) {
  using T = Tiling<kDims>;
  constexpr int kStep = kTeams * T::kPositions;
  const int lane = threadIdx.x % 32;
  const int64_t kv = int64_t{head / (l.s.heads / l.s.kv_heads)} * l.s.capacity * l.s.head_dim;
  const auto fetch = [&](int at, int buffer) {
    CopyTile<kDims>(l.keys + kv, l.s.head_dim, at, end, buffers + buffer * 2 * T::kTile * 2);
    CopyTile<kDims>(l.values + kv, l.s.head_dim, at, end, buffers + (buffer * 2 + 1) * T::kTile * 2);
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  fetch(from, 0);
  for (int buffer = 0; from < end; from += kStep, buffer ^= 1) {
    fetch(from + kStep, buffer ^ 1);  // past the end it copies zeros, which nobody reads
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    SyncTeam(team);
    float scores[T::kPositions / 8][4];
    Scores<kDims>(w, buffers + buffer * 2 * T::kTile * 2, lane, scores);
    const bool all_seen =
        from + T::kPositions <= position + 1 && (l.s.window == 0 || from > position + 15 - l.s.window);
    if (all_seen) {
      Softmax<kDims, false>(l, position + lane / 4, from, lane, w, scores);
    } else {
      Softmax<kDims, true>(l, position + lane / 4, from, lane, w, scores);
    }
    AddValues<kDims>(w, buffers + (buffer * 2 + 1) * T::kTile * 2, lane, scores);
    SyncTeam(team);
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
}

template <int kDims, int kTeams>
__global__ void __launch_bounds__(kTeams* kTeam) AttentionKernel(const __grid_constant__ Launch l) {
  prefill::WaitForPrevious();
  using T = Tiling<kDims>;
  extern __shared__ __align__(16) unsigned char shared[];
  const int lane = threadIdx.x % 32;
  const int team = threadIdx.x / kTeam;
  const int head = blockIdx.x;
  // Late queries have the most to do: they go first.
  const int block = (gridDim.y - 1 - blockIdx.y) * kQueries;
  const int row = block + static_cast<int>(threadIdx.x) % kTeam / 32 * 16;
  const int end = l.first + min(block + kQueries, l.tokens);
  const int start = l.s.window > 0 ? max(0, l.first + block - l.s.window + 1) : 0;
  const int begin = start / T::kPositions * T::kPositions;
  WarpState<kDims> w;
  LoadQueries<kDims>(l, head, row, lane, w);
  Attend<kDims, kTeams>(l, head, l.first + row, begin + team * T::kPositions, end,
                        SharedAddress(shared) + team * T::kTeamBytes, team, w);
  if (kTeams == 2) Join<kDims>(reinterpret_cast<float*>(shared), team, l.s.scale * kLog2E, w);
  if (team == 0) StoreOut<kDims>(l, head, row, lane, w);
}

template <int kDims, int kTeams>
Status RunTeams(const Launch& l, cudaStream_t stream) {
  constexpr int kBytes = kTeams * Tiling<kDims>::kTeamBytes;
  const auto kernel = AttentionKernel<kDims, kTeams>;
  UAQF_CUDA_RETURN(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const dim3 grid(l.s.heads, (l.tokens + kQueries - 1) / kQueries);
  return FromCuda(prefill::LaunchAfter(kernel, grid, kTeams * kTeam, kBytes, stream, l), "prefill attention");
}

// One team where shared memory has no room for two (8.6 and 8.9).
template <int kDims>
Status Run(const Launch& l, cudaStream_t stream) {
  int device = 0;
  int most = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return most >= 2 * Tiling<kDims>::kTeamBytes ? RunTeams<kDims, 2>(l, stream) : RunTeams<kDims, 1>(l, stream);
}

}  // namespace

Status PrefillAttention(const PrefillAttentionShape& shape, int first, int tokens, const __half* query,
                        int64_t query_stride, const __half* keys, const __half* values, __half* out,
                        cudaStream_t stream) {
  if (shape.head_dim < 16 || shape.head_dim > 256 || shape.head_dim % 16 != 0 || shape.kv_heads < 1 ||
      shape.heads % shape.kv_heads != 0) {
    return MakeError(cudaErrorInvalidValue, "prefill attention: got %d heads, %d KV heads, head_dim %d", shape.heads,
                     shape.kv_heads, shape.head_dim);
  }
  if (first < 0 || tokens < 1 || first + tokens > shape.capacity) {
    return MakeError(cudaErrorInvalidValue, "prefill attention: got positions %d to %d of %d", first, first + tokens,
                     shape.capacity);
  }
  const Launch l = {shape, first, tokens, query, query_stride, keys, values, out};
  if (shape.head_dim <= 64) return Run<64>(l, stream);
  if (shape.head_dim <= 128) return Run<128>(l, stream);
  return Run<256>(l, stream);
}

}  // namespace uaqf::cuda
