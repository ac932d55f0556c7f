#include "worker/engine/cpu_engine.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/argmax.h"
#include "kernels/isa.h"
#include "kernels/log_softmax.h"
#include "kernels/matmul.h"
#include "kernels/rms_norm.h"
#include "kernels/silu_mul.h"
#include "worker/engine/token_checks.h"

namespace uaqf::engine {
namespace {

using kernels::ThreadPool;

// Tokens that go through a layer together: enough to amortize a pass over the weights, few enough that the activations
// of a 7B model stay at some 50 MB. Results do not depend on it.
constexpr int64_t kPrefillTokens = 512;
// Positions whose logits exist at one time in Score: 64 x 128k vocabulary entries are 33 MB.
constexpr int64_t kScoreTokens = 64;
// Sequences of a batch that are faster one after the other, each through the kernels for one vector.
constexpr size_t kVectorSequences = 4;

class CpuAwakeScope : public Engine::AwakeScope {
 public:
  explicit CpuAwakeScope(ThreadPool& pool) : region_(pool) {}

 private:
  ThreadPool::ActiveRegion region_;
};

std::vector<int> UsableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

absl::StatusOr<std::unique_ptr<ThreadPool>> MakePool(const EngineOptions& options) {
  std::vector<int> cpus = options.cpu_set.empty() ? UsableCpus() : options.cpu_set;
  const int available = static_cast<int>(cpus.size());
  if (options.threads < 0 || options.threads > available) {
    return absl::InvalidArgumentError(absl::StrCat("got ", options.threads, " threads, expected 1 to ", available,
                                                   ", the CPUs this process may use; ask for fewer"));
  }
  if (options.threads > 0) cpus.resize(static_cast<size_t>(options.threads));
  return ThreadPool::Create(cpus);
}

kernels::Activations ActivationsOfVariant(const quantize::Variant& variant) {
  if (variant.method == quantize::Method::kAtom) {
    kernels::Activations groups = {.kind = kernels::Activations::Kind::kGroups};
    groups.clip = static_cast<float>(variant.option("activation-clip"));
    groups.keepers = static_cast<int64_t>(variant.option("keepers"));
    return groups;
  }
  if (variant.activation_bits != 8) return kernels::Activations::kFloat;
  return variant.activation_scope == quantize::ActivationScope::kTensor ? kernels::Activations::kInt8Tensor
                                                                        : kernels::Activations::kInt8;
}

kernels::Product ProductOf(const Linear& linear, float* out) {
  return {&linear.matrix, out, linear.bias_or_null(), false};
}

// The residual stream takes the product on top.
kernels::Product AddTo(float* residual, const Linear& linear) {
  return {&linear.matrix, residual, linear.bias_or_null(), true};
}

kernels::AlignedBuffer Floats(int64_t count) {
  return kernels::AlignedBuffer(count * static_cast<int64_t>(sizeof(float)));
}

}  // namespace

CpuEngine::Workspace::Workspace(const model::ModelConfig& c, int64_t tokens)
    : tokens(tokens),
      residual(Floats(tokens * c.hidden)),
      normed(Floats(tokens * c.hidden)),
      q(Floats(tokens * c.heads * c.head_dim)),
      k(Floats(tokens * c.kv_heads * c.head_dim)),
      v(Floats(tokens * c.kv_heads * c.head_dim)),
      attended(Floats(tokens * c.heads * c.head_dim)),
      gate(Floats(tokens * c.ff)),
      up(Floats(tokens * c.ff)) {}

int64_t CpuEngine::Workspace::bytes() const {
  return residual.size() + normed.size() + q.size() + k.size() + v.size() + attended.size() + gate.size() + up.size();
}

absl::StatusOr<std::unique_ptr<Engine>> CpuEngine::Create(const model::Checkpoint& checkpoint,
                                                          const quantize::Variant& variant,
                                                          const EngineOptions& options) {
  const model::ModelConfig& config = checkpoint.config();
  if (absl::Status status = quantize::FitsModel(variant, config); !status.ok()) return status;
  absl::StatusOr<int64_t> capacity = CapacityOf(config, options);
  if (!capacity.ok()) return capacity.status();
  absl::StatusOr<int64_t> max_batch = MaxBatchOf(options);
  if (!max_batch.ok()) return max_batch.status();
  absl::StatusOr<std::unique_ptr<ThreadPool>> pool = MakePool(options);
  if (!pool.ok()) return pool.status();
  absl::StatusOr<Weights> weights = LoadWeights(checkpoint, variant, options.blocks, **pool);
  if (!weights.ok()) {
    return absl::Status(weights.status().code(), absl::StrCat(checkpoint.path(), ": ", weights.status().message()));
  }
  return std::unique_ptr<Engine>(
      new CpuEngine(config, variant, *capacity, *max_batch, *std::move(pool), *std::move(weights)));
}

CpuEngine::CpuEngine(const model::ModelConfig& config, const quantize::Variant& variant, int64_t capacity,
                     int64_t max_batch, std::unique_ptr<ThreadPool> pool, Weights weights)
    : config_(config),
      activations_(ActivationsOfVariant(variant)),
      capacity_(capacity),
      pool_(std::move(pool)),
      weights_(std::move(weights)),
      rope_(config.rope, config.head_dim, capacity),
      workspace_(config, std::max(std::min(capacity, kPrefillTokens), max_batch)),
      logits_(static_cast<size_t>(max_batch * config.vocab)) {
  for (int64_t i = 0; i < max_batch; ++i) caches_.emplace_back(config, quantize::KvBits(variant), capacity, rope_);
}

kernels::Activations CpuEngine::ActivationsOf(const Linear& linear, bool batch) const {
  if (linear.input_scale > 0) return kernels::Activations::Int8Fixed(linear.input_scale);
  const bool shared = activations_.kind == kernels::Activations::kInt8Tensor.kind;
  return batch && shared ? kernels::Activations::kInt8 : activations_;
}

void CpuEngine::Norm(const std::vector<float>& weight, int64_t tokens) {
  const auto epsilon = static_cast<float>(config_.rms_eps);
  const int64_t width = config_.hidden;
  const auto rows = [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      kernels::RmsNorm(workspace_.residual.data<float>() + t * width, weight.data(), width, epsilon,
                       workspace_.normed.data<float>() + t * width);
    }
  };
  if (tokens == 1) return rows(0, 1, 0);
  pool_->ParallelFor(tokens, rows);
}

