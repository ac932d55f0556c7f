#include "worker/engine/cuda/cuda_engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/prefill_product.h"
#include "worker/engine/cuda/errors.h"
#include "worker/engine/cuda/fault.h"
#include "worker/engine/cuda/gpu.h"
#include "worker/engine/cuda/torch_ops.h"
#include "worker/engine/token_checks.h"
#include "worker/model/rope_table.h"
#include "worker/quantize/checkpoint_variant.h"

namespace uaqf::engine {
namespace {

constexpr int32_t kNone = -1;
// Steps on the device at one time: while one runs the next one waits behind it, so the device never waits for the host.
constexpr int64_t kDepth = 2;
// Polls of a token between two questions whether the device still works.
constexpr int kPolls = 1 << 14;
// What libtorch, cuBLAS and the driver take beside what we count, when asking whether a variant fits.
constexpr int64_t kOverheadBytes = 600 << 20;

cuda::KvShape KvShapeOf(const model::ModelConfig& c, const quantize::Variant& variant, int64_t capacity) {
  return {quantize::KvBits(variant), static_cast<int>(c.kv_heads), static_cast<int>(c.head_dim),
          static_cast<int>(capacity)};
}

// Of all layers.
int64_t CacheBytes(const model::ModelConfig& c, const cuda::KvShape& kv, int64_t sequences) {
  return c.layers * 2 * sequences * cuda::KvCacheBytes(kv);
}

// Of the current device.
absl::Status CheckBatch(const quantize::Variant& variant, int64_t max_batch) {
  if (max_batch == 1) return absl::OkStatus();
  bool has = false;
  UAQF_RETURN_IF_ERROR(ToStatus(cuda::HasStagedProducts(&has), "batch"));
  if (has && quantize::KvBits(variant) == 16) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(variant.name, ": got a batch of ", max_batch,
                                               " sequences, which has kernels for ",
                                               has ? "FP16 keys and values" : "compute capability 9.0",
                                               " only; ask for a batch of 1, or host it on the CPU (--device cpu)"));
}

absl::Status UploadTable(const float* values, int64_t count, DeviceBuffer& out) {
  UAQF_RETURN_IF_ERROR(ToStatus(out.Allocate(count * 4), "RoPE table"));
  return ToStatus(cudaMemcpy(out.as<float>(), values, static_cast<size_t>(count) * 4, cudaMemcpyHostToDevice),
                  "RoPE table");
}

}  // namespace

class CudaEngine::Scope : public Engine::AwakeScope {
 public:
  Scope(CudaEngine& engine, int64_t steps) : engine_(engine), outer_(engine.steps_left_) {
    engine_.steps_left_ = std::max(outer_, steps);
  }
  ~Scope() override {
    engine_.steps_left_ = outer_;
    // A failure here comes back in the next call.
    if (outer_ == 0) (void)engine_.Drain();
  }

 private:
  CudaEngine& engine_;
  const int64_t outer_;
};

absl::StatusOr<std::unique_ptr<Engine>> CudaEngine::Create(const model::Checkpoint& checkpoint,
                                                           const quantize::Variant& variant,
                                                           const EngineOptions& options, int ordinal) {
  const model::ModelConfig& config = checkpoint.config();
  UAQF_RETURN_IF_ERROR(quantize::FitsModel(variant, config));
  const absl::StatusOr<int64_t> capacity = CapacityOf(config, options);
  if (!capacity.ok()) return capacity.status();
  const absl::StatusOr<int64_t> max_batch = MaxBatchOf(options);
  if (!max_batch.ok()) return max_batch.status();
  const absl::StatusOr<GpuInfo> gpu = DescribeGpu(ordinal);
  if (!gpu.ok()) return gpu.status();
  std::unique_ptr<CudaEngine> engine;
  const absl::Status made = Guarded(absl::StrCat("cuda:", ordinal), [&]() -> absl::Status {
    UAQF_RETURN_IF_ERROR(ToStatus(cudaSetDevice(ordinal), absl::StrCat("cuda:", ordinal)));
    UAQF_RETURN_IF_ERROR(CheckBatch(variant, *max_batch));
    engine.reset(new CudaEngine(config, KvShapeOf(config, variant, *capacity), *max_batch, ordinal,
                                torch_ops::NewStream(ordinal)));
    engine->kernel_build_ = absl::StrCat("sm_", gpu->compute_capability);
    engine->kernel_build_.erase(std::remove(engine->kernel_build_.begin(), engine->kernel_build_.end(), '.'),
                                engine->kernel_build_.end());
    return engine->Load(checkpoint, variant, options.blocks);
  });
  if (!made.ok()) return absl::Status(made.code(), absl::StrCat(checkpoint.path(), ": ", made.message()));
  return engine;
}

