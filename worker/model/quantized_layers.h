// The linear layers of a Hugging Face folder whose weights are quantized, found by the names of their plain weights.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "worker/model/quantization_config.h"
#include "worker/model/raw_tensor.h"
#include "worker/model/stored_matrix.h"

namespace uaqf::model {

// A folder may leave some layers as they were; those have no quantized form. Thread-safe if `find` is.
class QuantizedLayers {
 public:
  // `find` gives the tensor of that name, if the folder has it; bytes must live as long as this.
  using FindTensor = std::function<std::optional<RawTensor>(const std::string&)>;

  // No layer is quantized.
  QuantizedLayers() = default;
  QuantizedLayers(QuantizationConfig config, FindTensor find) : config_(std::move(config)), find_(std::move(find)) {}

  struct Size {
    int64_t rows;
    int64_t columns;
  };
  // Of the layer whose weights would be called `name` ("model.layers.0.mlp.up_proj.weight"); nothing where it has no
  // quantized form.
  std::optional<Size> Find(const std::string& name) const;

  // NOT_FOUND where Find gives nothing; else what the format's reader returns, with the layer's name in messages.
  absl::StatusOr<StoredMatrix> Read(const std::string& name, RowRange range) const;

 private:
  absl::StatusOr<StoredMatrix> ReadLayer(const std::string& prefix, const Size& size, RowRange range) const;

  QuantizationConfig config_;
  FindTensor find_;
};

}  // namespace uaqf::model
