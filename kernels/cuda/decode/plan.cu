#include <algorithm>

#include "kernels/cuda/decode/plan.h"

namespace uaqf::cuda {

namespace {

constexpr int kMaxSplits = 32;
constexpr int kQueriesPerTask = 2;
constexpr int kMaxSlots = 32;

OpShape ShapeOf(const DeviceMatrix& m, const Rounding& rounding, int step_cols, int grid) {
  OpShape s;
  s.inputs = m.view().inputs;
  s.int8_from = m.view().inputs - rounding.int8_inputs;
  s.map = m.spec().map;
  s.cols = m.cols();
  s.tiles = s.map.tiles();
  s.tiles_mod = s.tiles % grid;
  s.blocks = (m.cols() + step_cols - 1) / step_cols;
  s.row_bytes = m.view().row_bytes;
  return s;
}

// Whether some input comes in an order that its matrix does not have.
bool TakesScattered(const DecodeModel& model) {
  for (int i = 0; i < model.config.layers; ++i) {
    const DecodeLayer& l = model.layers[i];
    for (const DeviceMatrix* matrix : {l.qkv, l.out, l.gate_up, l.down}) {
      if (matrix->view().place != nullptr) return true;
    }
  }
  return false;
}

void SetSizes(const DecodeModel& model, int grid, TokenParams* p) {
  const DecodeConfig& c = model.config;
  p->grid = grid;
  p->layers = c.layers;
  p->hidden = c.hidden;
  p->heads = c.heads;
  p->kv_heads = c.kv_heads;
  p->head_dim = c.head_dim;
  p->ff = c.ff;
  p->vocab = c.vocab;
  p->capacity = c.capacity;
  p->window = c.window;
  p->epsilon = c.rms_epsilon;
  p->inverse_hidden = 1.0f / static_cast<float>(c.hidden);
  p->query_scale = c.attention_scale * 1.4426950408889634f;
  p->round_step = c.rounding.step;
  p->head = model.lm_head->view().data;
  p->embedding = model.embedding->view().data;
  p->embedding_row_bytes = model.embedding->view().row_bytes;
  p->final_norm = model.final_norm;
  p->rope_cos = model.rope_cos;
  p->rope_sin = model.rope_sin;
  p->published = model.published;
}

Status SetOps(const DecodeModel& model, const TokenLauncher& kernel, int grid, TokenParams* p) {
  const DecodeLayer& l = model.layers[0];
  const Rounding& rounding = model.config.rounding;
  p->op[kQkvMatrix] = ShapeOf(*l.qkv, rounding, kernel.step_cols, grid);
  p->op[kOutMatrix] = ShapeOf(*l.out, rounding, kernel.step_cols, grid);
  p->op[kGateUpMatrix] = ShapeOf(*l.gate_up, rounding, kernel.step_cols, grid);
  p->op[kDownMatrix] = ShapeOf(*l.down, rounding, kernel.step_cols, grid);
  p->op[kHeadMatrix] = ShapeOf(*model.lm_head, {}, kRowStepCols, grid);
  const int group = p->heads / p->kv_heads;
  p->task_queries = std::min(group, kQueriesPerTask);
  p->tasks_per_head = (group + kQueriesPerTask - 1) / kQueriesPerTask;
  p->tasks = p->kv_heads * p->tasks_per_head;
  p->splits = std::clamp(grid / p->tasks, 1, kMaxSplits);
  p->attend_blocks = p->tasks * p->splits;
  // Where four neighbours come from as many blocks, a vector that is asked for too early is asked for again and again.
  p->early = TakesScattered(model) ? grid / 16 : grid * 3 / 8;
  if (p->attend_blocks <= grid) return {};
  return MakeError(cudaErrorInvalidValue, "got %d attention tasks for %d multiprocessors, expected no more",
                   p->attend_blocks, grid);
}

// Cuts shared memory: what the activations need first, the rest is the ring.
Status SetShared(const TokenLauncher& kernel, const DecodeConfig& config, int available, TokenParams* p, int* bytes) {
  // Of block matrices, in whole blocks, and of all that may be read as FP16.
  int64_t widest = 0;
  for (int i = 0; i < kHeadMatrix; ++i) {
    widest = std::max<int64_t>(widest, int64_t{p->op[i].blocks} * kernel.step_cols);
  }
  const int64_t head = int64_t{p->op[kHeadMatrix].blocks} * kRowStepCols;
  const int64_t halves = kernel.planes == 0 ? std::max(widest, head) : head;
  p->low_offset = static_cast<int>(halves * 2 + 64);
  // An odd multiple of 32 bytes, so that the planes are read from different banks.
  p->plane_bytes = static_cast<int>(widest + 32);
  p->scales_offset = static_cast<int>(RoundUp(int64_t{kernel.planes} * p->plane_bytes, 16));
  // A scale of 4 bytes for each 128 columns and a sum for each 32, or one of them.
  p->sums_offset = static_cast<int>(RoundUp(p->scales_offset + widest / kBlockCols * 4, 16));
  const int64_t planes_end = kernel.planes > 0 ? p->sums_offset + widest / 32 * 4 : 0;
  const int64_t vector = std::max<int64_t>(p->low_offset + halves * 2, planes_end);
  const int64_t states = int64_t{kWarps} * p->task_queries * (p->head_dim + 2) * 4;
  p->act_bytes = static_cast<int>(RoundUp(std::max(vector, states), 128));
  p->slot_bytes = static_cast<int>(RoundUp(std::max(kernel.chunk_bytes, kChunkBytes), 128));
  const int fixed = p->act_bytes + kPartBytes + TableBytes(p->layers) + 64 * 4 + RopeBytes(config.kv_bits, p->head_dim);
  const int slot_total = p->slot_bytes + 16;
  p->slots = (available - fixed) / slot_total;
  if (p->slots < 2) {
    return MakeError(cudaErrorInvalidValue,
                     "got vectors of %lld values and %d layers: they leave %d of %d bytes of shared memory, expected "
                     "room for two chunks",
                     static_cast<long long>(widest), p->layers, available - fixed, available);
  }
  p->slots = std::min(p->slots, config.max_slots > 0 ? config.max_slots : kMaxSlots);
  *bytes = fixed + p->slots * slot_total;
  return {};
}

}  // namespace

Status PlanToken(const DecodeModel& model, const TokenLauncher& kernel, int multiprocessors, int available,
                 TokenParams* params, int* shared_bytes) {
  SetSizes(model, multiprocessors, params);
  UAQF_CUDA_CHECK(SetOps(model, kernel, multiprocessors, params));
  return SetShared(kernel, model.config, available, params, shared_bytes);
}

}  // namespace uaqf::cuda
