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

#include "kernels/cuda/barrier.cuh"
#include "kernels/cuda/batch.h"
#include "kernels/cuda/batch/put.cuh"
#include "kernels/cuda/prefill/fragments.cuh"
#include "kernels/cuda/prefill/launch.cuh"

namespace uaqf::cuda {
namespace {

constexpr int kPiece = 256;
constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kOfWarp = kPiece / kWarps;
constexpr int kSteps = 4;      // loads of a lane in a stage, of keys and of values
constexpr int kMostHeads = 4;  // queries that a block takes at a time
constexpr int kBlocks = 2;     // of a multiprocessor
// Below every score, but finite: a difference of two of them is a number.
constexpr float kLowest = -1e30f;
constexpr int64_t kCountsUnit = 256;

struct AttentionParams {
  BatchAttentionShape shape;
  int sequences;
  int group;        // queries of a KV head
  int tasks;        // of a sequence and piece: KV heads, each so often that all its queries have a turn
  int most_pieces;  // of a context
  const int32_t* positions;
  const __half* query;
  BatchCache cache;
  Fp16Rows out;
  int* counts;   // [sequence][task]: parts that are there; 0 between calls
  float* parts;  // [sequence][task][piece][head]: largest score, sum, head_dim values
};

struct Range {
  int first, last;  // positions that are seen
  __device__ __forceinline__ Range(const AttentionParams& p, int position)
      : first(p.shape.window > 0 ? max(0, position + 1 - p.shape.window) : 0), last(position) {}
  __device__ __forceinline__ int pieces() const { return last / kPiece - first / kPiece + 1; }
};

// What a block works on.
struct Task {
  int sequence, which, piece;
  int kv_head, head;  // the first query's
  __device__ __forceinline__ Task(const AttentionParams& p, int sequence, int within, int heads)
      : sequence(sequence), which(within % p.tasks), piece(within / p.tasks) {
    const int turns = p.tasks / p.shape.kv_heads;
    kv_head = which / turns;
    head = kv_head * p.group + which % turns * heads;
  }
};

// Softmax on the way: the largest score (in powers of two), the sum, and a lane's share of the values.
template <int kHeads>
struct State {
  float most[kHeads];
  float sum[kHeads];
  float values[kHeads][8];
};

__device__ __forceinline__ void Unpack8(const uint4& bits, float (&v)[8]) {
  const auto* pairs = reinterpret_cast<const __half2*>(&bits);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(pairs[i]);
    v[2 * i] = pair.x;
    v[2 * i + 1] = pair.y;
  }
}

template <int kLanes, int kHeads>
struct Shape {
  static constexpr int kRows = 32 / kLanes;                  // positions of a step
  static constexpr int kTurns = kOfWarp / (kRows * kSteps);  // stages of a piece
  // Keys, values and, in the first stage of a piece, queries: a piece of 16 bytes of each lane.
  static constexpr int kStageBytes = (2 * kSteps + kHeads) * 512;
  static constexpr int kStages = kHeads == 1 ? 3 : 2;
  static constexpr int kShared = kWarps * kStages * kStageBytes;
};

// What a lane reads: positions of `task` from its warp's first on.
struct Rows {
  const __half* keys;
  const __half* values;
  int64_t query;  // of the task's first head
  int first;      // position
  template <int kLanes>
  __device__ __forceinline__ static Rows Of(const AttentionParams& p, const Task& task, const Range& range) {
    const int lane = threadIdx.x % 32;
    const int dim = lane % kLanes * 8;
    const int64_t head = task.sequence * p.cache.stride + int64_t{task.kv_head} * p.shape.capacity * p.shape.head_dim;
    return {
        p.cache.keys + head + dim, p.cache.values + head + dim,
        (int64_t{task.sequence} * p.shape.heads + task.head) * p.shape.head_dim + dim,
        (range.first / kPiece + task.piece) * kPiece + static_cast<int>(threadIdx.x) / 32 * kOfWarp + lane / kLanes};
  }
};

// 16 bytes, or as many zeros.
__device__ __forceinline__ void Copy16Or0(uint32_t target, const void* source, bool copy) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(copy ? 16 : 0)
               : "memory");
}

