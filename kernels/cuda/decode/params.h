// What the token kernel is launched with. Host and device; internal to kernels/cuda.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda/layout.h"

namespace uaqf::cuda {

// Warps that compute; one more only copies. That leaves 96 registers a thread, and none may spill: shared memory leaves
// so little of the L1 cache that a spilled register is a trip to L2.
inline constexpr int kWarps = 16;
inline constexpr int kComputeThreads = kWarps * 32;
inline constexpr int kDecodeThreads = kComputeThreads + 32;
// About so many bytes are a chunk: of one tile's weights, or of keys and values.
inline constexpr int kChunkBytes = 32768;
// FP16 rows come as steps of so many columns: 128 bytes are what the copy engine swizzles. A chunk is as many for each
// warp.
inline constexpr int kRowStepCols = 64;
inline constexpr int kRowSteps = kChunkBytes / kTileRows / (kRowStepCols * 2);
// Tiles whose sums wait in shared memory for one reduction over the warps: a pair of rows for every four threads.
inline constexpr int kMaxTiles = 16;
inline constexpr int kPairThreads = kComputeThreads / (kMaxTiles * kTileRows / 2);
inline constexpr int kPartBytes = kMaxTiles * kWarps * kTileRows * 4;
inline constexpr int kMaxHidden = 8192;

enum MatrixIndex { kQkvMatrix, kOutMatrix, kGateUpMatrix, kDownMatrix, kHeadMatrix, kMatrices };

struct LayerTable {
  const uint8_t* data[4];
  const float* scales[4];
  const float* bias[4];     // null: none
  const int32_t* place[4];  // of each input in the vector that the matrix reads, see MatrixView; null: its own
  float input_scales[4];    // of INT8 activations, where fixed; 0: the largest of the vector sets it
  const float* norms[2];    // in the order of the matrix's first `inputs` columns
  __half* keys;             // or a quantized cache
  __half* values;
};

struct OpShape {
  TileMap map;
  int cols;
  int inputs;     // of them; the others meet the last of these again
  int int8_from;  // with rounded activations: inputs from here on are INT8
  int tiles;
  int tiles_mod;  // tiles % grid
  int blocks;     // along the columns: blocks of codes, or FP16 steps
  int64_t row_bytes;
};

// Of the angles in shared memory, see Context::rope.
__host__ __device__ constexpr int RopeBytes(int kv_bits, int head_dim) {
  return (kv_bits == 16 ? 1 : 2) * head_dim * 4;
}

__host__ __device__ inline int TableBytes(int layers) { return layers * static_cast<int>(sizeof(LayerTable)); }

// Lives in device memory between tokens.
struct DecodeState {
  int32_t token;       // the next input
  int32_t position;    // where it goes
  uint32_t arrivals;   // of blocks at the ends of ops, ever
  uint32_t epoch;      // value of `arrivals` before this token
  uint32_t steps;      // run so far
  uint32_t head_done;  // blocks that have finished the LM head
  int32_t refused;     // nonzero: a step was not run, token or position out of range
};

struct TokenParams {
  int grid;
  int layers, hidden, heads, kv_heads, head_dim, ff, vocab, capacity, window;
  float epsilon;
  float inverse_hidden;
  float query_scale;  // attention scale * log2 e
  OpShape op[kMatrices];
  const LayerTable* table;
  // FP16 on sm_90: a tensor map for each matrix of each layer, then one for the head. See tensor_map.h.
  const unsigned char* row_maps;
  const uint8_t* head;
  const uint8_t* embedding;
  int64_t embedding_row_bytes;
  const float* final_norm;
  const float* rope_cos;
  const float* rope_sin;
  // What blocks tell one another, FP32 with a mark in the lowest bit (see Mark in ptx.cuh), padded to whole blocks, in
  // the order in which the columns of the matrix that reads it want it.
  float* embedded;  // before the first layer
  float* residual;  // after the layer
  float* middle;    // after its attention
  float* query;
  float* own;  // [2][kv_heads * head_dim]: key and value of this position, rounded to FP16
  float* attended;
  float* gated;
  float* logits;  // plain FP32
  // Attention over parts of the context.
  int tasks;           // (KV head, up to 2 of its query heads)
  int tasks_per_head;  // of one KV head
  int splits;
  int attend_blocks;  // tasks * splits
  int task_queries;   // query heads of a task
  float* parts;       // [task][split][task_queries][head_dim + 2], marked: maximum (base 2), sum, output not normalized
  unsigned long long* best;  // [grid]: ordered logit and ~id
  DecodeState* state;
  int32_t* history;             // [capacity + 1]: input token of each position
  volatile int32_t* published;  // null, or the same for the host
  // Null, or [layers * 5 + 1][grid][4] clocks of each block: at entry of an op, after its wait, staged, multiplied.
  long long* trace;
  int early;  // blocks that may still be missing when one starts to ask for their values
  // Shared memory.
  int slots;
  int slot_bytes;
  // The staged vector: FP16 high and low halves; or three planes of digits, a scale for each block of 128, and a sum
  // for each group.
  int low_offset;
  int plane_bytes;
  int scales_offset;
  int sums_offset;  // of groups of digits, where codes have zeros
  int act_bytes;
  float round_step;  // of rounded activations: share of a group's largest value
};

}  // namespace uaqf::cuda
