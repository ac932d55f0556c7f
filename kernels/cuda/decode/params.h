// What the token kernel is launched with. Host and device; internal to kernels/cuda.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda/layout.h"

namespace uaqf::cuda {

#ifndef UAQF_DECODE_GROUPS
#define UAQF_DECODE_GROUPS 1
#endif
#ifndef UAQF_DECODE_CHUNK
#define UAQF_DECODE_CHUNK 4096
#endif
#ifndef UAQF_BLOCK_CHUNK
#define UAQF_BLOCK_CHUNK 4096
#endif

// Warps that share out the columns of a tile.
inline constexpr int kSlices = 8;
// Teams of kSlices warps, each with tiles of its own. Two were no faster than one.
inline constexpr int kGroups = UAQF_DECODE_GROUPS;
inline constexpr int kWarps = kSlices * kGroups;
inline constexpr int kDecodeThreads = kWarps * 32;
// About so many bytes are one asynchronous copy of a warp: of FP16 rows and of the cache, and of blocks of codes.
inline constexpr int kChunkBytes = UAQF_DECODE_CHUNK;
inline constexpr int kBlockChunkBytes = UAQF_BLOCK_CHUNK;
// Columns of an FP16 chunk of 16 rows.
inline constexpr int kRowChunkCols = kChunkBytes / 32;
// Tiles whose sums wait in shared memory for one reduction over the warps.
inline constexpr int kMaxTiles = 16;
// Normalized vectors are held in registers between the two passes over them.
inline constexpr int kNormVectors = 8192 / 4 / kDecodeThreads;
inline constexpr int kMaxHidden = 8192;

enum MatrixIndex { kQkvMatrix, kOutMatrix, kGateUpMatrix, kDownMatrix, kHeadMatrix, kMatrices };

struct LayerTable {
  const uint8_t* data[4];
  const float* scales[4];
  const float* bias[4];  // null: none
  const float* norms[2];
  __half* keys;
  __half* values;
};

struct OpShape {
  TileMap map;
  int cols;
  int tiles;
  int tiles_mod;  // tiles % grid
  int blocks;     // steps of a warp's share along the columns: blocks, or FP16 chunks
  int64_t row_bytes;
};

// Lives in device memory between tokens.
struct DecodeState {
  int32_t token;       // the next input
  int32_t position;    // where it goes
  uint32_t arrivals;   // of all grid barriers, ever
  uint32_t epoch;      // value of `arrivals` before this token
  uint32_t head_done;  // blocks that have finished the LM head
  int32_t refused;     // nonzero: a step was not run, token or position out of range
};

struct TokenParams {
  int grid;
  int layers, hidden, heads, kv_heads, head_dim, ff, vocab, capacity, window;
  float epsilon;
  float query_scale;  // attention scale * log2 e
  OpShape op[kMatrices];
  const LayerTable* table;
  const uint8_t* head;
  const uint8_t* embedding;
  int64_t embedding_row_bytes;
  const float* final_norm;
  const float* rope_cos;
  const float* rope_sin;
  // Activations, FP32, padded with zeros to whole blocks.
  float* residual;
  float* query;
  float* own;  // [2][kv_heads * head_dim]: key and value of this position, rounded to FP16
  float* attended;
  float* gated;
  float* logits;
  // Attention over parts of the context.
  int tasks;           // (KV head, up to 4 of its query heads)
  int tasks_per_head;  // of one KV head
  int splits;
  int attend_blocks;  // tasks * splits
  float* part_out;    // [task][split][4][head_dim], not normalized
  float* part_stats;  // [task][split][4][2]: maximum (base 2), sum
  uint32_t* task_done;
  unsigned long long* best;  // [grid]: ordered logit and ~id
  DecodeState* state;
  int32_t* history;  // [capacity + 1]: input token of each position
  // Null, or [layers * 5 + 1][grid][4] clocks of each block: at entry of an op, after its wait, staged, multiplied.
  long long* trace;
  // Shared memory.
  int slots;
  int slot_bytes;
  int low_offset;   // of the low halves of activations, from the high ones
  int sums_offset;  // of their sums, from the high halves
  int act_bytes;
};

}  // namespace uaqf::cuda
