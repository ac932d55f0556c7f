#include <cmath>
#include <new>

#include "kernels/cuda/bench/synthetic_model.h"

namespace uaqf::cuda {

namespace {

constexpr int kThreads = 256;
// Of neighbouring columns among the inputs, where they have an order; a prime, which no width is a multiple of.
constexpr int kStride = 997;

__device__ float Noise(uint64_t seed, int64_t index) {
  uint64_t z = seed + static_cast<uint64_t>(index + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return static_cast<float>(static_cast<uint32_t>(z >> 32)) * 0x1p-31f - 1.0f;
}

__global__ void FillFloatKernel(float* out, int64_t count, float mean, float spread, uint64_t seed) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) out[i] = mean + spread * Noise(seed, i);
}

__global__ void FillHalfKernel(__half* out, int64_t count, float spread, uint64_t seed) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) out[i] = __float2half_rn(spread * Noise(seed, i));
}

// Random codes, then pairs of scale and zero for values from -1 to 1.
__global__ void FillQuantizedKernel(uint32_t* out, int64_t code_words, int64_t words, int bits, uint64_t seed) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= words) return;
  const auto most = static_cast<float>((1 << bits) - 1);
  const __half2 pair = __floats2half2_rn(2 / most, static_cast<float>(1 << (bits - 1)));
  const auto codes = static_cast<uint32_t>(static_cast<int64_t>(static_cast<double>(Noise(seed, i)) * 2147483647.0));
  out[i] = i < code_words ? codes : *reinterpret_cast<const uint32_t*>(&pair);
}

__global__ void RopeKernel(float* cosine, float* sine, int positions, int half) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= int64_t{positions} * half) return;
  const double angle = static_cast<double>(i / half) * pow(10000.0, -static_cast<double>(i % half) / half);
  cosine[i] = static_cast<float>(cos(angle));
  sine[i] = static_cast<float>(sin(angle));
}

__global__ void SameScaleKernel(float* scales, int rows) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i > 0 && i < rows) scales[i] = scales[0];
}

unsigned Grid(int64_t count) { return static_cast<unsigned>((count + kThreads - 1) / kThreads); }

}  // namespace

SyntheticModel::~SyntheticModel() {
  for (void* buffer : buffers_) cudaFree(buffer);
}

DecodeConfig ConfigOf(const ModelShape& shape, int capacity) {
  DecodeConfig c;
  c.layers = shape.layers;
  c.hidden = shape.hidden;
  c.heads = shape.heads;
  c.kv_heads = shape.kv_heads;
  c.head_dim = shape.head_dim;
  c.ff = shape.ff;
  c.vocab = shape.vocab;
  c.window = shape.window;
  c.capacity = capacity;
  return c;
}

bool Listed(const std::string& list, const std::string& name) {
  return ("," + list + ",").find("," + name + ",") != std::string::npos;
}

template <typename T>
Status SyntheticModel::Reserve(T** pointer, int64_t count) {
  void* memory = nullptr;
  UAQF_CUDA_RETURN(cudaMalloc(&memory, static_cast<size_t>(count) * sizeof(T)));
  buffers_.push_back(memory);
  *pointer = static_cast<T*>(memory);
  return {};
}

Status SyntheticModel::MakeMatrix(const WeightKind& kind, int cols, const TileMap& map, uint64_t seed,
                                  cudaStream_t stream, const DeviceMatrix** out) {
  matrices_.push_back(std::make_unique<DeviceMatrix>());
  DeviceMatrix& m = *matrices_.back();
  MatrixSpec spec;
  spec.format = kind.format;
  spec.group = kind.group;
  // An INT8 group is two INT4 groups.
  spec.cols = cols + (kind.rounded ? kind.group : 0);
  spec.map = map;
  spec.zeros = kind.zeros;
  UAQF_CUDA_CHECK(DeviceMatrix::Create(spec, stream, &m));
  if (kind.rounded) {
    std::vector<int32_t> order(static_cast<size_t>(spec.cols));
    // down_proj has none: Atom puts the rows of gate and up in its order.
    const int64_t stride = cols == model_.config.ff ? 1 : kStride;
    for (int c = 0; c < cols; ++c) order[static_cast<size_t>(c)] = static_cast<int32_t>(c * stride % cols);
    for (int c = cols; c < spec.cols; ++c) order[static_cast<size_t>(c)] = order[static_cast<size_t>(c - kind.group)];
    UAQF_CUDA_CHECK(m.SetGather(order.data(), cols, stream));
  }
  UAQF_CUDA_CHECK(m.FillRandom(seed, stream));
  if (kind.per_tensor) {
    SameScaleKernel<<<Grid(map.rows), kThreads, 0, stream>>>(const_cast<float*>(m.view().row_scales), map.rows);
  }
  *out = &m;
  return FromCuda(cudaGetLastError(), "random matrix");
}

