// Attention of one query a sequence and head over that sequence's cache, at the speed of memory.
//
// Contexts are cut into pieces of kPiece positions; a block takes a piece of one KV head of one sequence at a time and
// leaves its part (not yet divided by the sum) in memory. At its end it tells how many parts are there; whoever is the
// last of a context adds its parts up, in their order. Which block that is does not matter to the result, and where a
// context is cut depends on its own positions only. Blocks find their work in the positions, which lie in device
// memory: a captured graph serves all.
//
// Within a block a warp has neighbouring positions: kLanes lanes read a row of 8 dimensions each. Every lane brings
// what it reads itself through a ring of its own in shared memory, from one piece into the next, so that copies are
// always under way. Nothing may fence between pieces: a fence would wait for them.
#include <algorithm>

#include "kernels/cuda/batch/attention_join.cuh"
#include "kernels/cuda/batch/attention_rows.cuh"
#include "kernels/cuda/prefill/launch.cuh"

namespace uaqf::cuda {
namespace {

using namespace batch;

constexpr int kMostHeads = 4;  // queries that a block takes at a time
constexpr int64_t kCountsUnit = 256;

template <int kLanes, int kHeads>
__global__ void __launch_bounds__(kThreads, kBlocks) AttentionKernel(const __grid_constant__ AttentionParams p) {
  using S = Shape<kLanes, kHeads>;
  extern __shared__ __align__(128) unsigned char memory[];
  __shared__ Shared<kLanes, kHeads> shared;
  prefill::WaitForPrevious();
  NumberTasks(p, &shared);
  const int total = shared.first_task[kMostSequences];
  const uint32_t ring = SharedAddress(memory) + threadIdx.x / 32 * S::kStages * S::kStageBytes;
  Feed<kLanes, kHeads> feed(p, shared, ring);
#pragma unroll
  for (int i = 0; i < S::kStages - 1; ++i) feed.Next();
  int stage = 0;
  for (int at = blockIdx.x; at < total; at += gridDim.x) {
    const Task task = TaskAt(p, shared, at, kHeads);
    const Range range(p, shared.positions[task.sequence]);
    AttendPiece<kLanes, kHeads>(p, task, range, ring, &stage, feed, &shared);
    __syncthreads();
    float* parts = nullptr;
    ContextOf<kHeads>(p, task, &parts);
    PutParts<kLanes, kHeads>(p, task, range.pieces(), parts, shared);
    __syncthreads();  // shared memory may be written again
  }
  JoinContexts<kLanes, kHeads>(p, total, &shared);
}

// Queries that a block takes at a time, so that the turns of a KV head are about equal.
int HeadsOf(int group) {
  const int turns = (group + kMostHeads - 1) / kMostHeads;
  return (group + turns - 1) / turns;
}

AttentionParams ParamsOf(const BatchAttentionShape& s, int sequences) {
  AttentionParams p = {};
  p.shape = s;
  p.sequences = sequences;
  p.group = s.heads / s.kv_heads;
  const int heads = HeadsOf(p.group);
  p.tasks = s.kv_heads * ((p.group + heads - 1) / heads);
  // A window that begins within a piece ends within another.
  p.most_pieces = (s.capacity + kPiece - 1) / kPiece;
  return p;
}

int64_t CountsBytes(const AttentionParams& p) { return RoundUp(int64_t{p.sequences} * p.tasks * 4, kCountsUnit); }

template <int kLanes, int kHeads>
Status Launch(const AttentionParams& p, cudaStream_t stream) {
  int device = 0;
  int multiprocessors = 0;
  UAQF_CUDA_RETURN(cudaGetDevice(&device));
  UAQF_CUDA_RETURN(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const int64_t most = int64_t{p.sequences} * p.tasks * p.most_pieces;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(most, kBlocks * multiprocessors));
  const auto kernel = AttentionKernel<kLanes, kHeads>;
  constexpr int kShared = Shape<kLanes, kHeads>::kShared;
  UAQF_CUDA_RETURN(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  // Room for kBlocks on a multiprocessor.
  UAQF_CUDA_RETURN(
      cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared));
  return FromCuda(prefill::LaunchAfter(kernel, dim3(blocks), kThreads, kShared, stream, p), "BatchAttention");
}

template <int kLanes>
Status LaunchHeads(const AttentionParams& p, cudaStream_t stream) {
  switch (HeadsOf(p.group)) {
    case 1:
      return Launch<kLanes, 1>(p, stream);
    case 2:
      return Launch<kLanes, 2>(p, stream);
    case 3:
      return Launch<kLanes, 3>(p, stream);
    default:
      return Launch<kLanes, 4>(p, stream);
  }
}

}  // namespace

int64_t BatchAttentionBytes(const BatchAttentionShape& shape, int sequences) {
  const AttentionParams p = ParamsOf(shape, sequences);
  const int64_t parts = int64_t{sequences} * p.tasks * p.most_pieces * HeadsOf(p.group);
  return CountsBytes(p) + parts * (shape.head_dim + 2) * 4;
}

Status BatchAttention(const BatchAttentionShape& shape, int sequences, const int32_t* positions, const __half* query,
                      const BatchCache& cache, Fp16Rows out, void* scratch, cudaStream_t stream) {
  if (sequences < 1 || sequences > kMostSequences || shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0 ||
      shape.head_dim % 16 != 0 || shape.head_dim < 16 || shape.head_dim > 256 || shape.capacity < 1) {
    return MakeError(
        cudaErrorInvalidValue,
        "batch attention: got %d sequences, %d heads of %d over %d KV heads, capacity %d; expected 1 to %d "
        "sequences, KV heads that divide heads, and heads of a multiple of 16 up to 256",
        sequences, shape.heads, shape.head_dim, shape.kv_heads, shape.capacity, kMostSequences);
  }
  AttentionParams p = ParamsOf(shape, sequences);
  constexpr float kLog2E = 1.4426950408889634f;
  p.shape.scale *= kLog2E;
  p.positions = positions;
  p.query = query;
  p.cache = cache;
  p.out = out;
  p.counts = static_cast<int*>(scratch);
  p.parts = reinterpret_cast<float*>(static_cast<uint8_t*>(scratch) + CountsBytes(p));
  if (shape.head_dim <= 64) return LaunchHeads<8>(p, stream);
  if (shape.head_dim <= 128) return LaunchHeads<16>(p, stream);
  return LaunchHeads<32>(p, stream);
}

}  // namespace uaqf::cuda