CudaEngine::CudaEngine(const model::ModelConfig& config, const cuda::KvShape& kv, int64_t max_batch, int ordinal,
                       cudaStream_t stream)
    : config_(config), capacity_(kv.capacity), kv_(kv), max_batch_(max_batch), ordinal_(ordinal), stream_(stream) {}

CudaEngine::~CudaEngine() {
  // Nothing may read what is about to be freed.
  (void)Drain();
}

absl::Status CudaEngine::Load(const model::Checkpoint& checkpoint, const quantize::Variant& variant,
                              quantize::BlockStore* blocks) {
  const torch_ops::StreamScope scope(stream_, ordinal_);
  const int64_t packed = variant.method == quantize::Method::kCheckpoint ? quantize::PackedBytesOfRelease(checkpoint)
                                                                         : quantize::PackedBytes(variant, config_);
  const int64_t needed = packed + CacheBytes(config_, kv_, max_batch_) + kOverheadBytes;
  UAQF_RETURN_IF_ERROR(CheckFreeMemory(needed, absl::StrCat("variant ", std::string(variant.name), " with ", capacity_,
                                                            " tokens for each of ", max_batch_, " sequences")));
  auto weights = LoadCudaWeights(checkpoint, variant, blocks, stream_);
  if (!weights.ok()) return weights.status();
  weights_ = *std::move(weights);
  UAQF_RETURN_IF_ERROR(Allocate());
  const CudaTables tables = {rope_cos_.as<float>(), rope_sin_.as<float>(), cache_.as<uint8_t>(), max_batch_, kv_};
  auto prefill = engine::Prefill::Create(config_, variant, weights_, tables, stream_);
  if (!prefill.ok()) return prefill.status();
  prefill_ = *std::move(prefill);
  UAQF_RETURN_IF_ERROR(MakeGraph(variant));
  return WarmUp();
}

absl::Status CudaEngine::Allocate() {
  const model::RopeTable rope(config_.rope, config_.head_dim, capacity_);
  const int64_t angles = capacity_ * (config_.head_dim / 2);
  UAQF_RETURN_IF_ERROR(UploadTable(rope.cos(0), angles, rope_cos_));
  UAQF_RETURN_IF_ERROR(UploadTable(rope.sin(0), angles, rope_sin_));
  UAQF_RETURN_IF_ERROR(ToStatus(cache_.Allocate(CacheBytes(config_, kv_, max_batch_)), "KV cache"));
  UAQF_RETURN_IF_ERROR(ToStatus(next_.Allocate(max_batch_ * static_cast<int64_t>(sizeof(int32_t))), "token"));
  UAQF_RETURN_IF_ERROR(ToStatus(chosen_.Allocate((capacity_ + 1) * static_cast<int64_t>(sizeof(int32_t))), "tokens"));
  logits_.resize(static_cast<size_t>(max_batch_ * config_.vocab));
  prefill_watch_ = std::make_unique<Stopwatch>();
  // A kernel may read positions of a tile that lie behind the last one; whatever is there must be a number.
  return ToStatus(cudaMemsetAsync(cache_.as<char>(), 0, static_cast<size_t>(cache_.bytes()), stream_), "KV cache");
}

