#include "worker/engine/cuda/cuda_weights.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/fp16.h"
#include "kernels/thread_pool.h"
#include "worker/engine/cuda/errors.h"
#include "worker/engine/cuda/fault.h"
#include "worker/engine/cuda/make_weights.h"
#include "worker/quantize/zeroquant.h"

namespace uaqf::engine {
namespace {

// Elements on their way from the checkpoint to the device at one time: 64 MB of FP32.
constexpr int64_t kStagedElements = 16 << 20;
constexpr int kMaxReaders = 8;

constexpr cuda::TileMap kGated = {cuda::RowOrder::kGated, 0, 0, 0};

// A linear layer of the checkpoint.
struct Part {
  std::string name;  // without ".weight"
  int64_t rows;
};

class Loader {
 public:
  Loader(const model::Checkpoint& checkpoint, const quantize::Variant& variant, const DeviceForm& form,
         quantize::BlockStore* blocks, cudaStream_t stream)
      : checkpoint_(checkpoint),
        config_(checkpoint.config()),
        variant_(variant),
        form_(form),
        blocks_(blocks),
        stream_(stream) {}

  absl::StatusOr<CudaWeights> Load() {
    UAQF_RETURN_IF_ERROR(ToStatus(bad_.Allocate(sizeof(int32_t)), "load"));
    UAQF_RETURN_IF_ERROR(ToStatus(cudaMemsetAsync(bad_.as<int32_t>(), 0, sizeof(int32_t), stream_), "load"));
    CudaWeights weights;
    weights.form = form_;
    UAQF_RETURN_IF_ERROR(Table("lm_head.weight", weights.lm_head));
    if (!config_.tied_embeddings) UAQF_RETURN_IF_ERROR(Table("model.embed_tokens.weight", weights.embedding));
    UAQF_RETURN_IF_ERROR(Vector("model.norm.weight", weights.final_norm));
    for (int64_t i = 0; i < config_.layers; ++i) {
      const std::string prefix = absl::StrCat("model.layers.", i, ".");
      CudaLayer& layer = weights.layers.emplace_back();
      UAQF_RETURN_IF_ERROR(quantize::NeedsCalibration(variant_) ? StoredLayer(i, prefix, layer) : Layer(prefix, layer));
    }
    UAQF_RETURN_IF_ERROR(ToStatus(cudaStreamSynchronize(stream_), "load"));
    return weights;
  }

 private:
  absl::Status Layer(const std::string& prefix, CudaLayer& layer) {
    UAQF_RETURN_IF_ERROR(Vector(prefix + "input_layernorm.weight", layer.attention_norm));
    UAQF_RETURN_IF_ERROR(Vector(prefix + "post_attention_layernorm.weight", layer.mlp_norm));
    const int64_t q = config_.heads * config_.head_dim;
    const int64_t kv = config_.kv_heads * config_.head_dim;
    const std::string attention = prefix + "self_attn.";
    const std::string mlp = prefix + "mlp.";
    UAQF_RETURN_IF_ERROR(Linear({{attention + "q_proj", q}, {attention + "k_proj", kv}, {attention + "v_proj", kv}},
                                config_.hidden, Rotary(), layer.qkv));
    UAQF_RETURN_IF_ERROR(Linear({{attention + "o_proj", config_.hidden}}, q, {}, layer.out));
    UAQF_RETURN_IF_ERROR(Linear({{mlp + "gate_proj", config_.ff}, {mlp + "up_proj", config_.ff}}, config_.hidden,
                                kGated, layer.gate_up));
    return Linear({{mlp + "down_proj", config_.hidden}}, config_.ff, {}, layer.down);
  }

  // Rows of queries over keys over values; the first two are turned.
  cuda::TileMap Rotary() const {
    return {cuda::RowOrder::kRotary, 0, static_cast<int>(config_.head_dim),
            static_cast<int>((config_.heads + config_.kv_heads) * config_.head_dim)};
  }

