// Random layers of quantized releases, as tests/oracle/quantized_layers.py wrote them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "worker/model/quantized_layers.h"

namespace uaqf::test {

struct LayerTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

struct LayerCase {
  std::string config;                          // JSON of quantization_config
  std::map<std::string, LayerTensor> tensors;  // of the layer "layer"
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<int8_t> codes;  // in the order of the inputs
  std::vector<float> values;

  // Borrows the tensors.
  model::QuantizedLayers Layers() const;
};

// By name.
std::map<std::string, LayerCase> LayerCases();

}  // namespace uaqf::test
