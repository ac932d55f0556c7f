#include "worker/engine/cuda/device_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "kernels/fp16.h"

namespace uaqf::engine {
namespace {

using quantize::QuantizedMatrix;
using testing::HasSubstr;

DeviceForm FormOf(const std::string& name) {
  const auto form = DeviceFormOf(quantize::FindVariant(name).value());
  EXPECT_TRUE(form.ok()) << form.status();
  return form.value_or(DeviceForm{});
}

std::string Refusal(const std::string& name) {
  const absl::Status status = DeviceFormOf(quantize::FindVariant(name).value()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << name;
  return std::string(status.message());
}

TEST(DeviceForm, FollowsFromTheVariant) {
  EXPECT_EQ(FormOf("fp16").format, cuda::Format::kFp16);
  EXPECT_EQ(FormOf("smoothquant-o3").format, cuda::Format::kInt8);
  EXPECT_FALSE(FormOf("gptq-w4-g64").zeros);
  EXPECT_TRUE(FormOf("gptq-w4-g64:sym=0").zeros);
  EXPECT_TRUE(FormOf("gptq-w4-g64:static-groups=0").zeros);
  EXPECT_FALSE(FormOf("gptq-w4:static-groups=0").zeros) << "columns go home where scales do not care";
  EXPECT_TRUE(FormOf("awq-w4-g128").zeros);
  EXPECT_EQ(FormOf("gptq-w4:sym=0").group, 128) << "a row's one group in many";
  const DeviceForm atom = FormOf("atom-w4a4-g64");
  EXPECT_TRUE(atom.zeros);
  EXPECT_EQ(atom.rounding.group, 64);
  EXPECT_EQ(atom.rounding.int8_inputs, 64);
  EXPECT_FLOAT_EQ(atom.rounding.step, 0.9F / 7);
}

TEST(DeviceForm, SaysWhatHasNoKernels) {
  EXPECT_THAT(Refusal("zeroquant-w8a8-g128"), HasSubstr("groups of INT8 weights"));
  EXPECT_THAT(Refusal("gptq-w8:sym=0"), HasSubstr("--device cpu"));
  EXPECT_THAT(Refusal("atom-w4a4:keepers=256"), HasSubstr("keepers=128"));
}

// Random codes in groups with their zeros, and a random order.
QuantizedMatrix RandomMatrix(int bits, int64_t rows, int64_t columns, int64_t group_size, bool zeros, bool order) {
  std::mt19937 random(7);
  const auto within = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  QuantizedMatrix matrix;
  matrix.bits = bits;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.granularity = quantize::Granularity::kGroup;
  matrix.group_size = group_size;
  for (int64_t i = 0; i < rows * columns; ++i) matrix.codes.push_back(static_cast<int8_t>(within(-8, 7)));
  const int64_t groups = columns / group_size;
  for (int64_t i = 0; i < rows * groups; ++i) {
    const float scale = static_cast<float>(within(1, 2000)) * 0x1p-12F;
    kernels::FloatToFp16(&scale, 1, &matrix.group_scales.emplace_back());
    if (zeros) matrix.zeros.push_back(static_cast<int8_t>(within(-8, 7)));
  }
  for (int32_t i = 0; order && i < columns; ++i) matrix.order.push_back(i);
  std::shuffle(matrix.order.begin(), matrix.order.end(), random);
  return matrix;
}

// [rows, inputs]: what the device's columns that meet an input add up to.
std::vector<float> Weights(const DeviceCodes& codes, int group) {
  std::vector<float> out(static_cast<size_t>(codes.rows * codes.inputs));
  const int64_t groups = (codes.cols + group - 1) / group;
  for (int64_t r = 0; r < codes.rows; ++r) {
    for (int64_t c = 0; c < codes.cols; ++c) {
      const auto at = static_cast<size_t>(r * groups + c / group);
      const int64_t input = codes.gather.empty() ? c : codes.gather[static_cast<size_t>(c)];
      const int code = codes.codes[static_cast<size_t>(r * codes.cols + c)] - codes.group_zeros[at];
      out[static_cast<size_t>(r * codes.inputs + input)] +=
          static_cast<float>(code) * kernels::Fp16ToFloat(codes.group_scales[at]);
    }
  }
  return out;
}

void ExpectSameWeights(const QuantizedMatrix& matrix, const DeviceForm& form) {
  const auto codes = ToDeviceCodes(form, CodesView::Of(matrix));
  ASSERT_TRUE(codes.ok()) << codes.status();
  std::vector<float> expected(static_cast<size_t>(matrix.rows * matrix.columns));
  for (int64_t i = 0; i < matrix.rows * matrix.columns; ++i) {
    const int64_t column = i % matrix.columns;
    const int64_t input = matrix.order.empty() ? column : matrix.order[static_cast<size_t>(column)];
    const auto group = static_cast<size_t>(i / matrix.group_size);
    const int code = matrix.codes[static_cast<size_t>(i)] - (matrix.zeros.empty() ? 0 : matrix.zeros[group]);
    expected[static_cast<size_t>(i - column + input)] =
        static_cast<float>(code) * kernels::Fp16ToFloat(matrix.group_scales[group]);
  }
  EXPECT_EQ(Weights(*codes, form.group), expected);
}

TEST(DeviceCodes, KeepsZerosAndOrder) {
  ExpectSameWeights(RandomMatrix(4, 6, 384, 128, true, true), FormOf("awq-w4-g128"));
}

TEST(DeviceCodes, SpreadsARowsOneGroup) {
  ExpectSameWeights(RandomMatrix(4, 6, 576, 576, true, false), FormOf("gptq-w4:sym=0"));
}

TEST(DeviceCodes, SplitsTheInt8InputsExactly) {
  for (const bool order : {true, false}) {
    QuantizedMatrix matrix = RandomMatrix(8, 5, 256, 64, false, order);
    for (int64_t r = 0; r < matrix.rows; ++r) {
      for (int64_t c = 192; c < 256; ++c) {
        matrix.codes[static_cast<size_t>(r * 256 + c)] = static_cast<int8_t>((r * 64 + c - 192) % 255 - 127);
      }
    }
    ExpectSameWeights(matrix, FormOf("atom-w4a4-g64"));
    const auto codes = ToDeviceCodes(FormOf("atom-w4a4-g64"), CodesView::Of(matrix));
    EXPECT_EQ(codes->cols, 320);
    EXPECT_TRUE(std::all_of(codes->codes.begin(), codes->codes.end(), [](int8_t c) { return c >= -8 && c <= 7; }));
  }
}

TEST(DeviceCodes, RefusesWhatTheFormDoesNotHave) {
  EXPECT_FALSE(ToDeviceCodes(FormOf("gptq-w4-g64"), CodesView::Of(RandomMatrix(4, 2, 128, 64, true, false))).ok());
  EXPECT_FALSE(ToDeviceCodes(FormOf("awq-w4-g128"), CodesView::Of(RandomMatrix(4, 2, 192, 96, true, false))).ok());
  EXPECT_FALSE(ToDeviceCodes(FormOf("rtn-w4-channel"), CodesView::Of(RandomMatrix(4, 2, 128, 64, false, false))).ok());
}

}  // namespace
}  // namespace uaqf::engine