// This lane's part of stage `turn` of a piece, for all kHeads queries, of which `queries` are there.
template <int kLanes, int kHeads>
__device__ __forceinline__ void CopyStage(const AttentionParams& p, uint32_t stage, const Rows& rows,
                                          const Range& range, int queries, int turn) {
  using S = Shape<kLanes, kHeads>;
  const bool exists = static_cast<int>(threadIdx.x) % kLanes * 8 < p.shape.head_dim;
  stage += threadIdx.x % 32 * 16;
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    const int position = rows.first + (turn * kSteps + j) * S::kRows;
    const bool copy = exists && position >= range.first && position <= range.last;
    const int64_t at = copy ? int64_t{position} * p.shape.head_dim : 0;
    Copy16Or0(stage + j * 512, rows.keys + at, copy);
    Copy16Or0(stage + (kSteps + j) * 512, rows.values + at, copy);
  }
  if (turn > 0) return;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const int64_t at = rows.query + int64_t{min(h, queries - 1)} * p.shape.head_dim;
    Copy16Or0(stage + (2 * kSteps + h) * 512, p.query + at, exists);
  }
}

template <int kLanes, int kHeads>
__device__ __forceinline__ void AttendStage(uint32_t stage, const Range& range, int first,
                                            const float (&query)[kHeads][8], State<kHeads>* state) {
  using S = Shape<kLanes, kHeads>;
  stage += threadIdx.x % 32 * 16;
  bool seen[kSteps];
  float scores[kHeads][kSteps];
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    const int position = first + j * S::kRows;
    seen[j] = position >= range.first && position <= range.last;
    float key[8];
    Unpack8(prefill::LoadShared16(stage + j * 512), key);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      float dot = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) dot = fmaf(query[h][i], key[i], dot);
      scores[h][j] = dot;
    }
  }
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
#pragma unroll
    for (int step = 1; step < kLanes; step *= 2) {
#pragma unroll
      for (int j = 0; j < kSteps; ++j) scores[h][j] += __shfl_xor_sync(~0u, scores[h][j], step);
    }
    float most = state->most[h];
#pragma unroll
    for (int j = 0; j < kSteps; ++j) most = fmaxf(most, seen[j] ? scores[h][j] : kLowest);
    const float keep = exp2f(state->most[h] - most);
    state->most[h] = most;
    state->sum[h] *= keep;
#pragma unroll
    for (int i = 0; i < 8; ++i) state->values[h][i] *= keep;
#pragma unroll
    for (int j = 0; j < kSteps; ++j) {
      scores[h][j] = seen[j] ? exp2f(scores[h][j] - most) : 0.0f;
      state->sum[h] += scores[h][j];
    }
  }
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    float value[8];
    Unpack8(prefill::LoadShared16(stage + (kSteps + j) * 512), value);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
#pragma unroll
      for (int i = 0; i < 8; ++i) state->values[h][i] = fmaf(scores[h][j], value[i], state->values[h][i]);
    }
  }
}

// Adds the rows of a warp up: all lanes that share dimensions have the same afterwards.
template <int kLanes, int kHeads>
__device__ __forceinline__ void JoinRows(State<kHeads>* state) {
#pragma unroll
  for (int step = kLanes; step < 32; step *= 2) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const float most = fmaxf(state->most[h], __shfl_xor_sync(~0u, state->most[h], step));
      const float keep = exp2f(state->most[h] - most);
      state->most[h] = most;
      state->sum[h] *= keep;
      state->sum[h] += __shfl_xor_sync(~0u, state->sum[h], step);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float mine = state->values[h][i] * keep;
        state->values[h][i] = mine + __shfl_xor_sync(~0u, mine, step);
      }
    }
  }
}

template <int kLanes, int kHeads>
struct Shared {
  float most[kWarps][kHeads];
  float sum[kWarps][kHeads];
  float values[kWarps][kHeads][kLanes * 8];
  int first_task[kMostSequences + 1];  // of each sequence, and behind the last
  int positions[kMostSequences];
  bool last[kThreads];  // of a context's blocks, at the block's tasks
};

// Task number `at`; the whole warp asks for the same.
template <class S>
__device__ __forceinline__ Task TaskAt(const AttentionParams& p, const S& shared, int at, int heads) {
  const int sequence = __popc(__ballot_sync(~0u, shared.first_task[threadIdx.x % 32 + 1] <= at));
  return Task(p, sequence, at - shared.first_task[sequence], heads);
}