  // As calibration left it.
  absl::Status StoredLayer(int64_t index, const std::string& prefix, CudaLayer& layer) {
    auto block = blocks_->Get(index);
    if (!block.ok()) return block.status();
    UAQF_RETURN_IF_ERROR(Upload(prefix + "input_layernorm.weight", block->attention_norm, layer.attention_norm));
    UAQF_RETURN_IF_ERROR(Upload(prefix + "post_attention_layernorm.weight", block->mlp_norm, layer.mlp_norm));
    using enum quantize::Projection;
    UAQF_RETURN_IF_ERROR(StoredLinear(*block, prefix, {kQ, kK, kV}, Rotary(), layer.qkv));
    UAQF_RETURN_IF_ERROR(StoredLinear(*block, prefix, {kO}, {}, layer.out));
    UAQF_RETURN_IF_ERROR(StoredLinear(*block, prefix, {kGate, kUp}, kGated, layer.gate_up));
    return StoredLinear(*block, prefix, {kDown}, {}, layer.down);
  }

  absl::Status StoredLinear(const quantize::QuantizedBlock& block, const std::string& prefix,
                            std::initializer_list<quantize::Projection> parts, cuda::TileMap map, CudaLinear& out) {
    std::vector<Part> named;
    bool biased = false;
    for (const quantize::Projection part : parts) {
      const quantize::QuantizedMatrix& matrix = block.matrices[static_cast<size_t>(part)];
      named.push_back({absl::StrCat(prefix, std::string(quantize::ProjectionName(part))), matrix.rows});
      biased = biased || !block.biases[static_cast<size_t>(part)].empty();
      if (part != *parts.begin() && matrix.input_scale != out.input_scale) {
        return absl::InvalidArgumentError(absl::StrCat(named.back().name, ": a fixed scale of activations of its own"));
      }
      out.input_scale = matrix.input_scale;
    }
    const auto codes = [&](size_t i) {
      return ToDeviceCodes(form_, CodesView::Of(block.matrices[static_cast<size_t>(parts.begin()[i])]));
    };
    UAQF_RETURN_IF_ERROR(PackParts(named, map, codes, out.matrix));
    std::vector<float> bias;
    int64_t row = 0;
    for (const quantize::Projection part : parts) {
      row += block.matrices[static_cast<size_t>(part)].rows;
      const std::vector<float>& own = block.biases[static_cast<size_t>(part)];
      bias.insert(bias.end(), own.begin(), own.end());
      bias.resize(static_cast<size_t>(row));
    }
    return biased ? Upload(named[0].name + ".bias", bias, out.bias) : absl::OkStatus();
  }

  // Layers that were quantized on the host, `codes(i)` those of parts[i], one under the other into a new matrix.
  template <class Codes>
  absl::Status PackParts(const std::vector<Part>& parts, cuda::TileMap map, const Codes& codes,
                         cuda::DeviceMatrix& matrix) {
    for (const Part& part : parts) map.rows += static_cast<int>(part.rows);
    std::vector<int32_t> gather;
    int64_t row = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string& name = parts[i].name;
      const absl::StatusOr<DeviceCodes> own = codes(i);
      if (!own.ok()) return absl::Status(own.status().code(), absl::StrCat(name, ": ", own.status().message()));
      if (i == 0) {
        gather = own->gather;
        UAQF_RETURN_IF_ERROR(Create(SpecOf(own->cols, map), name, matrix));
      }
      if (own->gather != gather) {
        return absl::UnimplementedError(absl::StrCat(
            name, ": the GPU has no kernels for layers over one input in different orders of columns, which ",
            parts[0].name, " has; host it on the CPU (--device cpu)"));
      }
      if (own->rows != parts[i].rows || own->cols != matrix.cols()) {
        return absl::InvalidArgumentError(absl::StrCat(name, " is ", own->rows, " x ", own->cols, ", expected ",
                                                       parts[i].rows, " x ", matrix.cols()));
      }
      UAQF_RETURN_IF_ERROR(PackHost(*own, name, row, matrix));
      if (i == 0 && !gather.empty()) {
        UAQF_RETURN_IF_ERROR(ToStatus(matrix.SetGather(gather.data(), static_cast<int>(own->inputs), stream_), name));
      }
      row += own->rows;
    }
    return absl::OkStatus();
  }

