// What becomes of the sums of a tile: a few threads add up, over all warps, slots g and g + 8, and one does with the
// pair what the op wants.
#pragma once

#include "kernels/cuda/decode/stage.cuh"

namespace uaqf::cuda {

// Of the pair of rows that a thread will emit; loaded early, since nothing in the token changes them.
struct RowPair {
  bool has_first = false, has_second = false;
  int first = 0, second = 0;  // logical rows
  int to[2] = {0, 0};         // where they go, in the order of the reader
  int from[2] = {0, 0};       // where what they are added to is
  float scale[2] = {1, 1};
  float bias[2] = {0, 0};
};

// Where a warp leaves its sum of a row of the block's `local`th tile, among words. The rows of every other two warps
// change halves, so that the reduction reads all banks.
__device__ __forceinline__ int PartAt(int local, int warp, int row) {
  return (local * kWarps + warp) * kTileRows + (row ^ (warp & kPairThreads / 2) * (8 * 2 / kPairThreads));
}

// This thread's tile among the block's, and the slot of its pair.
__device__ __forceinline__ int LocalTile() { return static_cast<int>(threadIdx.x) / (8 * kPairThreads); }
__device__ __forceinline__ int PairSlot() { return static_cast<int>(threadIdx.x) / kPairThreads % 8; }

// Where results of the op at `c` go, and where what they are added to is.
__device__ __forceinline__ void PlacePair(const Context& x, const Cursor& c, RowPair& pair) {
  const LayerTable& layer = x.table[c.layer];
  const int32_t* to = nullptr;
  const int32_t* from = nullptr;
  if (c.op == kOutOp) {
    to = layer.place[kGateUpMatrix];
    from = layer.place[kQkvMatrix];
  } else if (c.op == kGateUpOp) {
    to = layer.place[kDownMatrix];
  } else if (c.op == kDownOp) {
    if (c.layer + 1 < x.p.layers) to = x.table[c.layer + 1].place[kQkvMatrix];
    from = layer.place[kGateUpMatrix];
  }
  // A pair of gate and up is one result.
  const bool has[2] = {pair.has_first, pair.has_second && c.op != kGateUpOp};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    if (!has[i]) continue;
    pair.to[i] = PlaceOf(to, pair.to[i]);
    pair.from[i] = PlaceOf(from, pair.from[i]);
  }
}

// Pair of this thread when the block starts at `tile`.
template <bool kPlaced>
__device__ __forceinline__ RowPair FindPair(const Context& x, const Cursor& c, int tile) {
  RowPair pair;
  const OpShape& s = x.p.op[MatrixOf(c.op)];
  const int mine = tile + LocalTile() * x.p.grid;
  if (mine >= s.tiles) return pair;
  const int g = PairSlot();
  int in_first;
  int in_second;
  s.map.Halves(mine, &pair.first, &pair.second);
  s.map.Counts(pair.first, pair.second, &in_first, &in_second);
  pair.has_first = g < in_first;
  pair.has_second = g < in_second;
  pair.first += g;
  pair.second += g;
  pair.to[0] = pair.from[0] = pair.first;
  pair.to[1] = pair.from[1] = pair.second;
  if (c.op == kHeadOp) return pair;
  if constexpr (kPlaced) PlacePair(x, c, pair);
  const LayerTable& layer = x.table[c.layer];
  const int m = MatrixOf(c.op);
  if (const float* scales = layer.scales[m]; scales != nullptr) {
    if (pair.has_first) pair.scale[0] = __ldg(scales + pair.first);
    if (pair.has_second) pair.scale[1] = __ldg(scales + pair.second);
  }
  if (const float* bias = layer.bias[m]; bias != nullptr) {
    if (pair.has_first) pair.bias[0] = __ldg(bias + pair.first);
    if (pair.has_second) pair.bias[1] = __ldg(bias + pair.second);
  }
  return pair;
}

// What the products are added to: asked for before the input is staged, taken after, when it joins the bias.
struct Residual {
  const float* source = nullptr;
  uint32_t mark = 0;
  uint32_t words[2] = {0, 0};

  __device__ __forceinline__ void Ask(const Context& x, const Cursor& c, const RowPair& pair) {
    if (c.op == kOutOp) {
      source = c.layer == 0 ? x.p.embedded : x.p.residual;
      mark = c.layer == 0 ? x.token_mark : MarkOf(x, c.layer - 1);
    } else if (c.op == kDownOp) {
      source = x.p.middle;
      mark = MarkOf(x, c.layer);
    } else {
      return;
    }
    if (pair.has_first) words[0] = LoadMarked(source + pair.from[0]);
    if (pair.has_second) words[1] = LoadMarked(source + pair.from[1]);
  }

  __device__ __forceinline__ void Take(RowPair& pair) const {
    if (source == nullptr) return;
    if (pair.has_first) pair.bias[0] += Value(source + pair.from[0], words[0]);
    if (pair.has_second) pair.bias[1] += Value(source + pair.from[1], words[1]);
  }

  __device__ __forceinline__ float Value(const float* pointer, uint32_t word) const {
    return ((word ^ mark) & 1) == 0 ? Unmarked(word) : Await(pointer, mark);
  }
};

