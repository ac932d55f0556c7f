#include "tests/worker/model/layer_cases.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "tests/support/test_data.h"

namespace uaqf::test {

model::QuantizedLayers LayerCase::Layers() const {
  const auto parsed = model::ParseQuantizationConfig(config);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return {parsed.value(), [this](const std::string& name) -> std::optional<model::RawTensor> {
            const auto found = tensors.find(name);
            if (found == tensors.end()) return std::nullopt;
            const LayerTensor& tensor = found->second;
            return model::RawTensor{tensor.dtype,
                                    tensor.shape,
                                    {reinterpret_cast<const uint8_t*>(tensor.bytes.data()), tensor.bytes.size()}};
          }};
}

std::map<std::string, LayerCase> LayerCases() {
  const auto json = nlohmann::json::parse(ReadFile(SourceFile("tests/worker/model/quantized_layers.json")));
  std::map<std::string, LayerCase> cases;
  for (const auto& [name, entry] : json.items()) {
    LayerCase one;
    one.config = entry["config"].dump();
    for (const auto& [tensor, raw] : entry["tensors"].items()) {
      one.tensors["layer." + tensor] = {raw["dtype"], raw["shape"],
                                        absl::HexStringToBytes(raw["bytes"].get<std::string>())};
    }
    one.rows = entry["rows"];
    one.columns = entry["columns"];
    const std::string codes = absl::HexStringToBytes(entry["codes"].get<std::string>());
    one.codes.assign(codes.begin(), codes.end());
    const std::string values = absl::HexStringToBytes(entry["values"].get<std::string>());
    one.values.resize(values.size() / sizeof(float));
    std::memcpy(one.values.data(), values.data(), values.size());
    cases[name] = std::move(one);
  }
  return cases;
}

}  // namespace uaqf::test
