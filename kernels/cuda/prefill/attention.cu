// Flash attention for any device and any head: products of a warp, queries in registers, keys and values through two
// buffers of each team.
#include <atomic>

#include "kernels/cuda/decode/ptx.cuh"
#include "kernels/cuda/prefill/attention.cuh"

namespace uaqf::cuda {

namespace prefill {

namespace {

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
    CopyPiece(target + (row * T::kPitch + piece * 8) * 2, source, inside);
  }
}

// A warp's 16 queries as A fragments; rows past the end are zeros.
template <int kDims>
struct Queries {
  uint32_t a[kDims / 16][4];
  __device__ __forceinline__ Queries(const AttentionLaunch& l, int head, int row) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < kDims / 16; ++k) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int token = row + lane / 4 + (r & 1) * 8;
        const int dim = k * 16 + lane % 4 * 2 + (r & 2) * 4;
        a[k][r] = 0;
        if (token >= l.tokens || dim >= l.s.head_dim) continue;
        a[k][r] =
            *reinterpret_cast<const uint32_t*>(l.query + token * l.query_stride + int64_t{head} * l.s.head_dim + dim);
      }
    }
  }
};

// In the order that Softmax() takes.
template <int kDims>
__device__ __forceinline__ void Scores(const Queries<kDims>& q, uint32_t keys,
                                       float (&scores)[Tiling<kDims>::kPositions / 2]) {
  using T = Tiling<kDims>;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int n = 0; n < T::kPositions / 8; ++n) {
    float sums[4] = {};
#pragma unroll
    for (int k = 0; k < kDims / 16; k += 2) {
      uint32_t b[4];
      LoadMatrices(b, keys + ((n * 8 + lane % 8) * T::kPitch + k * 16 + lane / 8 * 8) * 2);
      MultiplyFp16(sums, q.a[k][0], q.a[k][1], q.a[k][2], q.a[k][3], b[0], b[1]);
      MultiplyFp16(sums, q.a[k + 1][0], q.a[k + 1][1], q.a[k + 1][2], q.a[k + 1][3], b[2], b[3]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[n * 4 + i] = sums[i];
  }
}

template <int kDims>
__device__ __forceinline__ void AddValues(Running<kDims>& w, uint32_t values,
                                          const float (&weights)[Tiling<kDims>::kPositions / 2]) {
  using T = Tiling<kDims>;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < T::kPositions / 16; ++k) {
    uint32_t a[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = Pack(weights[k * 8 + i * 2], weights[k * 8 + i * 2 + 1]);
#pragma unroll
    for (int d = 0; d < kDims / 16; ++d) {
      uint32_t b[4];
      LoadTransposed(b, values + ((k * 16 + lane % 16) * T::kPitch + d * 16 + lane / 16 * 8) * 2);
      float(&first)[4] = *reinterpret_cast<float(*)[4]>(&w.out[d * 8]);
      float(&second)[4] = *reinterpret_cast<float(*)[4]>(&w.out[d * 8 + 4]);
      MultiplyFp16(first, a[0], a[1], a[2], a[3], b[0], b[1]);
      MultiplyFp16(second, a[0], a[1], a[2], a[3], b[2], b[3]);
    }
  }
}

// A team's tiles: every kTeams-th one of those from `begin` on. `position`: of the warp's first query. Teams take their
// turns together.
template <int kDims, int kTeams>
__device__ __forceinline__ void Attend(const AttentionLaunch& l, const Work& work, const Queries<kDims>& queries,
                                       int position, uint32_t buffers, int team, Running<kDims>& w) {
  using T = Tiling<kDims>;
  constexpr int kStep = kTeams * T::kPositions;
  const int64_t kv = int64_t{work.head / (l.s.heads / l.s.kv_heads)} * l.s.capacity * l.s.head_dim;
  const int row = position + static_cast<int>(threadIdx.x) % 32 / 4;
  // Past the end it copies zeros, which nobody reads.
  const auto fetch = [&](int from, int buffer) {
    CopyTile<kDims>(l.keys + kv, l.s.head_dim, from, work.end, buffers + buffer * 2 * T::kTile * 2);
    CopyTile<kDims>(l.values + kv, l.s.head_dim, from, work.end, buffers + (buffer * 2 + 1) * T::kTile * 2);
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  int from = work.begin + team * T::kPositions;
  fetch(from, 0);
  int buffer = 0;
  for (int turn = work.begin; turn < work.end; turn += kStep, from += kStep, buffer ^= 1) {
    fetch(from + kStep, buffer ^ 1);
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    if (from < work.end) {
      float scores[T::kPositions / 2];
      Scores<kDims>(queries, buffers + buffer * 2 * T::kTile * 2, scores);
      if (SeeAll(l, position, 16, from, T::kPositions)) {
        Softmax<false>(l, row, from, w, scores);
      } else {
        Softmax<true>(l, row, from, w, scores);
      }
      AddValues<kDims>(w, buffers + (buffer * 2 + 1) * T::kTile * 2, scores);
    }
    __syncthreads();
  }
  asm volatile("cp.async.wait_all;" ::: "memory");
}

template <int kDims, int kTeams>
__global__ void __launch_bounds__(kTeams* kTeam) AttentionKernel(const __grid_constant__ AttentionLaunch l) {
  WaitForPrevious();
  using T = Tiling<kDims>;
  extern __shared__ __align__(16) unsigned char shared[];
  const int team = threadIdx.x / kTeam;
  const Work work(l, T::kPositions);
  const int row = work.row + static_cast<int>(threadIdx.x) % kTeam / 32 * 16;
  const Queries<kDims> queries(l, work.head, row);
  Running<kDims> w;
  Attend<kDims, kTeams>(l, work, queries, l.first + row, SharedAddress(shared) + team * T::kTeamBytes, team, w);
  if (kTeams == 2) {
    static_assert(kJoinFloats<kDims> * kTeam * 4 <= T::kTeamBytes);
    Join<kDims>(reinterpret_cast<float*>(shared), team, l.s.scale * kLog2E, w);
    StoreOut<kDims>(l, work.head, row, team, w);
  } else {
    StoreHalf<kDims, 0>(l, work.head, row, w);
    StoreHalf<kDims, 1>(l, work.head, row, w);
  }
}

template <int kDims, int kTeams>
Status RunTeams(const AttentionLaunch& l, cudaStream_t stream) {
  constexpr int kBytes = kTeams * Tiling<kDims>::kTeamBytes;
  const auto kernel = AttentionKernel<kDims, kTeams>;
  UAQF_CUDA_RETURN(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  const dim3 grid(l.s.heads, (l.tokens + kQueries - 1) / kQueries);
  return FromCuda(LaunchAfter(kernel, grid, kTeams * kTeam, kBytes, stream, l), "prefill attention");
}

struct Limits {
  int major;         // of the compute capability
  int shared_bytes;  // of a block
};

// Of the current device, asked once for each. Threads that ask together agree.
Status LimitsOfDevice(Limits* out) {
  static std::atomic<Limits> known[kMostDevices];
  int device = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  if (device >= kMostDevices) return MakeError(cudaErrorInvalidDevice, "got device %d of %d", device, kMostDevices);
  *out = known[device];
  if (out->major > 0) return {};
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&out->major, cudaDevAttrComputeCapabilityMajor, device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&out->shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  known[device] = *out;
  return {};
}

template <int kDims>
Status Run(const AttentionLaunch& l, cudaStream_t stream) {
  Limits limits;
  UAQF_CUDA_CHECK(LimitsOfDevice(&limits));
  if (kDims <= 128 && limits.major == 9) return RunGroupAttention(l, stream);
  // One team where shared memory has no room for two (8.6 and 8.9).
  return limits.shared_bytes >= 2 * Tiling<kDims>::kTeamBytes ? RunTeams<kDims, 2>(l, stream)
                                                              : RunTeams<kDims, 1>(l, stream);
}

}  // namespace

}  // namespace prefill

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
  const prefill::AttentionLaunch l = {shape, first, tokens, query, query_stride, keys, values, out};
  if (shape.head_dim <= 64) return prefill::Run<64>(l, stream);
  if (shape.head_dim <= 128) return prefill::Run<128>(l, stream);
  return prefill::Run<256>(l, stream);
}

}  // namespace uaqf::cuda
