#include "worker/model/quantization_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace uaqf::model {
namespace {

using ::testing::HasSubstr;

std::string FailureOf(std::string_view text) { return std::string(ParseQuantizationConfig(text).status().message()); }

// What llm-compressor writes, with the parts that a test is about.
std::string Compressed(const std::string& weights, const std::string& activations, const std::string& format) {
  return R"({"quant_method": "compressed-tensors", "format": ")" + format +
         R"(", "config_groups": {"group_0": {"targets": ["Linear"], "weights": )" + weights +
         R"(, "input_activations": )" + activations + R"(}}, "ignore": ["lm_head"]})";
}
constexpr char kInt8Row[] = R"({"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel"})";
constexpr char kToken[] = R"({"num_bits": 8, "type": "int", "strategy": "token", "dynamic": true, "symmetric": true})";

TEST(QuantizationConfig, ReadsGptqOfBothVersionsAndItsOlderFile) {
  const auto v1 =
      ParseQuantizationConfig(R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": true})");
  ASSERT_TRUE(v1.ok()) << v1.status();
  EXPECT_EQ(v1->format, QuantizedFormat::kGptq);
  EXPECT_EQ(v1->bits, 4);
  EXPECT_EQ(v1->group_size, 128);
  EXPECT_EQ(v1->name, "GPTQ 4-bit g128");
  const auto v2 = ParseQuantizationConfig(R"({"bits": 8, "group_size": -1, "checkpoint_format": "gptq_v2"})");
  ASSERT_TRUE(v2.ok()) << v2.status();
  EXPECT_EQ(v2->format, QuantizedFormat::kGptqV2);
  EXPECT_EQ(v2->scales, QuantizedScales::kRow);
  EXPECT_EQ(GroupSizeOf(*v2, 100), 104);
}

TEST(QuantizationConfig, ReadsAwqUnderEitherName) {
  const auto awq = ParseQuantizationConfig(R"({"quant_method": "awq", "w_bit": 4, "q_group_size": 64,
                                              "zero_point": true, "version": "GEMM"})");
  ASSERT_TRUE(awq.ok()) << awq.status();
  EXPECT_EQ(awq->format, QuantizedFormat::kAwqGemm);
  EXPECT_EQ(awq->group_size, 64);
}

TEST(QuantizationConfig, ReadsCompressedTensorsWithAndWithoutInt8Activations) {
  const auto w8a8 = ParseQuantizationConfig(Compressed(kInt8Row, kToken, "int-quantized"));
  ASSERT_TRUE(w8a8.ok()) << w8a8.status();
  EXPECT_EQ(w8a8->activation_bits, 8);
  EXPECT_EQ(w8a8->scales, QuantizedScales::kRow);
  const auto w4 = ParseQuantizationConfig(Compressed(
      R"({"num_bits": 4, "strategy": "group", "group_size": 128, "symmetric": false})", "null", "pack-quantized"));
  ASSERT_TRUE(w4.ok()) << w4.status();
  EXPECT_EQ(w4->activation_bits, 16);
  EXPECT_FALSE(w4->symmetric);
  EXPECT_EQ(w4->name, "compressed-tensors W4A16 4-bit g128");
}

TEST(QuantizationConfig, RefusesWhatNoReaderReadsAndSaysWhatIsRead) {
  EXPECT_THAT(FailureOf(R"({"quant_method": "gptq", "bits": 3, "group_size": 128})"),
              HasSubstr("got 3-bit weights, expected 4 or 8 bits"));
  EXPECT_THAT(FailureOf(R"({"quant_method": "awq", "bits": 8, "group_size": 128})"), HasSubstr("expected 4 bits"));
  EXPECT_THAT(FailureOf(R"({"quant_method": "bitsandbytes"})"),
              HasSubstr("got quant_method \"bitsandbytes\", this build reads gptq, awq and compressed-tensors"));
  EXPECT_THAT(FailureOf(R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "checkpoint_format": "marlin"})"),
              HasSubstr("checkpoint_format \"marlin\""));
  EXPECT_THAT(FailureOf(R"({"quant_method": "gptq", "bits": 4, "group_size": 20})"), HasSubstr("got group size 20"));
  EXPECT_THAT(FailureOf(R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"x": {}}})"),
              HasSubstr("differ by layer"));
  EXPECT_THAT(FailureOf(R"({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemv"})"),
              HasSubstr("got AWQ version \"gemv\", this build reads gemm"));
  EXPECT_THAT(FailureOf(Compressed(kInt8Row, "null", "float-quantized")), HasSubstr("format \"float-quantized\""));
  EXPECT_THAT(
      FailureOf(Compressed(kInt8Row, R"({"num_bits": 8, "strategy": "tensor", "dynamic": false})", "int-quantized")),
      HasSubstr("expected none, or INT8 of strategy token, dynamic"));
  EXPECT_THAT(FailureOf(R"({"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": {}})"),
              HasSubstr("got 0 config_groups"));
}

TEST(QuantizationConfig, AnswersForAnyJson) {
  for (const char* text : {"[]", "3", "null", "{", R"({"quant_method": 4})", R"({"bits": "4"})", R"({"bits": 4.0})",
                           R"({"bits": 4, "group_size": "x"})", R"({"bits": 4, "group_size": 18446744073709551615})",
                           R"({"quant_method": "compressed-tensors", "config_groups": {"a": 3}})",
                           R"({"quant_method": "compressed-tensors", "sparsity_config": 3, "config_groups": 3})"}) {
    EXPECT_FALSE(ParseQuantizationConfig(text).ok()) << text;
  }
}

}  // namespace
}  // namespace uaqf::model