absl::Status CudaEngine::MakeGraph(const quantize::Variant& variant) {
  cuda::DecodeConfig& c = model_.config;
  c.layers = static_cast<int>(config_.layers);
  c.hidden = static_cast<int>(config_.hidden);
  c.heads = static_cast<int>(config_.heads);
  c.kv_heads = static_cast<int>(config_.kv_heads);
  c.head_dim = static_cast<int>(config_.head_dim);
  c.ff = static_cast<int>(config_.ff);
  c.vocab = static_cast<int>(config_.vocab);
  c.capacity = static_cast<int>(capacity_);
  c.window = static_cast<int>(config_.sliding_window);
  c.rms_epsilon = static_cast<float>(config_.rms_eps);
  c.attention_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config_.head_dim)));
  c.int8_activations = variant.activation_bits == 8;
  c.rounding = weights_.form.rounding;
  c.kv_bits = kv_.bits;
  const int64_t cache_bytes = max_batch_ * cuda::KvCacheBytes(kv_);
  auto* cache = cache_.as<uint8_t>();
  for (const CudaLayer& layer : weights_.layers) {
    cuda::DecodeLayer& out = layers_.emplace_back();
    out.qkv = &layer.qkv.matrix;
    out.out = &layer.out.matrix;
    out.gate_up = &layer.gate_up.matrix;
    out.down = &layer.down.matrix;
    out.qkv_bias = layer.qkv.bias_or_null();
    out.out_bias = layer.out.bias_or_null();
    out.gate_up_bias = layer.gate_up.bias_or_null();
    out.down_bias = layer.down.bias_or_null();
    const CudaLinear* const linears[4] = {&layer.qkv, &layer.out, &layer.gate_up, &layer.down};
    for (int i = 0; i < 4; ++i) out.input_scales[i] = linears[i]->input_scale;
    out.attention_norm = layer.attention_norm.as<float>();
    out.mlp_norm = layer.mlp_norm.as<float>();
    if (kv_.bits == 16) {
      out.keys = reinterpret_cast<__half*>(cache);
      out.values = reinterpret_cast<__half*>(cache + cache_bytes);
    } else {
      out.quantized_keys = cache;
      out.quantized_values = cache + cache_bytes;
    }
    cache += 2 * cache_bytes;
  }
  model_.layers = layers_.data();
  model_.embedding = &weights_.embedding_or_tied();
  model_.lm_head = &weights_.lm_head;
  model_.final_norm = weights_.final_norm.as<float>();
  model_.rope_cos = rope_cos_.as<float>();
  model_.rope_sin = rope_sin_.as<float>();
  model_.published = chosen_.device<int32_t>();
  UAQF_RETURN_IF_ERROR(ToStatus(cuda::DecodeGraph::Create(model_, stream_, &graph_), "decode"));
  if (max_batch_ == 1) return absl::OkStatus();
  const cuda::BatchOptions batch = {static_cast<int>(max_batch_), cuda::KvCacheBytes(kv_) / 2};
  return ToStatus(cuda::BatchGraph::Create(model_, batch, stream_, &batch_graph_), "batch");
}

// libtorch and cuBLAS make what they need at their first call; that is no part of a generation.
absl::Status CudaEngine::WarmUp() {
  const std::vector<int32_t> ids(static_cast<size_t>(std::min<int64_t>(capacity_, 32)), 0);
  const absl::StatusOr<int32_t> token = PrefillAll(ids);
  Reset();
  return token.status();
}

void CudaEngine::Reset() {
  // A failure here comes back in the next call.
  (void)Drain();
  position_ = 0;
  batch_.clear();
}

absl::Status CudaEngine::Drain() {
  in_flight_ = 0;
  armed_ = false;
  return ToStatus(cudaStreamSynchronize(stream_), "waiting for the GPU");
}

absl::StatusOr<int32_t> CudaEngine::Prefill(std::span<const int32_t> ids) {
  UAQF_RETURN_IF_ERROR(CheckTokens(config_, capacity_, ids, "a prompt", 1));
  absl::StatusOr<int32_t> token;
  const absl::Status status = Guarded("prefill", [&]() -> absl::Status {
    const torch_ops::StreamScope scope(stream_, ordinal_);
    token = PrefillAll(ids);
    return token.status();
  });
  if (!status.ok()) {
    position_ = 0;
    return status;
  }
  return token;
}

absl::StatusOr<int32_t> CudaEngine::PrefillAll(std::span<const int32_t> ids) {
  UAQF_RETURN_IF_ERROR(Drain());
  logits_current_ = false;
  steps_timed_ = 0;
  position_ = 0;
  batch_.clear();
  if (time_device_) prefill_watch_->Begin(stream_);
  auto* next = next_.as<int32_t>();
  UAQF_RETURN_IF_ERROR(PrefillSequence(ids, 0, graph_->mutable_logits(), next));
  if (time_device_) prefill_watch_->End(stream_);
  position_ = static_cast<int64_t>(ids.size());
  int32_t token = 0;
  UAQF_RETURN_IF_ERROR(
      ToStatus(cudaMemcpyAsync(&token, next, sizeof(token), cudaMemcpyDeviceToHost, stream_), "prefill"));
  UAQF_RETURN_IF_ERROR(Drain());
  return token;
}