void CpuEngine::RotateAndStore(int64_t layer, const Step& step, int64_t token) {
  const auto index = static_cast<size_t>(token);
  const int64_t kv_width = config_.kv_heads * config_.head_dim;
  CpuKvCache& cache = caches_[step.batch ? index : step.sequence];
  cache.Write(layer, step.batch ? batch_[index] : step.position + token,
              workspace_.q.data<float>() + token * config_.heads * config_.head_dim,
              workspace_.k.data<float>() + token * kv_width, workspace_.v.data<float>() + token * kv_width);
}

void CpuEngine::AttendMany(int64_t layer, const Step& step) {
  const float* query = workspace_.q.data<float>();
  auto* attended = workspace_.attended.data<float>();
  if (!step.batch) {
    return caches_[step.sequence].AttendMany(layer, step.position, static_cast<int64_t>(step.ids.size()), query,
                                             attended, *pool_);
  }
  const int64_t width = config_.heads * config_.head_dim;
  for (size_t i = 0; i < step.ids.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i) * width;
    caches_[i].Attend(layer, batch_[i], query + at, attended + at, *pool_);
  }
}

void CpuEngine::ForwardOne(const LayerWeights& layer, int64_t index, const Step& step) {
  Workspace& w = workspace_;
  Norm(layer.attention_norm, 1);
  const kernels::Product qkv[] = {ProductOf(layer.q, w.q.data<float>()), ProductOf(layer.k, w.k.data<float>()),
                                  ProductOf(layer.v, w.v.data<float>())};
  kernels::MatVec(qkv, w.normed.data<float>(), ActivationsOf(layer.q), *pool_);
  RotateAndStore(index, step, 0);
  caches_[step.sequence].Attend(index, step.position, w.q.data<float>(), w.attended.data<float>(), *pool_);
  const kernels::Product out[] = {AddTo(w.residual.data<float>(), layer.o)};
  kernels::MatVec(out, w.attended.data<float>(), ActivationsOf(layer.o), *pool_);

  Norm(layer.mlp_norm, 1);
  if (layer.gate.bias.empty() && layer.up.bias.empty()) {
    kernels::MatVecGated(layer.gate.matrix, layer.up.matrix, w.normed.data<float>(), w.gate.data<float>(),
                         ActivationsOf(layer.gate), *pool_);
  } else {
    const kernels::Product gated[] = {ProductOf(layer.gate, w.gate.data<float>()),
                                      ProductOf(layer.up, w.up.data<float>())};
    kernels::MatVec(gated, w.normed.data<float>(), ActivationsOf(layer.gate), *pool_);
    kernels::SiluMul(w.gate.data<float>(), w.up.data<float>(), config_.ff, w.gate.data<float>());
  }
  const kernels::Product down[] = {AddTo(w.residual.data<float>(), layer.down)};
  kernels::MatVec(down, w.gate.data<float>(), ActivationsOf(layer.down), *pool_);
}

