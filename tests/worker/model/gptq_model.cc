#include "tests/worker/model/gptq_model.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "tests/worker/model/layer_cases.h"
#include "tests/worker/model/model_files.h"

namespace uaqf::test {
namespace {

constexpr int64_t kGroup = 32;

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// The tensors of one layer, and its weights [rows, columns].
std::map<std::string, LayerTensor> RandomLayer(int64_t rows, int64_t columns, bool act_order, std::mt19937& random,
                                               std::vector<float>& weights) {
  const int64_t groups = columns / kGroup;
  std::vector<int32_t> g_idx(static_cast<size_t>(columns));
  for (int64_t i = 0; i < columns; ++i) g_idx[i] = static_cast<int32_t>(i / kGroup);
  if (act_order) std::shuffle(g_idx.begin(), g_idx.end(), random);
  std::vector<uint32_t> qweight(static_cast<size_t>(columns / 8 * rows));
  std::vector<uint32_t> qzeros(static_cast<size_t>(groups * rows / 8));
  std::vector<uint16_t> scales(static_cast<size_t>(groups * rows));
  std::vector<int> zeros(scales.size());
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t row = 0; row < rows; ++row) {
      scales[group * rows + row] = static_cast<uint16_t>((6 + random() % 3) << 10);  // 2^-9 to 2^-7
      zeros[group * rows + row] = 5 + static_cast<int>(random() % 7);
      qzeros[group * (rows / 8) + row / 8] |= static_cast<uint32_t>(zeros[group * rows + row] - 1) << (4 * (row % 8));
    }
  }
  weights.resize(static_cast<size_t>(rows * columns));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < columns; ++col) {
      const uint32_t code = random() % 16;
      qweight[col / 8 * rows + row] |= code << (4 * (col % 8));
      const int64_t at = g_idx[col] * rows + row;
      const float scale = 1.0F / static_cast<float>(1 << (15 - (scales[at] >> 10)));
      weights[row * columns + col] = scale * static_cast<float>(static_cast<int>(code) - zeros[at]);
    }
  }
  return {{"qweight", {"I32", {columns / 8, rows}, BytesOf(qweight)}},
          {"qzeros", {"I32", {groups, rows / 8}, BytesOf(qzeros)}},
          {"scales", {"F16", {groups, rows}, BytesOf(scales)}},
          {"g_idx", {"I32", {columns}, BytesOf(g_idx)}}};
}

std::string SafetensorsFile(const std::map<std::string, LayerTensor>& tensors) {
  nlohmann::json header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    header[name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  return SafetensorsOf(header.dump(), 0) + data;
}

}  // namespace

void WriteGptqModel(const model::ModelConfig& config, uint64_t seed, const std::string& release,
                    const std::string& plain) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::vector<Tensor> tensors = RandomWeights(config, seed);
  std::map<std::string, LayerTensor> stored;
  bool act_order = false;
  for (Tensor& tensor : tensors) {
    const size_t suffix = tensor.name.find("_proj.weight");
    if (suffix == std::string::npos) {
      stored[tensor.name] = {"F32", tensor.shape, BytesOf(tensor.values)};
      continue;
    }
    act_order = !act_order;
    const std::string prefix = tensor.name.substr(0, suffix) + "_proj.";
    for (auto& [name, part] : RandomLayer(tensor.shape[0], tensor.shape[1], act_order, random, tensor.values)) {
      stored[prefix + name] = std::move(part);
    }
  }
  nlohmann::json json = HuggingFaceJson(config);
  WriteHuggingFace(plain, json, tensors);
  json["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", kGroup}, {"desc_act", true}};
  WriteFile(release + "/config.json", json.dump(2));
  WriteFile(release + "/model.safetensors", SafetensorsFile(stored));
}

}  // namespace uaqf::test