absl::Status CudaEngine::PrefillSequence(std::span<const int32_t> ids, int64_t sequence, float* logits, int32_t* next) {
  int64_t position = 0;
  int64_t last = 0;
  while (!ids.empty()) {
    const auto part = ids.first(std::min(ids.size(), static_cast<size_t>(prefill_->tokens())));
    UAQF_RETURN_IF_ERROR(prefill_->Forward(part, position, sequence));
    last = static_cast<int64_t>(part.size()) - 1;
    position += static_cast<int64_t>(part.size());
    ids = ids.subspan(part.size());
  }
  UAQF_RETURN_IF_ERROR(prefill_->Logits(last, logits));
  return ToStatus(cuda::ArgMax(logits, static_cast<int>(config_.vocab), next, stream_), "prefill");
}

absl::StatusOr<int32_t> CudaEngine::Decode(int32_t token) {
  UAQF_RETURN_IF_ERROR(CheckStep(config_, capacity_, position(), token));
  UAQF_RETURN_IF_ERROR(Faults::OfProcess().Step());
  return DecodeOne(token);
}

absl::StatusOr<int32_t> CudaEngine::DecodeOne(int32_t token) {
  if (!armed_ || token != predicted_) {
    UAQF_RETURN_IF_ERROR(Drain());
    UAQF_RETURN_IF_ERROR(ToStatus(graph_->Set(token, static_cast<int32_t>(position_)), "decode"));
    armed_ = true;
  }
  const int64_t wanted = std::min({kDepth, std::max<int64_t>(1, steps_left_), capacity_ - position_});
  while (in_flight_ < wanted) UAQF_RETURN_IF_ERROR(Launch());
  const absl::StatusOr<int32_t> next = Await(position_ + 1);
  if (!next.ok()) {
    in_flight_ = 0;
    armed_ = false;
    return next;
  }
  ++position_;
  --in_flight_;
  if (steps_left_ > 0) --steps_left_;
  predicted_ = *next;
  logits_current_ = false;
  // The token is there a moment before the step has ended.
  if (in_flight_ == 0) UAQF_RETURN_IF_ERROR(ToStatus(cudaStreamSynchronize(stream_), "decode"));
  return next;
}

absl::Status CudaEngine::Launch() {
  const int64_t target = position_ + in_flight_ + 1;
  *Slot(target) = kNone;
  UAQF_RETURN_IF_ERROR(Timed([this] { return graph_->Step(); }));
  ++in_flight_;
  return absl::OkStatus();
}

absl::Status CudaEngine::Timed(const std::function<cuda::Status()>& step) {
  if (!time_device_) return ToStatus(step(), "decode");
  if (steps_timed_ == step_watches_.size()) step_watches_.push_back(std::make_unique<Stopwatch>());
  Stopwatch& watch = *step_watches_[steps_timed_++];
  watch.Begin(stream_);
  UAQF_RETURN_IF_ERROR(ToStatus(step(), "decode"));
  watch.End(stream_);
  return absl::OkStatus();
}

absl::StatusOr<int32_t> CudaEngine::Await(int64_t position) {
  volatile int32_t* slot = Slot(position);
  while (true) {
    for (int i = 0; i < kPolls; ++i) {
      const int32_t token = *slot;
      if (token != kNone) return token;
      __builtin_ia32_pause();
    }
    const cudaError_t state = cudaStreamQuery(stream_);
    if (state == cudaErrorNotReady) continue;
    UAQF_RETURN_IF_ERROR(ToStatus(state, "decode"));
    // All is done: the token is there, or never comes.
    if (const int32_t token = *slot; token != kNone) return token;
    return absl::InternalError(absl::StrCat("decode: the step at position ", position - 1, " chose no token"));
  }
}

std::span<const float> CudaEngine::logits() const {
  if (in_flight_ > 0) return {};
  const size_t count = std::max<size_t>(batch_.size(), 1) * static_cast<size_t>(config_.vocab);
  if (!logits_current_) {
    const float* logits = batch_.size() > 1 ? batch_graph_->logits() : graph_->logits();
    // Nothing runs, so the default stream sees what the engine's left.
    if (cudaMemcpy(logits_.data(), logits, count * sizeof(float), cudaMemcpyDeviceToHost) != cudaSuccess) return {};
    logits_current_ = true;
  }
  return std::span(logits_).first(count);
}