void CpuEngine::ForwardMany(const LayerWeights& layer, int64_t index, const Step& step) {
  Workspace& w = workspace_;
  const auto tokens = static_cast<int64_t>(step.ids.size());
  const auto multiply = [&](std::span<const kernels::Product> products, const kernels::AlignedBuffer& in,
                            const Linear& first) {
    kernels::MatMul(products, in.data<float>(), tokens, ActivationsOf(first, step.batch), *pool_);
  };
  Norm(layer.attention_norm, tokens);
  const kernels::Product qkv[] = {ProductOf(layer.q, w.q.data<float>()), ProductOf(layer.k, w.k.data<float>()),
                                  ProductOf(layer.v, w.v.data<float>())};
  multiply(qkv, w.normed, layer.q);
  pool_->ParallelFor(tokens, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) RotateAndStore(index, step, t);
  });
  AttendMany(index, step);
  const kernels::Product out[] = {AddTo(w.residual.data<float>(), layer.o)};
  multiply(out, w.attended, layer.o);

  Norm(layer.mlp_norm, tokens);
  const kernels::Product gated[] = {ProductOf(layer.gate, w.gate.data<float>()),
                                    ProductOf(layer.up, w.up.data<float>())};
  multiply(gated, w.normed, layer.gate);
  pool_->ParallelFor(tokens, [&](int64_t begin, int64_t end, int) {
    float* gate = w.gate.data<float>() + begin * config_.ff;
    kernels::SiluMul(gate, w.up.data<float>() + begin * config_.ff, (end - begin) * config_.ff, gate);
  });
  const kernels::Product down[] = {AddTo(w.residual.data<float>(), layer.down)};
  multiply(down, w.gate, layer.down);
}

void CpuEngine::Forward(const Step& step) {
  for (size_t t = 0; t < step.ids.size(); ++t) {
    weights_.embedding_or_tied().DequantizeRow(
        step.ids[t], workspace_.residual.data<float>() + static_cast<int64_t>(t) * config_.hidden);
  }
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    const LayerWeights& weights = weights_.layers[static_cast<size_t>(layer)];
    if (step.ids.size() == 1) {
      ForwardOne(weights, layer, step);
    } else {
      ForwardMany(weights, layer, step);
    }
  }
}