  // Into logical rows from `row` on.
  absl::Status PackHost(const DeviceCodes& from, const std::string& name, int64_t row, cuda::DeviceMatrix& matrix) {
    UAQF_RETURN_IF_ERROR(Copy(from.codes, codes_, name));
    cuda::QuantizedRows rows;
    rows.row_offset = static_cast<int>(row);
    rows.rows = static_cast<int>(from.rows);
    rows.codes = codes_.as<int8_t>();
    rows.per_tensor = from.scales.size() == 1;
    if (form_.group > 0) {
      UAQF_RETURN_IF_ERROR(Copy(from.group_scales, group_scales_, name));
      rows.group_scales = group_scales_.as<__half>();
    } else {
      UAQF_RETURN_IF_ERROR(Copy(from.scales, scales_, name));
      rows.scales = scales_.as<float>();
    }
    if (form_.zeros) {
      UAQF_RETURN_IF_ERROR(Copy(from.group_zeros, group_zeros_, name));
      rows.group_zeros = group_zeros_.as<int8_t>();
    }
    return ToStatus(matrix.Pack(rows, stream_), name);
  }

  // `values` may go when this returns.
  template <class T>
  absl::Status Copy(const std::vector<T>& values, DeviceBuffer& out, const std::string& name) {
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(T));
    UAQF_RETURN_IF_ERROR(Need(out, bytes, name));
    UAQF_RETURN_IF_ERROR(ToStatus(
        cudaMemcpyAsync(out.as<void>(), values.data(), static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_),
        name));
    return ToStatus(cudaStreamSynchronize(stream_), name);
  }

  absl::Status Linear(const std::vector<Part>& parts, int64_t cols, cuda::TileMap map, CudaLinear& out) {
    int64_t rows = 0;
    bool biased = false;
    for (const Part& part : parts) {
      rows += part.rows;
      biased = biased || checkpoint_.Find(part.name + ".bias").ok();
    }
    if (variant_.method == quantize::Method::kCheckpoint) {
      UAQF_RETURN_IF_ERROR(PackParts(
          parts, map, [&](size_t i) { return ReleaseCodes(parts[i]); }, out.matrix));
      return biased ? Bias(parts, rows, out.bias) : absl::OkStatus();
    }
    map.rows = static_cast<int>(rows);
    UAQF_RETURN_IF_ERROR(Create(SpecOf(cols, map), parts[0].name, out.matrix));
    int64_t row = 0;
    for (const Part& part : parts) {
      UAQF_RETURN_IF_ERROR(Fill(part, row, out.matrix));
      row += part.rows;
    }
    return biased ? Bias(parts, rows, out.bias) : absl::OkStatus();
  }

  absl::StatusOr<DeviceCodes> ReleaseCodes(const Part& part) const {
    const absl::StatusOr<model::StoredMatrix> stored = checkpoint_.ReadStored(part.name + ".weight", {0, part.rows});
    return stored.ok() ? ToDeviceCodes(form_, CodesView::Of(*stored)) : stored.status();
  }

  cuda::MatrixSpec SpecOf(int64_t cols, const cuda::TileMap& map) const {
    cuda::MatrixSpec spec;
    spec.format = form_.format;
    spec.group = form_.group;
    spec.zeros = form_.zeros;
    spec.cols = static_cast<int>(cols);
    spec.map = map;
    return spec;
  }

  absl::Status Create(const cuda::MatrixSpec& spec, const std::string& name, cuda::DeviceMatrix& out) {
    if (absl::Status fault = Faults::OfProcess().Matrix(); !fault.ok()) {
      return absl::Status(fault.code(), absl::StrCat(name, ": ", fault.message()));
    }
    return ToStatus(cuda::DeviceMatrix::Create(spec, stream_, &out), name);
  }