absl::StatusOr<std::vector<double>> CudaEngine::Score(std::span<const int32_t> window) {
  UAQF_RETURN_IF_ERROR(CheckTokens(config_, capacity_, window, "a window", 2));
  std::vector<double> nll;
  const absl::Status status = Guarded("score", [&]() -> absl::Status {
    const torch_ops::StreamScope scope(stream_, ordinal_);
    return ScoreAll(window, nll);
  });
  position_ = 0;
  if (!status.ok()) return status;
  return nll;
}

absl::Status CudaEngine::ScoreAll(std::span<const int32_t> window, std::vector<double>& nll) {
  UAQF_RETURN_IF_ERROR(Drain());
  batch_.clear();
  nll.reserve(window.size() - 1);
  while (nll.size() + 1 < window.size()) {
    const size_t done = nll.size();
    const size_t count = std::min(window.size() - 1 - done, static_cast<size_t>(prefill_->tokens()));
    UAQF_RETURN_IF_ERROR(prefill_->Forward(window.subspan(done, count), static_cast<int64_t>(done)));
    UAQF_RETURN_IF_ERROR(prefill_->Score(window.subspan(done + 1, count), nll));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Engine::LogitsReader>> CudaEngine::ReadLogits(std::span<const int32_t> window) {
  UAQF_RETURN_IF_ERROR(CheckTokens(config_, capacity_, window, "a window", 2));
  UAQF_RETURN_IF_ERROR(Drain());
  batch_.clear();
  return std::make_unique<BufferedReader>(
      window, config_.vocab, [this](WindowPass& pass) { return NextLogits(pass); }, [this] { Reset(); });
}

absl::StatusOr<std::span<const float>> CudaEngine::NextLogits(WindowPass& pass) {
  int64_t count = 0;
  const absl::Status status = Guarded("logits", [&]() -> absl::Status {
    const torch_ops::StreamScope scope(stream_, ordinal_);
    if (pass.read == pass.inputs()) return absl::OkStatus();
    if (many_logits_.host<float>() == nullptr) {
      UAQF_RETURN_IF_ERROR(
          ToStatus(many_logits_.Allocate(engine::Prefill::kLogitsTokens * config_.vocab * 4), "logits"));
    }
    if (pass.read == pass.forwarded) {
      pass.in_workspace = std::min(pass.inputs() - pass.read, prefill_->tokens());
      const auto ids = pass.window.subspan(static_cast<size_t>(pass.read), static_cast<size_t>(pass.in_workspace));
      UAQF_RETURN_IF_ERROR(prefill_->Forward(ids, pass.read));
      UAQF_RETURN_IF_ERROR(prefill_->NormForLogits(pass.in_workspace));
      pass.forwarded += pass.in_workspace;
    }
    count = std::min(engine::Prefill::kLogitsTokens, pass.forwarded - pass.read);
    const float* logits = prefill_->LogitsOf(pass.read - (pass.forwarded - pass.in_workspace), count);
    UAQF_RETURN_IF_ERROR(ToStatus(
        cudaMemcpyAsync(many_logits_.host<float>(), logits, static_cast<size_t>(count * config_.vocab) * sizeof(float),
                        cudaMemcpyDeviceToHost, stream_),
        "logits"));
    pass.read += count;
    return Drain();
  });
  if (!status.ok()) return status;
  return std::span<const float>(many_logits_.host<float>(), static_cast<size_t>(count * config_.vocab));
}

std::unique_ptr<Engine::AwakeScope> CudaEngine::KeepAwake(int64_t most_steps) {
  return std::make_unique<Scope>(*this, most_steps);
}

DeviceTimes CudaEngine::device_times() const {
  DeviceTimes times;
  if (!time_device_ || in_flight_ > 0) return times;
  times.prefill_ns = prefill_watch_->Nanoseconds();
  for (size_t i = 0; i < steps_timed_; ++i) times.decode_ns += step_watches_[i]->Nanoseconds();
  return times;
}

EngineMemory CudaEngine::memory() const {
  EngineMemory memory;
  memory.weights_bytes = weights_.total_bytes();
  memory.block_weights_bytes = weights_.block_bytes();
  memory.kv_cache_bytes = cache_.bytes();
  memory.workspace_bytes = prefill_->bytes() + graph_->workspace_bytes() + rope_cos_.bytes() + rope_sin_.bytes();
  if (batch_graph_ != nullptr) memory.workspace_bytes += batch_graph_->workspace_bytes();
  return memory;
}

int64_t CudaEngine::bytes_per_token(int64_t context) const { return cuda::BytesPerToken(model_, context); }

}  // namespace uaqf::engine