int32_t CpuEngine::NextToken(int64_t token, float* logits) {
  float* residual = workspace_.residual.data<float>();
  if (token > 0) std::copy_n(residual + token * config_.hidden, config_.hidden, residual);
  Norm(weights_.final_norm, 1);
  const kernels::Product head[] = {{&weights_.lm_head, logits, nullptr, false}};
  kernels::MatVec(head, workspace_.normed.data<float>(), kernels::Activations::kFloat, *pool_);
  return static_cast<int32_t>(kernels::ArgMax(logits, config_.vocab));
}

std::vector<int32_t> CpuEngine::NextTokens(int64_t count) {
  Norm(weights_.final_norm, count);
  const kernels::Product head[] = {{&weights_.lm_head, logits_.data(), nullptr, false}};
  kernels::MatMul(head, workspace_.normed.data<float>(), count, kernels::Activations::kFloat, *pool_);
  std::vector<int32_t> next;
  for (int64_t i = 0; i < count; ++i) {
    next.push_back(static_cast<int32_t>(kernels::ArgMax(logits_.data() + i * config_.vocab, config_.vocab)));
  }
  return next;
}

std::span<const float> CpuEngine::logits() const {
  const size_t sequences = std::max<size_t>(batch_.size(), 1);
  return std::span(logits_).first(sequences * static_cast<size_t>(config_.vocab));
}

void CpuEngine::Reset() {
  position_ = 0;
  batch_.clear();
}

int64_t CpuEngine::PrefillSequence(std::span<const int32_t> ids, size_t sequence) {
  int64_t position = 0;
  int64_t last = 0;
  while (!ids.empty()) {
    const auto chunk = ids.first(std::min(ids.size(), static_cast<size_t>(workspace_.tokens)));
    Forward({chunk, sequence, position});
    last = static_cast<int64_t>(chunk.size()) - 1;
    position += static_cast<int64_t>(chunk.size());
    ids = ids.subspan(chunk.size());
  }
  return last;
}

absl::StatusOr<int32_t> CpuEngine::Prefill(std::span<const int32_t> ids) {
  if (absl::Status status = CheckTokens(config_, capacity_, ids, "a prompt", 1); !status.ok()) return status;
  const ThreadPool::ActiveRegion awake(*pool_);
  Reset();
  const int64_t last = PrefillSequence(ids, 0);
  position_ = static_cast<int64_t>(ids.size());
  return NextToken(last, LogitsOf(0));
}

absl::StatusOr<int32_t> CpuEngine::Decode(int32_t token) {
  if (absl::Status status = CheckStep(config_, capacity_, position_, token); !status.ok()) return status;
  const ThreadPool::ActiveRegion awake(*pool_);
  Forward({{&token, 1}, 0, position_});
  ++position_;
  return NextToken(0, LogitsOf(0));
}

absl::StatusOr<std::vector<int32_t>> CpuEngine::PrefillBatch(std::span<const std::span<const int32_t>> prompts) {
  Reset();
  if (absl::Status status = CheckPrompts(config_, capacity_, max_batch(), prompts); !status.ok()) return status;
  const ThreadPool::ActiveRegion awake(*pool_);
  std::vector<int32_t> next;
  for (size_t i = 0; i < prompts.size(); ++i) {
    next.push_back(NextToken(PrefillSequence(prompts[i], i), LogitsOf(i)));
  }
  for (const auto& prompt : prompts) batch_.push_back(static_cast<int64_t>(prompt.size()));
  return next;
}

absl::StatusOr<std::vector<int32_t>> CpuEngine::DecodeBatch(std::span<const int32_t> tokens) {
  if (absl::Status status = CheckBatchStep(config_, capacity_, batch_, tokens); !status.ok()) return status;
  const ThreadPool::ActiveRegion awake(*pool_);
  std::vector<int32_t> next;
  if (tokens.size() <= kVectorSequences) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      Forward({tokens.subspan(i, 1), i, batch_[i]});
      next.push_back(NextToken(0, LogitsOf(i)));
    }
  } else {
    Forward({tokens, 0, 0, /*batch=*/true});
    next = NextTokens(static_cast<int64_t>(tokens.size()));
  }
  for (int64_t& position : batch_) ++position;
  return next;
}

