#include "worker/engine/cuda/prefill.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/prefill.h"
#include "kernels/cuda/unpack.h"
#include "worker/engine/cuda/errors.h"
#include "worker/engine/cuda/torch_ops.h"

namespace uaqf::engine {
namespace {

// Weights that are unpacked at a time. A tile that stays in the L2 cache was slower on an H200 (7B, 512 tokens: 20 MB
// 22.6 ms, 36 MB 20.1 ms, whole matrices 17.9 ms): its products are too narrow to fill the device.
constexpr int64_t kTileBytes = 192 << 20;
// Rows of a tile are a multiple of this, so that all but the last give whole blocks of a product.
constexpr int64_t kTileRows = 256;
// libtorch's INT8 product wants more than 16 rows.
constexpr int64_t kLeastInt8Tokens = 32;
// Tokens that share a scale of activations at most (ActivationScope::kTensor).
constexpr int64_t kTensorTokens = 512;
constexpr int kProducts = 4;  // of a layer

// Tiles of about equal size that fit.
int64_t TileRows(int64_t rows, int64_t cols, int64_t element_bytes) {
  const int64_t tiles = (rows * cols * element_bytes + kTileBytes - 1) / kTileBytes;
  return std::min(rows, cuda::RoundUp((rows + tiles - 1) / tiles, kTileRows));
}

}  // namespace

Prefill::Prefill(const model::ModelConfig& config, const quantize::Variant& variant, const CudaWeights& weights,
                 const CudaTables& tables, cudaStream_t stream)
    : config_(config),
      int8_(variant.activation_bits == 8),
      scope_(variant.activation_scope),
      weights_(weights),
      tables_(tables),
      stream_(stream),
      tokens_(std::min<int64_t>(tables.kv.capacity,
                                int8_ && scope_ == quantize::ActivationScope::kTensor ? kTensorTokens : kMostTokens)) {}

absl::StatusOr<std::unique_ptr<Prefill>> Prefill::Create(const model::ModelConfig& config,
                                                         const quantize::Variant& variant, const CudaWeights& weights,
                                                         const CudaTables& tables, cudaStream_t stream) {
  std::unique_ptr<Prefill> prefill(new Prefill(config, variant, weights, tables, stream));
  bool has = false;
  UAQF_RETURN_IF_ERROR(ToStatus(cuda::HasStagedProducts(&has), "prefill"));
  prefill->staged_ = has && prefill->CanStage();
  prefill->two_passes_ = prefill->NeedsTwoPasses();
  if (prefill->two_passes_ && !prefill->staged_) {
    return absl::UnimplementedError(
        absl::StrCat(variant.name,
                     ": what enters its layers has kernels for compute capability 9.0 and outputs that are a multiple "
                     "of 16 only; host it on the CPU (--device cpu)"));
  }
  UAQF_RETURN_IF_ERROR(prefill->Allocate());
  UAQF_RETURN_IF_ERROR(prefill->UploadScales());
  return prefill;
}

bool Prefill::CanStage() const {
  const CudaLayer& layer = weights_.layers[0];
  for (const CudaLinear* linear : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) {
    const cuda::MatrixSpec& spec = linear->matrix.spec();
    const int unit = spec.map.order == cuda::RowOrder::kGated ? 16 : 8;
    if (spec.format == cuda::Format::kFp16 || spec.map.rows % unit != 0) return false;
  }
  return true;
}

bool Prefill::NeedsTwoPasses() const {
  if (weights_.form.rounding.group > 0 || (int8_ && scope_ != quantize::ActivationScope::kToken)) return true;
  return std::any_of(weights_.layers.begin(), weights_.layers.end(), [](const CudaLayer& layer) {
    return layer.qkv.matrix.view().gather != nullptr || layer.out.matrix.view().gather != nullptr ||
           layer.gate_up.matrix.view().gather != nullptr || layer.down.matrix.view().gather != nullptr;
  });
}

absl::Status Prefill::UploadScales() {
  std::vector<float> scales;
  for (const CudaLayer& layer : weights_.layers) {
    for (const CudaLinear* linear : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) {
      scales.push_back(linear->input_scale);
    }
  }
  UAQF_RETURN_IF_ERROR(ToStatus(input_scales_.Allocate(static_cast<int64_t>(scales.size()) * 4), "activation scales"));
  return ToStatus(cudaMemcpy(input_scales_.as<float>(), scales.data(), scales.size() * 4, cudaMemcpyHostToDevice),
                  "activation scales");
}

absl::Status Prefill::Allocate() {
  const int64_t q = config_.heads * config_.head_dim;
  const int64_t kv = config_.kv_heads * config_.head_dim;
  int64_t most = std::max({config_.hidden, q, config_.ff});
  int64_t tile = 0;
  int64_t tile_rows = 0;
  for (const CudaLinear* linear :
       {&weights_.layers[0].qkv, &weights_.layers[0].out, &weights_.layers[0].gate_up, &weights_.layers[0].down}) {
    const cuda::DeviceMatrix& m = linear->matrix;
    most = std::max<int64_t>(most, m.cols());
    const int64_t element = int8_ ? 1 : 2;
    const int64_t rows = TileRows(m.rows(), m.cols(), element);
    tile_rows = std::max(tile_rows, rows);
    if (int8_ || m.spec().format != cuda::Format::kFp16) tile = std::max(tile, rows * m.cols() * element);
  }
  if (staged_) tile = tile_rows = 0;
  int64_t scratch = 16;
  if (staged_ && int8_) {
    UAQF_RETURN_IF_ERROR(ToStatus(cuda::ProductScratchBytes(&scratch), "workspace of the prefill"));
  }
  const int64_t plain_cache = tables_.kv.bits == 16 ? 16 : 2 * kv * tables_.kv.capacity * 2;
  const int64_t int8_tokens = std::max(tokens_, kLeastInt8Tokens);
  const int64_t staged_bytes =
      staged_ ? cuda::StagedBytes(static_cast<int>(tokens_), static_cast<int>(most), int8_) : 0;
  const struct {
    DeviceBuffer& buffer;
    int64_t bytes;
  } wanted[] = {
      {ids_, tokens_ * 4},
      {residual_, tokens_ * config_.hidden * 4},
      {narrow_, std::max(tokens_ * most * 2, int8_ ? 0 : staged_bytes)},
      {wide_, tokens_ * std::max({q + 2 * kv, 2 * config_.ff, config_.hidden}) * 2},
      {attended_, tokens_ * (two_passes_ ? std::max(q, config_.hidden) : q) * 2},
      {plain_cache_, plain_cache},
      {tile_, std::max<int64_t>(tile, 16)},
      {codes_, int8_ ? std::max(int8_tokens * most, staged_bytes) : 16},
      {token_scales_, int8_ ? int8_tokens * 4 : 16},
      {scratch_, scratch},
      {sums_, std::max<int64_t>(int8_ ? int8_tokens * tile_rows * 4 : 0, 16)},
  };
  for (const auto& [buffer, bytes] : wanted) {
    UAQF_RETURN_IF_ERROR(ToStatus(buffer.Allocate(bytes), "workspace of the prefill"));
  }
  UAQF_RETURN_IF_ERROR(
      ToStatus(cudaMemsetAsync(scratch_.as<void>(), 0, static_cast<size_t>(scratch_.bytes()), stream_), "prefill"));
  // Attention may read positions of a tile before the window; whatever is there must be a number.
  UAQF_RETURN_IF_ERROR(ToStatus(
      cudaMemsetAsync(plain_cache_.as<void>(), 0, static_cast<size_t>(plain_cache_.bytes()), stream_), "prefill"));
  // Rows beyond the tokens are multiplied as well.
  return ToStatus(cudaMemsetAsync(codes_.as<int8_t>(), 0, static_cast<size_t>(codes_.bytes()), stream_), "prefill");
}

int64_t Prefill::bytes() const {
  int64_t bytes = 0;
  for (const DeviceBuffer* buffer : {&ids_, &residual_, &narrow_, &wide_, &attended_, &plain_cache_, &codes_,
                                     &token_scales_, &tile_, &sums_, &scratch_}) {
    bytes += buffer->bytes();
  }
  return bytes;
}

cuda::Status Prefill::Multiply(const cuda::DeviceMatrix& matrix, int64_t tokens, const __half* in, __half* out) {
  if (int8_) return MultiplyCodes(matrix, tokens, out);
  if (matrix.spec().format != cuda::Format::kFp16) return MultiplyTiles(matrix, tokens, in, out);
  torch_ops::Multiply({in, reinterpret_cast<const __half*>(matrix.view().data), matrix.view().row_bytes / 2, tokens,
                       matrix.rows(), matrix.cols()},
                      out, matrix.rows());
  return {};
}

cuda::Status Prefill::MultiplyPacked(const cuda::DeviceMatrix& matrix, int64_t tokens,
                                     const cuda::ProductTarget& target) {
  const cuda::StagedRows rows = {int8_ ? codes_.as<void>() : narrow_.as<void>(),
                                 int8_ ? token_scales_.as<float>() : nullptr};
  void* scratch = int8_ ? scratch_.as<void>() : nullptr;
  return cuda::MultiplyStaged(matrix.view(), rows, static_cast<int>(tokens), target, scratch, stream_);
}

cuda::Status Prefill::MultiplyTiles(const cuda::DeviceMatrix& matrix, int64_t tokens, const __half* in, __half* out) {
  const int64_t rows = matrix.rows();
  const int64_t step = TileRows(rows, matrix.cols(), 2);
  for (int64_t row = 0; row < rows; row += step) {
    const int64_t end = std::min(rows, row + step);
    UAQF_CUDA_CHECK(
        cuda::UnpackRows(matrix.view(), static_cast<int>(row), static_cast<int>(end), tile_.as<__half>(), stream_));
    torch_ops::Multiply({in, tile_.as<__half>(), matrix.cols(), tokens, end - row, matrix.cols()}, out + row, rows);
  }
  return {};
}

cuda::Status Prefill::MultiplyCodes(const cuda::DeviceMatrix& matrix, int64_t tokens, __half* out) {
  const int64_t rows = matrix.rows();
  const int64_t step = TileRows(rows, matrix.cols(), 1);
  for (int64_t row = 0; row < rows; row += step) {
    const int64_t end = std::min(rows, row + step);
    UAQF_CUDA_CHECK(
        cuda::UnpackCodes(matrix.view(), static_cast<int>(row), static_cast<int>(end), tile_.as<int8_t>(), stream_));
    torch_ops::MultiplyInt8(codes_.as<int8_t>(), tile_.as<int8_t>(), std::max(tokens, kLeastInt8Tokens), end - row,
                            matrix.cols(), sums_.as<int32_t>());
    UAQF_CUDA_CHECK(cuda::Dequantize(sums_.as<int32_t>(), matrix.view().row_scales + row, token_scales_.as<float>(),
                                     static_cast<int>(tokens), static_cast<int>(end - row), out + row, rows, stream_));
  }
  return {};
}

cuda::Status Prefill::Prepare(const __half* rows, int64_t width, int64_t index, int which, int64_t count) {
  const CudaLayer& w = weights_.layers[static_cast<size_t>(index)];
  const auto tokens = static_cast<int>(count);
  const int padded = cuda::PaddedTokens(tokens);
  if (!int8_) {
    const CudaLinear* const linears[kProducts] = {&w.qkv, &w.out, &w.gate_up, &w.down};
    const cuda::DeviceMatrix& matrix = linears[which]->matrix;
    return cuda::OrderRows(rows, tokens, {static_cast<int>(width), matrix.cols(), matrix.view().gather},
                           weights_.form.rounding, {narrow_.as<__half>(), padded}, stream_);
  }
  float* scale = input_scales_.as<float>() + index * kProducts + which;
  if (scope_ == quantize::ActivationScope::kTensor) {
    UAQF_CUDA_CHECK(cuda::ScaleOfAll(rows, tokens, static_cast<int>(width), scale, stream_));
  }
  return cuda::QuantizeRowsBy(rows, tokens, static_cast<int>(width), scale,
                              {codes_.as<int8_t>(), token_scales_.as<float>(), padded}, stream_);
}

cuda::Status Prefill::Attend(int64_t index, int tokens, int position, int64_t sequence) {
  const cuda::KvShape& kv = tables_.kv;
  const auto window = static_cast<int>(config_.sliding_window);
  const auto heads = static_cast<int>(config_.heads);
  const cuda::RopeShape rope = {heads, kv.kv_heads, kv.head_dim, kv.capacity};
  const float* bias = weights_.layers[static_cast<size_t>(index)].qkv.bias_or_null();
  auto* wide = wide_.as<__half>();
  const int64_t bytes = cuda::KvCacheBytes(kv);
  uint8_t* key_cache = tables_.cache + (index * 2 * tables_.sequences + sequence) * bytes;
  uint8_t* value_cache = key_cache + tables_.sequences * bytes;
  auto* keys = reinterpret_cast<__half*>(key_cache);
  auto* values = reinterpret_cast<__half*>(value_cache);
  if (kv.bits == 16) {
    UAQF_CUDA_CHECK(cuda::RopeAndCache(rope, position, tokens, tables_.rope_cos, tables_.rope_sin, bias, wide, keys,
                                       values, stream_));
  } else {
    keys = plain_cache_.as<__half>();
    values = keys + int64_t{kv.kv_heads} * kv.capacity * kv.head_dim;
    const cuda::QuantizedCache codes = {key_cache, value_cache};
    const int seen = window > 0 ? std::max(0, position - window + 1) : 0;
    if (seen < position) {
      UAQF_CUDA_CHECK(cuda::ReadQuantized(rope, kv.bits, seen, position - seen, tables_.rope_cos, tables_.rope_sin,
                                          codes, keys, values, stream_));
    }
    UAQF_CUDA_CHECK(cuda::RopeAndQuantize(rope, kv.bits, position, tokens, tables_.rope_cos, tables_.rope_sin, bias,
                                          wide, codes, keys, values, stream_));
  }
  const cuda::PrefillAttentionShape attention = {
      heads, kv.kv_heads, kv.head_dim, kv.capacity, window, 1.0f / std::sqrt(static_cast<float>(config_.head_dim))};
  return cuda::PrefillAttention(attention, position, tokens, wide, int64_t{heads + 2 * kv.kv_heads} * kv.head_dim, keys,
                                values, attended_.as<__half>(), stream_);
}

absl::Status Prefill::Layer(int64_t index, int64_t count, int64_t position, int64_t sequence) {
  const CudaLayer& w = weights_.layers[static_cast<size_t>(index)];
  const auto tokens = static_cast<int>(count);
  const auto hidden = static_cast<int>(config_.hidden);
  const auto ff = static_cast<int>(config_.ff);
  const auto epsilon = static_cast<float>(config_.rms_eps);
  const int64_t query = config_.heads * config_.head_dim;
  const int padded = staged_ ? cuda::PaddedTokens(tokens) : 0;
  const cuda::Int8Rows int8 = {codes_.as<int8_t>(), token_scales_.as<float>(), padded};
  const cuda::Fp16Rows fp16 = {narrow_.as<__half>(), padded};
  auto* residual = residual_.as<float>();
  auto* narrow = narrow_.as<__half>();
  auto* wide = wide_.as<__half>();
  auto* attended = attended_.as<__half>();
  const auto norm = [&](const DeviceBuffer& weight, int which) {
    if (two_passes_) {
      UAQF_CUDA_CHECK(cuda::NormFp16(residual, weight.as<float>(), tokens, hidden, epsilon, {attended}, stream_));
      return Prepare(attended, hidden, index, which, count);
    }
    return int8_ ? cuda::NormInt8(residual, weight.as<float>(), tokens, hidden, epsilon, int8, stream_)
                 : cuda::NormFp16(residual, weight.as<float>(), tokens, hidden, epsilon, fp16, stream_);
  };
  // FP16 rows to what the next product reads.
  const auto stage = [&](const __half* rows, int64_t width, int which) {
    if (two_passes_) return Prepare(rows, width, index, which, count);
    return int8_ ? cuda::QuantizeRows(rows, tokens, static_cast<int>(width), int8, stream_)
                 : cuda::CopyRows(rows, tokens, static_cast<int>(width), fp16, stream_);
  };
  const auto layer = [&]() -> cuda::Status {
    UAQF_CUDA_CHECK(norm(w.attention_norm, 0));
    UAQF_CUDA_CHECK(staged_ ? MultiplyPacked(w.qkv.matrix, count, {cuda::ProductTarget::kRows, wide})
                            : Multiply(w.qkv.matrix, count, narrow, wide));
    UAQF_CUDA_CHECK(Attend(index, tokens, static_cast<int>(position), sequence));
    if (int8_ || staged_) UAQF_CUDA_CHECK(stage(attended, query, 1));
    if (staged_) {
      const float* bias = w.out.bias_or_null();
      UAQF_CUDA_CHECK(MultiplyPacked(w.out.matrix, count, {cuda::ProductTarget::kAdd, nullptr, residual, bias}));
      UAQF_CUDA_CHECK(norm(w.mlp_norm, 2));
      bias = w.gate_up.bias_or_null();
      UAQF_CUDA_CHECK(MultiplyPacked(w.gate_up.matrix, count, {cuda::ProductTarget::kGated, wide, nullptr, bias}));
      UAQF_CUDA_CHECK(stage(wide, config_.ff, 3));
      bias = w.down.bias_or_null();
      return MultiplyPacked(w.down.matrix, count, {cuda::ProductTarget::kAdd, nullptr, residual, bias});
    }
    UAQF_CUDA_CHECK(Multiply(w.out.matrix, count, attended, wide));
    UAQF_CUDA_CHECK(cuda::AddTo(residual, wide, w.out.bias_or_null(), tokens, hidden, stream_));
    UAQF_CUDA_CHECK(norm(w.mlp_norm, 2));
    UAQF_CUDA_CHECK(Multiply(w.gate_up.matrix, count, narrow, wide));
    UAQF_CUDA_CHECK(int8_ ? cuda::GatedInt8(wide, w.gate_up.bias_or_null(), tokens, ff, int8, stream_)
                          : cuda::GatedFp16(wide, w.gate_up.bias_or_null(), tokens, ff, fp16, stream_));
    UAQF_CUDA_CHECK(Multiply(w.down.matrix, count, narrow, wide));
    return cuda::AddTo(residual, wide, w.down.bias_or_null(), tokens, hidden, stream_);
  };
  return ToStatus(layer(), "prefill");
}

absl::Status Prefill::Forward(std::span<const int32_t> ids, int64_t position, int64_t sequence) {
  const auto count = static_cast<int64_t>(ids.size());
  UAQF_RETURN_IF_ERROR(ToStatus(
      cudaMemcpyAsync(ids_.as<int32_t>(), ids.data(), ids.size_bytes(), cudaMemcpyHostToDevice, stream_), "prefill"));
  const cuda::MatrixView& table = weights_.embedding_or_tied().view();
  UAQF_RETURN_IF_ERROR(
      ToStatus(cuda::Embed(reinterpret_cast<const __half*>(table.data), table.row_bytes / 2, ids_.as<int32_t>(),
                           static_cast<int>(count), static_cast<int>(config_.hidden), residual_.as<float>(), stream_),
               "prefill"));
  for (int64_t i = 0; i < config_.layers; ++i) UAQF_RETURN_IF_ERROR(Layer(i, count, position, sequence));
  return absl::OkStatus();
}

absl::Status Prefill::Logits(int64_t index, float* logits) {
  UAQF_RETURN_IF_ERROR(ToStatus(cuda::NormFp16(residual_.as<float>() + index * config_.hidden,
                                               weights_.final_norm.as<float>(), 1, static_cast<int>(config_.hidden),
                                               static_cast<float>(config_.rms_eps), {narrow_.as<__half>()}, stream_),
                                "prefill"));
  const cuda::MatrixView& head = weights_.lm_head.view();
  torch_ops::MultiplyToFloat({narrow_.as<__half>(), reinterpret_cast<const __half*>(head.data), head.row_bytes / 2, 1,
                              config_.vocab, config_.hidden},
                             logits);
  return absl::OkStatus();
}

absl::Status Prefill::NormForLogits(int64_t count) {
  if (many_logits_.bytes() == 0) {
    UAQF_RETURN_IF_ERROR(ToStatus(many_logits_.Allocate(kLogitsTokens * config_.vocab * 4), "logits"));
  }
  return ToStatus(cuda::NormFp16(residual_.as<float>(), weights_.final_norm.as<float>(), static_cast<int>(count),
                                 static_cast<int>(config_.hidden), static_cast<float>(config_.rms_eps),
                                 {narrow_.as<__half>()}, stream_),
                  "logits");
}

const float* Prefill::LogitsOf(int64_t first, int64_t count) {
  const cuda::MatrixView& head = weights_.lm_head.view();
  torch_ops::MultiplyToFloat({narrow_.as<__half>() + first * config_.hidden, reinterpret_cast<const __half*>(head.data),
                              head.row_bytes / 2, count, config_.vocab, config_.hidden},
                             many_logits_.as<float>());
  return many_logits_.as<float>();
}

absl::Status Prefill::Score(std::span<const int32_t> targets, std::vector<double>& nll) {
  const auto count = static_cast<int64_t>(targets.size());
  if (score_targets_.bytes() == 0) {
    UAQF_RETURN_IF_ERROR(ToStatus(score_targets_.Allocate(tokens_ * 4), "score"));
    UAQF_RETURN_IF_ERROR(ToStatus(score_nll_.Allocate(tokens_ * 8), "score"));
  }
  UAQF_RETURN_IF_ERROR(ToStatus(cudaMemcpyAsync(score_targets_.as<int32_t>(), targets.data(), targets.size_bytes(),
                                                cudaMemcpyHostToDevice, stream_),
                                "score"));
  UAQF_RETURN_IF_ERROR(NormForLogits(count));
  for (int64_t begin = 0; begin < count; begin += kLogitsTokens) {
    const int64_t tokens = std::min(kLogitsTokens, count - begin);
    UAQF_RETURN_IF_ERROR(
        ToStatus(cuda::NegativeLogLikelihoods(LogitsOf(begin, tokens), score_targets_.as<int32_t>() + begin,
                                              static_cast<int>(tokens), static_cast<int>(config_.vocab),
                                              score_nll_.as<double>() + begin, stream_),
                 "score"));
  }
  const size_t first = nll.size();
  nll.resize(first + targets.size());
  UAQF_RETURN_IF_ERROR(ToStatus(
      cudaMemcpyAsync(nll.data() + first, score_nll_.as<double>(), targets.size() * 8, cudaMemcpyDeviceToHost, stream_),
      "score"));
  return ToStatus(cudaStreamSynchronize(stream_), "score");
}

}  // namespace uaqf::engine