  // One linear layer into logical rows from `row` on.
  absl::Status Fill(const Part& part, int64_t row, cuda::DeviceMatrix& matrix) {
    const std::string name = part.name + ".weight";
    auto info = checkpoint_.Find(name);
    if (!info.ok()) return info.status();
    if (info->rows != part.rows || info->columns != matrix.cols()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is ", info->rows, " x ", info->columns, ", expected ", part.rows, " x ", matrix.cols()));
    }
    const int64_t count = info->rows * info->columns;
    UAQF_RETURN_IF_ERROR(Need(values_, count * 2, name));
    UAQF_RETURN_IF_ERROR(ReadFp16(name, 0, info->rows, info->columns, values_.as<__half>()));
    const auto rows = static_cast<int>(info->rows);
    if (variant_.method == quantize::Method::kNone) {
      return ToStatus(matrix.PackFp16(static_cast<int>(row), rows, values_.as<__half>(), stream_), name);
    }
    if (variant_.method == quantize::Method::kZeroQuant) return ZeroQuant(name, *info, row, matrix);
    const int64_t groups = variant_.group_size > 0 ? info->rows * (info->columns / variant_.group_size) : 0;
    UAQF_RETURN_IF_ERROR(Need(codes_, count, name));
    UAQF_RETURN_IF_ERROR(Need(scales_, info->rows * 4, name));
    UAQF_RETURN_IF_ERROR(Need(row_absmax_, info->rows * 4, name));
    UAQF_RETURN_IF_ERROR(Need(group_scales_, std::max<int64_t>(groups * 2, 16), name));
    const device::RtnOutput output{codes_.as<int8_t>(), scales_.as<float>(), group_scales_.as<__half>(),
                                   row_absmax_.as<float>()};
    UAQF_RETURN_IF_ERROR(ToStatus(
        device::QuantizeRtn(variant_, values_.as<__half>(), rows, static_cast<int>(info->columns), output, stream_),
        name));
    cuda::QuantizedRows quantized;
    quantized.row_offset = static_cast<int>(row);
    quantized.rows = rows;
    quantized.codes = output.codes;
    quantized.scales = groups > 0 ? nullptr : output.scales;
    quantized.per_tensor = variant_.granularity == quantize::Granularity::kTensor;
    quantized.group_scales = groups > 0 ? output.group_scales : nullptr;
    return ToStatus(matrix.Pack(quantized, stream_), name);
  }

  // Quantized on the host, from the FP16 weights in values_.
  absl::Status ZeroQuant(const std::string& name, const model::TensorInfo& info, int64_t row,
                         cuda::DeviceMatrix& matrix) {
    std::vector<uint16_t> bits(static_cast<size_t>(info.rows * info.columns));
    UAQF_RETURN_IF_ERROR(ToStatus(
        cudaMemcpyAsync(bits.data(), values_.as<void>(), bits.size() * 2, cudaMemcpyDeviceToHost, stream_), name));
    UAQF_RETURN_IF_ERROR(ToStatus(cudaStreamSynchronize(stream_), name));
    host_.resize(bits.size());
    kernels::Fp16ToFloat(bits.data(), static_cast<int64_t>(bits.size()), host_.data());
    if (pool_ == nullptr) {
      const auto lanes = std::clamp<unsigned>(std::thread::hardware_concurrency(), 1, kMaxReaders);
      pool_ = kernels::ThreadPool::CreateUnpinned(static_cast<int>(lanes));
    }
    const quantize::QuantizedMatrix quantized =
        quantize::QuantizeZeroQuant(variant_, host_, info.rows, info.columns, *pool_);
    const absl::StatusOr<DeviceCodes> codes = ToDeviceCodes(form_, CodesView::Of(quantized));
    return codes.ok() ? PackHost(*codes, name, row, matrix) : codes.status();
  }