// Work of all sequences, numbered through, sequence by sequence.
template <class S>
__device__ __forceinline__ void NumberTasks(const AttentionParams& p, S* shared) {
  if (threadIdx.x < 32) {
    const int lane = threadIdx.x;
    const int position = lane < p.sequences ? min(p.positions[lane], p.shape.capacity - 1) : 0;
    shared->positions[lane] = position;
    int count = lane < p.sequences ? Range(p, position).pieces() * p.tasks : 0;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const int before = __shfl_up_sync(~0u, count, step);
      if (lane >= step) count += before;
    }
    shared->first_task[lane + 1] = count;
    if (lane == 0) shared->first_task[0] = 0;
  }
  __syncthreads();
}

// Leaves a part in memory, or the result where the context is one piece.
template <int kLanes, int kHeads>
__device__ __forceinline__ void PutParts(const AttentionParams& p, const Task& task, int pieces, float* parts,
                                         const Shared<kLanes, kHeads>& shared) {
  const int dims = p.shape.head_dim;
  for (int item = threadIdx.x; item < kHeads * dims; item += kThreads) {
    const int h = item / dims;
    const int dim = item % dims;
    float most = shared.most[0][h];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) most = fmaxf(most, shared.most[w][h]);
    float sum = 0;
    float value = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float keep = exp2f(shared.most[w][h] - most);
      sum = fmaf(shared.sum[w][h], keep, sum);
      value = fmaf(shared.values[w][h][dim], keep, value);
    }
    if (pieces == 1) {
      if (task.head + h >= (task.kv_head + 1) * p.group) continue;
      batch::PutHalf(p.out, task.sequence, p.shape.heads * dims, (task.head + h) * dims + dim, value / sum);
      continue;
    }
    float* part = parts + (int64_t{task.piece} * kHeads + h) * (dims + 2);
    if (dim == 0) {
      __stcg(part, most);
      __stcg(part + 1, sum);
    }
    __stcg(part + 2 + dim, value);
  }
}

// The last block of a context adds its parts up.
template <int kHeads>
__device__ __forceinline__ void JoinPieces(const AttentionParams& p, const Task& task, int pieces, const float* parts) {
  const int dims = p.shape.head_dim;
  const int64_t stride = int64_t{kHeads} * (dims + 2);
  for (int item = threadIdx.x; item < kHeads * dims; item += kThreads) {
    const int h = item / dims;
    const int dim = item % dims;
    if (task.head + h >= (task.kv_head + 1) * p.group) continue;
    const float* part = parts + int64_t{h} * (dims + 2);
    float most = kLowest;
#pragma unroll 8
    for (int i = 0; i < pieces; ++i) most = fmaxf(most, __ldcg(part + i * stride));
    float sum = 0;
    float value = 0;
#pragma unroll 8
    for (int i = 0; i < pieces; ++i) {
      const float keep = exp2f(__ldcg(part + i * stride) - most);
      sum = fmaf(__ldcg(part + i * stride + 1), keep, sum);
      value = fmaf(__ldcg(part + i * stride + 2 + dim), keep, value);
    }
    batch::PutHalf(p.out, task.sequence, p.shape.heads * dims, (task.head + h) * dims + dim, value / sum);
  }
}

// The copies of a warp, ahead of what it computes.
template <int kLanes, int kHeads>
class Feed {
 public:
  using S = Shape<kLanes, kHeads>;
  __device__ __forceinline__ Feed(const AttentionParams& p, const Shared<kLanes, kHeads>& shared, uint32_t ring)
      : p_(p), shared_(shared), ring_(ring), total_(shared.first_task[kMostSequences]), at_(blockIdx.x), range_(p, 0) {
    Find();
  }