Status SyntheticModel::MakeLayer(const WeightKind& kind, uint64_t seed, cudaStream_t stream, DecodeLayer* l) {
  const DecodeConfig& c = model_.config;
  const int rotary = (c.heads + c.kv_heads) * c.head_dim;
  const TileMap qkv = {RowOrder::kRotary, rotary + c.kv_heads * c.head_dim, c.head_dim, rotary};
  UAQF_CUDA_CHECK(MakeMatrix(kind, c.hidden, qkv, seed + 1, stream, &l->qkv));
  UAQF_CUDA_CHECK(
      MakeMatrix(kind, c.heads * c.head_dim, {RowOrder::kPlain, c.hidden, 0, 0}, seed + 2, stream, &l->out));
  UAQF_CUDA_CHECK(MakeMatrix(kind, c.hidden, {RowOrder::kGated, 2 * c.ff, 0, 0}, seed + 3, stream, &l->gate_up));
  UAQF_CUDA_CHECK(MakeMatrix(kind, c.ff, {RowOrder::kPlain, c.hidden, 0, 0}, seed + 4, stream, &l->down));
  for (int i = 0; i < 2; ++i) {
    float* norm = nullptr;
    UAQF_CUDA_CHECK(Reserve(&norm, c.hidden));
    FillFloatKernel<<<Grid(c.hidden), kThreads, 0, stream>>>(norm, c.hidden, 1.0f, 0.3f, seed + 5 + i);
    (i == 0 ? l->attention_norm : l->mlp_norm) = norm;
  }
  UAQF_CUDA_CHECK(MakeCache(seed + 7, stream, &l->keys, &l->quantized_keys));
  UAQF_CUDA_CHECK(MakeCache(seed + 8, stream, &l->values, &l->quantized_values));
  return FromCuda(cudaGetLastError(), "random layer");
}

int64_t SyntheticModel::CacheValues() const {
  const DecodeConfig& c = model_.config;
  return int64_t{c.kv_heads} * c.capacity * c.head_dim;
}

Status SyntheticModel::MakeCache(uint64_t seed, cudaStream_t stream, __half** plain, uint8_t** quantized) {
  const DecodeConfig& c = model_.config;
  const KvShape shape = KvShapeOf(c);
  const int64_t values = CacheValues() * sequences_;
  if (c.kv_bits == 16) {
    UAQF_CUDA_CHECK(Reserve(plain, values));
    FillHalfKernel<<<Grid(values), kThreads, 0, stream>>>(*plain, values, 1.0f, seed);
    return {};
  }
  const int64_t words = KvCacheBytes(shape) / 4;
  const int64_t code_words = KvScalesOffset(c.kv_bits, c.kv_heads, c.head_dim, c.capacity) / 4;
  UAQF_CUDA_CHECK(Reserve(quantized, words * 4));
  FillQuantizedKernel<<<Grid(words), kThreads, 0, stream>>>(reinterpret_cast<uint32_t*>(*quantized), code_words, words,
                                                            c.kv_bits, seed);
  return {};
}

Status SyntheticModel::Create(const DecodeConfig& config, const WeightKind& kind, uint64_t seed, cudaStream_t stream,
                              std::unique_ptr<SyntheticModel>* out, int sequences) {
  std::unique_ptr<SyntheticModel> m(new (std::nothrow) SyntheticModel);
  if (m == nullptr) return MakeError(cudaErrorMemoryAllocation, "out of host memory");
  DecodeModel& model = m->model_;
  m->sequences_ = sequences;
  model.config = config;
  model.config.int8_activations = kind.int8_activations;
  if (kind.rounded) model.config.rounding = {kind.group, 0.9f / 7, kind.group};
  model.config.attention_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  m->layers_.resize(static_cast<size_t>(config.layers));
  for (int i = 0; i < config.layers; ++i) {
    UAQF_CUDA_CHECK(m->MakeLayer(kind, seed + 100 * (i + 1), stream, &m->layers_[static_cast<size_t>(i)]));
  }
  const WeightKind fp16 = {"fp16", Format::kFp16, 0, false, false};
  const TileMap vocab = {RowOrder::kPlain, config.vocab, 0, 0};
  UAQF_CUDA_CHECK(m->MakeMatrix(fp16, config.hidden, vocab, seed + 1, stream, &model.embedding));
  UAQF_CUDA_CHECK(m->MakeMatrix(fp16, config.hidden, vocab, seed + 2, stream, &model.lm_head));
  float* norm = nullptr;
  float* cosine = nullptr;
  float* sine = nullptr;
  const int64_t angles = int64_t{config.capacity} * (config.head_dim / 2);
  UAQF_CUDA_CHECK(m->Reserve(&norm, config.hidden));
  UAQF_CUDA_CHECK(m->Reserve(&cosine, angles));
  UAQF_CUDA_CHECK(m->Reserve(&sine, angles));
  FillFloatKernel<<<Grid(config.hidden), kThreads, 0, stream>>>(norm, config.hidden, 1.0f, 0.3f, seed + 3);
  RopeKernel<<<Grid(angles), kThreads, 0, stream>>>(cosine, sine, config.capacity, config.head_dim / 2);
  model.layers = m->layers_.data();
  model.final_norm = norm;
  model.rope_cos = cosine;
  model.rope_sin = sine;
  UAQF_CUDA_RETURN(cudaGetLastError());
  UAQF_CUDA_RETURN(cudaStreamSynchronize(stream));
  *out = std::move(m);
  return {};
}

}  // namespace uaqf::cuda