  // A matrix that stays FP16, through a small buffer: vocabularies are large.
  absl::Status Table(const std::string& name, cuda::DeviceMatrix& out) {
    auto info = checkpoint_.Find(name);
    if (!info.ok()) return info.status();
    cuda::MatrixSpec spec;
    spec.cols = static_cast<int>(info->columns);
    spec.map.rows = static_cast<int>(info->rows);
    UAQF_RETURN_IF_ERROR(Create(spec, name, out));
    const int64_t block = std::max<int64_t>(1, kStagedElements / info->columns);
    UAQF_RETURN_IF_ERROR(Need(values_, std::min(block, info->rows) * info->columns * 2, name));
    for (int64_t row = 0; row < info->rows; row += block) {
      const int64_t rows = std::min(block, info->rows - row);
      UAQF_RETURN_IF_ERROR(ReadFp16(name, row, rows, info->columns, values_.as<__half>()));
      UAQF_RETURN_IF_ERROR(
          ToStatus(out.PackFp16(static_cast<int>(row), static_cast<int>(rows), values_.as<__half>(), stream_), name));
    }
    return absl::OkStatus();
  }

  absl::Status Vector(const std::string& name, DeviceBuffer& out) {
    auto info = checkpoint_.Find(name);
    if (!info.ok()) return info.status();
    std::vector<float> values(static_cast<size_t>(info->rows * info->columns));
    UAQF_RETURN_IF_ERROR(checkpoint_.ReadRows(name, 0, info->rows, values));
    return Upload(name, values, out);
  }

  // Biases of the parts, one after the other; zeros where a part has none.
  absl::Status Bias(const std::vector<Part>& parts, int64_t rows, DeviceBuffer& out) {
    std::vector<float> values(static_cast<size_t>(rows));
    size_t at = 0;
    for (const Part& part : parts) {
      const std::string name = part.name + ".bias";
      const std::span<float> place = std::span(values).subspan(at, static_cast<size_t>(part.rows));
      at += place.size();
      auto info = checkpoint_.Find(name);
      if (!info.ok()) continue;
      if (info->rows * info->columns != part.rows) {
        return absl::InvalidArgumentError(
            absl::StrCat("tensor ", name, " has ", info->rows * info->columns, " values, expected ", part.rows));
      }
      UAQF_RETURN_IF_ERROR(checkpoint_.ReadRows(name, 0, info->rows, place));
    }
    return Upload(parts[0].name + ".bias", values, out);
  }