int64_t CpuEngine::NextLogits(WindowPass& pass) {
  if (pass.read == pass.inputs()) return 0;
  if (many_logits_.size() == 0) many_logits_ = Floats(kScoreTokens * config_.vocab);
  if (pass.read == pass.forwarded) {
    pass.in_workspace = std::min(pass.inputs() - pass.read, workspace_.tokens);
    const auto ids = pass.window.subspan(static_cast<size_t>(pass.forwarded), static_cast<size_t>(pass.in_workspace));
    Forward({ids, 0, pass.forwarded});
    Norm(weights_.final_norm, pass.in_workspace);
    pass.forwarded += pass.in_workspace;
  }
  const int64_t count = std::min(kScoreTokens, pass.forwarded - pass.read);
  const int64_t first = pass.read - (pass.forwarded - pass.in_workspace);
  const kernels::Product head[] = {{&weights_.lm_head, many_logits_.data<float>(), nullptr, false}};
  kernels::MatMul(head, workspace_.normed.data<float>() + first * config_.hidden, count, kernels::Activations::kFloat,
                  *pool_);
  pass.read += count;
  return count;
}

absl::StatusOr<std::vector<double>> CpuEngine::Score(std::span<const int32_t> window) {
  if (absl::Status status = CheckTokens(config_, capacity_, window, "a window", 2); !status.ok()) return status;
  const ThreadPool::ActiveRegion awake(*pool_);
  Reset();
  std::vector<double> nll(window.size() - 1);
  WindowPass pass{window};
  while (const int64_t count = NextLogits(pass)) {
    const float* logits = many_logits_.data<float>();
    pool_->ParallelFor(count, [&](int64_t from, int64_t to, int) {
      for (int64_t t = from; t < to; ++t) {
        const auto at = static_cast<size_t>(pass.read - count + t);
        nll[at] = kernels::NegativeLogLikelihood(logits + t * config_.vocab, config_.vocab, window[at + 1]);
      }
    });
  }
  return nll;
}

absl::StatusOr<std::unique_ptr<Engine::LogitsReader>> CpuEngine::ReadLogits(std::span<const int32_t> window) {
  if (absl::Status status = CheckTokens(config_, capacity_, window, "a window", 2); !status.ok()) return status;
  Reset();
  // The pool is not kept awake: between two calls the other engine of a comparison computes on the same processors.
  const auto fill = [this](WindowPass& pass) {
    const int64_t count = NextLogits(pass);
    return std::span<const float>(many_logits_.data<float>(), static_cast<size_t>(count * config_.vocab));
  };
  return std::make_unique<BufferedReader>(window, config_.vocab, fill, [] {});
}

std::unique_ptr<Engine::AwakeScope> CpuEngine::KeepAwake(int64_t) { return std::make_unique<CpuAwakeScope>(*pool_); }

EngineMemory CpuEngine::memory() const {
  EngineMemory memory;
  memory.weights_bytes = weights_.total_bytes();
  memory.block_weights_bytes = weights_.block_bytes();
  for (const CpuKvCache& cache : caches_) memory.kv_cache_bytes += cache.bytes();
  memory.workspace_bytes = workspace_.bytes() + rope_.bytes() + static_cast<int64_t>(logits_.size() * sizeof(float));
  return memory;
}

int64_t CpuEngine::bytes_per_token(int64_t context) const {
  const int64_t seen = config_.sliding_window > 0 ? std::min(context, config_.sliding_window) : context;
  // An embedding that is a matrix of its own is read for one row only.
  return weights_.total_bytes() - weights_.embedding.bytes() + 2 * config_.hidden + caches_[0].position_bytes() * seen;
}

std::string CpuEngine::kernel_build() const { return std::string(kernels::IsaName(kernels::ActiveIsa())); }

}  // namespace uaqf::engine