  // Starts the next stage's, if there is one.
  __device__ __forceinline__ void Next() {
    if (at_ < total_) {
      CopyStage<kLanes, kHeads>(p_, ring_ + stage_ * S::kStageBytes, rows_, range_, queries_, turn_);
      stage_ = stage_ + 1 == S::kStages ? 0 : stage_ + 1;
      if (++turn_ == S::kTurns) {
        turn_ = 0;
        at_ += gridDim.x;
        Find();
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

 private:
  __device__ __forceinline__ void Find() {
    if (at_ >= total_) return;
    const Task task = TaskAt(p_, shared_, at_, kHeads);
    range_ = Range(p_, shared_.positions[task.sequence]);
    rows_ = Rows::Of<kLanes>(p_, task, range_);
    queries_ = (task.kv_head + 1) * p_.group - task.head;
  }

  const AttentionParams& p_;
  const Shared<kLanes, kHeads>& shared_;
  const uint32_t ring_;
  const int total_;
  int at_;
  Range range_;
  Rows rows_ = {};
  int queries_ = 1;
  int turn_ = 0;
  int stage_ = 0;
};

// A warp's positions of a piece; `stage` is that of the ring which comes next.
template <int kLanes, int kHeads>
__device__ __forceinline__ void AttendPiece(const AttentionParams& p, const Task& task, const Range& range,
                                            uint32_t ring, int* stage, Feed<kLanes, kHeads>& feed,
                                            Shared<kLanes, kHeads>* shared) {
  using S = Shape<kLanes, kHeads>;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int first = Rows::Of<kLanes>(p, task, range).first;
  float query[kHeads][8];
  State<kHeads> state;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    state.most[h] = kLowest;
    state.sum[h] = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) state.values[h][i] = 0;
  }
#pragma unroll 1
  for (int turn = 0; turn < S::kTurns; ++turn) {
    asm volatile("cp.async.wait_group %0;" ::"n"(S::kStages - 2) : "memory");
    const uint32_t at = ring + *stage * S::kStageBytes;
    if (turn == 0) {
#pragma unroll
      for (int h = 0; h < kHeads; ++h) {
        Unpack8(prefill::LoadShared16(at + (2 * kSteps + h) * 512 + lane * 16), query[h]);
#pragma unroll
        for (int i = 0; i < 8; ++i) query[h][i] *= p.shape.scale;
      }
    }
    feed.Next();
    AttendStage<kLanes, kHeads>(at, range, first + turn * kSteps * S::kRows, query, &state);
    *stage = *stage + 1 == S::kStages ? 0 : *stage + 1;
  }
  JoinRows<kLanes, kHeads>(&state);
  if (lane < kLanes) {
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      if (lane == 0) {
        shared->most[warp][h] = state.most[h];
        shared->sum[warp][h] = state.sum[h];
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) shared->values[warp][h][lane * 8 + i] = state.values[h][i];
    }
  }
}

// Where the parts of a task's context are.
template <int kHeads>
__device__ __forceinline__ int64_t ContextOf(const AttentionParams& p, const Task& task, float** parts) {
  const int64_t context = int64_t{task.sequence} * p.tasks + task.which;
  *parts = p.parts + context * p.most_pieces * kHeads * (p.shape.head_dim + 2);
  return context;
}

// Counts this block's parts, and adds up those of contexts that are complete with them.
template <int kLanes, int kHeads>
__device__ __forceinline__ void JoinContexts(const AttentionParams& p, int total, Shared<kLanes, kHeads>* shared) {
  __threadfence();
  __syncthreads();
  float* parts = nullptr;
  for (int base = blockIdx.x; base < total; base += gridDim.x * kThreads) {
    const int mine = base + static_cast<int>(threadIdx.x * gridDim.x);
    bool last = false;
    if (mine < total) {
      int sequence = 0;
      while (shared->first_task[sequence + 1] <= mine) ++sequence;
      const Task task(p, sequence, mine - shared->first_task[sequence], kHeads);
      const int pieces = Range(p, shared->positions[sequence]).pieces();
      int* count = p.counts + ContextOf<kHeads>(p, task, &parts);
      last = pieces > 1 && atomicAdd(count, 1) + 1 == pieces;
      if (last) *count = 0;
    }
    shared->last[threadIdx.x] = last;
    __threadfence();
    __syncthreads();
    for (int i = 0; i < kThreads && base + i * static_cast<int>(gridDim.x) < total; ++i) {
      if (!shared->last[i]) continue;
      const Task task = TaskAt(p, *shared, base + i * static_cast<int>(gridDim.x), kHeads);
      ContextOf<kHeads>(p, task, &parts);
      JoinPieces<kHeads>(p, task, Range(p, shared->positions[task.sequence]).pieces(), parts);
    }
    __syncthreads();  // the marks may be written again
  }
}

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