  absl::Status Upload(const std::string& name, const std::vector<float>& values, DeviceBuffer& out) {
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(float));
    UAQF_RETURN_IF_ERROR(ToStatus(out.Allocate(bytes), name));
    return ToStatus(cudaMemcpy(out.as<float>(), values.data(), static_cast<size_t>(bytes), cudaMemcpyHostToDevice),
                    name);
  }

  absl::Status Need(DeviceBuffer& buffer, int64_t bytes, const std::string& name) {
    if (buffer.bytes() >= bytes) return absl::OkStatus();
    UAQF_RETURN_IF_ERROR(ToStatus(cudaStreamSynchronize(stream_), name));
    return ToStatus(buffer.Allocate(bytes), name);
  }

  absl::Status ReadFp16(const std::string& name, int64_t first_row, int64_t rows, int64_t cols, __half* out) {
    if (const auto random = checkpoint_.Random(name)) {
      return ToStatus(device::Fill(*random, static_cast<uint64_t>(first_row * cols), rows * cols, out, stream_), name);
    }
    const int64_t block = std::max<int64_t>(1, kStagedElements / cols);
    UAQF_RETURN_IF_ERROR(Need(staged_, std::min(block, rows) * cols * 4, name));
    for (int64_t row = 0; row < rows; row += block) {
      const int64_t count = std::min(block, rows - row);
      UAQF_RETURN_IF_ERROR(ReadHost(name, first_row + row, count, cols));
      // From pageable memory: has left host_ when the call returns.
      UAQF_RETURN_IF_ERROR(
          ToStatus(cudaMemcpyAsync(staged_.as<float>(), host_.data(), static_cast<size_t>(count * cols) * 4,
                                   cudaMemcpyHostToDevice, stream_),
                   name));
      UAQF_RETURN_IF_ERROR(ToStatus(
          device::ToFp16(staged_.as<float>(), count * cols, out + row * cols, bad_.as<int32_t>(), stream_), name));
    }
    return CheckFinite(name);
  }

  absl::Status CheckFinite(const std::string& name) {
    int32_t bad = 0;
    UAQF_RETURN_IF_ERROR(
        ToStatus(cudaMemcpyAsync(&bad, bad_.as<int32_t>(), sizeof(bad), cudaMemcpyDeviceToHost, stream_), name));
    UAQF_RETURN_IF_ERROR(ToStatus(cudaStreamSynchronize(stream_), name));
    if (bad == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(name,
                     ": got weights that are not finite or above 65504, expected values that FP16 can hold; the "
                     "FP16 baseline cannot be made of this checkpoint"));
  }

  absl::Status ReadHost(const std::string& name, int64_t first_row, int64_t rows, int64_t cols) {
    host_.resize(static_cast<size_t>(rows * cols));
    const int64_t readers = std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, kMaxReaders);
    const int64_t share = (rows + readers - 1) / readers;
    std::vector<absl::Status> read(static_cast<size_t>(readers));
    std::vector<std::thread> threads;
    for (int64_t i = 0; i < readers && i * share < rows; ++i) {
      threads.emplace_back([&, i] {
        const int64_t begin = i * share;
        const int64_t count = std::min(share, rows - begin);
        const auto part =
            std::span(host_).subspan(static_cast<size_t>(begin * cols), static_cast<size_t>(count * cols));
        read[static_cast<size_t>(i)] = checkpoint_.ReadRows(name, first_row + begin, count, part);
      });
    }
    for (std::thread& thread : threads) thread.join();
    absl::Status all;
    for (const absl::Status& status : read) all.Update(status);
    return all.ok() ? all : absl::Status(all.code(), absl::StrCat(name, ": ", all.message()));
  }

  const model::Checkpoint& checkpoint_;
  const model::ModelConfig& config_;
  const quantize::Variant& variant_;
  const DeviceForm form_;
  quantize::BlockStore* const blocks_;
  const cudaStream_t stream_;
  std::unique_ptr<kernels::ThreadPool> pool_;  // of what is quantized on the host
  std::vector<float> host_;
  DeviceBuffer staged_, values_, codes_, scales_, group_scales_, group_zeros_, row_absmax_, bad_;
};

int64_t BytesOf(const CudaLinear& linear) { return linear.matrix.bytes() + linear.bias.bytes(); }

}  // namespace

int64_t CudaWeights::block_bytes() const {
  int64_t bytes = 0;
  for (const CudaLayer& layer : layers) {
    for (const CudaLinear* linear : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) {
      bytes += linear->matrix.bytes();
    }
  }
  return bytes;
}

int64_t CudaWeights::total_bytes() const {
  int64_t bytes = embedding.bytes() + lm_head.bytes() + final_norm.bytes();
  for (const CudaLayer& layer : layers) {
    bytes += layer.attention_norm.bytes() + layer.mlp_norm.bytes();
    for (const CudaLinear* linear : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) bytes += BytesOf(*linear);
  }
  return bytes;
}

absl::StatusOr<CudaWeights> LoadCudaWeights(const model::Checkpoint& checkpoint, const quantize::Variant& variant,
                                            quantize::BlockStore* blocks, cudaStream_t stream) {
  const absl::StatusOr<DeviceForm> form =
      variant.method == quantize::Method::kCheckpoint ? DeviceFormOfRelease(checkpoint) : DeviceFormOf(variant);
  if (!form.ok()) return form.status();
  return Loader(checkpoint, variant, *form, blocks, stream).Load();
}

}  // namespace uaqf::engine