// Over a quantized cache: attention turns the query, and writes the cache, since it has all dimensions of a row
// together.
__device__ __forceinline__ void EmitUnturned(const Context& x, const Cursor& c, const RowPair& pair, float a, float b) {
  const TokenParams& p = x.p;
  const uint32_t mark = MarkOf(x, c.layer);
  const int query_rows = p.heads * p.head_dim;
  for (int i = 0; i < 2; ++i) {
    if (!(i == 0 ? pair.has_first : pair.has_second)) continue;
    const int row = i == 0 ? pair.first : pair.second;
    const float value = i == 0 ? a : b;
    if (row < query_rows) {
      StoreMarked(p.query + row, value, mark);
    } else {
      StoreMarked(p.own + row - query_rows, __half2float(__float2half_rn(value)), mark);
    }
  }
}

__device__ __forceinline__ void EmitQkv(const Context& x, const Cursor& c, const RowPair& pair, float a, float b) {
  const TokenParams& p = x.p;
  const LayerTable& layer = x.table[c.layer];
  const uint32_t mark = MarkOf(x, c.layer);
  const int query_rows = p.heads * p.head_dim;
  const int rotated = (p.heads + p.kv_heads) * p.head_dim;
  const int dim = pair.first % p.head_dim;
  if (pair.first >= rotated) {
    for (int i = 0; i < 2; ++i) {
      if (!(i == 0 ? pair.has_first : pair.has_second)) continue;
      const int row = (i == 0 ? pair.first : pair.second) - rotated;
      const int64_t head = row / p.head_dim;
      const __half value = __float2half_rn(i == 0 ? a : b);
      layer.values[(head * p.capacity + x.position) * p.head_dim + row % p.head_dim] = value;
      StoreMarked(p.own + p.kv_heads * p.head_dim + row, __half2float(value), mark);
    }
    return;
  }
  const float cosine = x.rope[dim];
  const float sine = x.rope[p.head_dim / 2 + dim];
  const float turned_a = a * cosine - b * sine;
  const float turned_b = b * cosine + a * sine;
  if (pair.first < query_rows) {
    StoreMarked(p.query + pair.first, turned_a, mark);
    StoreMarked(p.query + pair.second, turned_b, mark);
    return;
  }
  const int64_t head = (pair.first - query_rows) / p.head_dim;
  __half* key = layer.keys + (head * p.capacity + x.position) * p.head_dim + dim;
  const __half rounded[2] = {__float2half_rn(turned_a), __float2half_rn(turned_b)};
  key[0] = rounded[0];
  key[p.head_dim / 2] = rounded[1];
  StoreMarked(p.own + pair.first - query_rows, __half2float(rounded[0]), mark);
  StoreMarked(p.own + pair.second - query_rows, __half2float(rounded[1]), mark);
}

// Orders like the value, then like the lowest id; NaN never wins.
__device__ __forceinline__ void Offer(unsigned long long& best, float logit, int id) {
  if (!(logit == logit)) return;
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  const unsigned long long key = static_cast<unsigned long long>(ordered) << 32 | static_cast<uint32_t>(~id);
  if (key > best) best = key;
}

template <int kBits>
__device__ __forceinline__ void EmitPair(const Context& x, const Cursor& c, const RowPair& pair, float a, float b,
                                         unsigned long long& best) {
  const TokenParams& p = x.p;
  const uint32_t mark = MarkOf(x, c.layer);
  switch (c.op) {
    case kQkvOp:
      if constexpr (kBits == 16) {
        EmitQkv(x, c, pair, a, b);
      } else {
        EmitUnturned(x, c, pair, a, b);
      }
      break;
    case kGateUpOp:
      StoreMarked(p.gated + pair.to[0], __fdividef(a, 1.0f + expf(-a)) * b, mark);
      break;
    case kHeadOp:
      if (pair.has_first) {
        p.logits[pair.first] = a;
        Offer(best, a, pair.first);
      }
      if (pair.has_second) {
        p.logits[pair.second] = b;
        Offer(best, b, pair.second);
      }
      break;
    default: {
      float* out = c.op == kOutOp ? p.middle : p.residual;
      if (pair.has_first) StoreMarked(out + pair.to[0], a, mark);
      if (pair.has_second) StoreMarked(out + pair.to[1], b, mark);
    }
  }
}

// Adds up what the warps have left in x.part and emits it. The threads of a pair take their part of the warps each.
template <class W>
__device__ __forceinline__ void Emit(const Context& x, const Cursor& c, const RowPair& pair, float scale,
                                     unsigned long long& best) {
  using Word = typename W::Sums::Word;
  const auto* part = reinterpret_cast<const Word*>(x.part);
  Word low = 0;
  Word high = 0;
#pragma unroll
  for (int i = 0; i < kWarps / kPairThreads; ++i) {
    const int warp = i * kPairThreads + x.lane % kPairThreads;
    low += part[PartAt(LocalTile(), warp, PairSlot())];
    high += part[PartAt(LocalTile(), warp, PairSlot() + 8)];
  }
#pragma unroll
  for (int step = 1; step < kPairThreads; step *= 2) {
    low += __shfl_xor_sync(~0u, low, step);
    high += __shfl_xor_sync(~0u, high, step);
  }
  if (x.lane % kPairThreads != 0 || !pair.has_first) return;  // without a first there is no second either
  const float a = static_cast<float>(low) * pair.scale[0] * scale + pair.bias[0];
  const float b = static_cast<float>(high) * pair.scale[1] * scale + pair.bias[1];
  EmitPair<kKvBits<W>>(x, c, pair, a, b, best);
}

}  // namespace uaqf::cuda
