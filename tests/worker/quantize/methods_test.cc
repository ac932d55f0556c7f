// The calibrated methods against an oracle in numpy, and by what must hold whatever the weights.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "kernels/fp16.h"
#include "kernels/matmul.h"
#include "tests/support/test_data.h"
#include "worker/quantize/atom.h"
#include "worker/quantize/awq.h"
#include "worker/quantize/gptq.h"
#include "worker/quantize/pack.h"
#include "worker/quantize/rtn.h"
#include "worker/quantize/smoothquant.h"

namespace uaqf::quantize {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

at::Tensor Random(int64_t rows, int64_t columns, uint64_t seed) {
  at::Tensor values = at::empty({rows, columns}, at::kFloat);
  uint64_t state = seed;
  for (int64_t i = 0; i < values.numel(); ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    values.mutable_data_ptr<float>()[i] = static_cast<float>(state >> 40) / 8388608.0F - 1.0F;
  }
  return values;
}

// Second moments of correlated inputs.
at::Tensor Correlated(int64_t columns, uint64_t seed) {
  const at::Tensor x = at::matmul(Random(3 * columns, columns, seed), Random(columns, columns, seed + 1));
  return at::matmul(x.t(), x) / x.size(0);
}

at::Tensor Solved(const at::Tensor& weight, const at::Tensor& moments, const GptqOptions& options) {
  const auto factor = FactorMoments(moments, options);
  EXPECT_TRUE(factor.ok()) << factor.status();
  return Dequantized(SolveGptq(weight, *factor, options), at::kCPU);
}

at::Tensor Nearest(const at::Tensor& weight, const GptqOptions& options) {
  return Dequantized(
      RoundToGrid(GridRule::kGptqSymmetric, options.bits, weight, options.granularity, options.group_size), at::kCPU);
}

constexpr GptqOptions kChannelOptions = {};
constexpr GptqOptions kGroupOptions = {.granularity = Granularity::kGroup, .group_size = 64};

// Written by tests/oracle/calibrated.py.
class Oracle : public ::testing::Test {
 protected:
  void SetUp() override {
    json_ = nlohmann::json::parse(test::ReadFile(test::SourceFile("tests/worker/quantize/calibrated_codes.json")));
    weight_ = FromHex(json_["weight"], json_["rows"], json_["columns"]);
    x_ = FromHex(json_["x"], json_["tokens"], json_["columns"]);
    moments_ = at::matmul(x_.t(), x_) / x_.size(0);
  }

  static at::Tensor FromHex(const std::string& hex, int64_t rows, int64_t columns) {
    const std::string bytes = absl::HexStringToBytes(hex);
    std::vector<float> values(bytes.size() / 2);
    kernels::Fp16ToFloat(reinterpret_cast<const uint16_t*>(bytes.data()), static_cast<int64_t>(values.size()),
                         values.data());
    return FromFloats(values, {rows, columns}, at::kCPU);
  }

  static std::vector<double> Flat(const nlohmann::json& rows) {
    std::vector<double> flat;
    for (const auto& row : rows) {
      if (row.is_array()) {
        for (const auto& value : row) flat.push_back(value);
      } else {
        flat.push_back(row);
      }
    }
    return flat;
  }

  static void ExpectClose(const std::vector<float>& got, const std::vector<double>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5 * std::abs(expected[i])) << i;
  }

  static void ExpectEqual(const QuantizedMatrix& got, const nlohmann::json& expected) {
    EXPECT_TRUE(CheckMatrix(got).ok()) << CheckMatrix(got);
    EXPECT_THAT(got.codes, ElementsAreArray(Flat(expected["codes"])));
    std::vector<float> scales = got.scales;
    for (const uint16_t bits : got.group_scales) scales.push_back(kernels::Fp16ToFloat(bits));
    ExpectClose(scales, Flat(expected["scales"]));
    if (!got.zeros.empty()) {
      EXPECT_THAT(got.zeros, ElementsAreArray(Flat(expected["zeros"])));
    }
    EXPECT_THAT(got.order, ElementsAreArray(Flat(expected["order"])));
  }

  nlohmann::json json_;
  at::Tensor weight_, x_, moments_;
};

TEST_F(Oracle, GptqCodesAreEqual) {
  for (const auto& [name, expected] : json_["gptq"].items()) {
    SCOPED_TRACE(name);
    GptqOptions options = name.find("g64") == std::string::npos ? kChannelOptions : kGroupOptions;
    options.bits = name.find("w8") == std::string::npos ? 4 : 8;
    options.symmetric = name.find("span") == std::string::npos;
    options.act_order = name.find("act-order") != std::string::npos;
    options.static_groups = name.find("static") != std::string::npos;
    const auto factor = FactorMoments(moments_, options);
    ASSERT_TRUE(factor.ok()) << factor.status();
    ExpectEqual(SolveGptq(weight_, *factor, options), expected);
  }
}

TEST_F(Oracle, AwqScalesClipsAndCodesAreEqual) {
  const nlohmann::json& expected = json_["awq"];
  const AwqOptions options = {.group_size = 64};
  const at::Tensor mean = x_.abs().mean(0);
  ExpectClose(ToFloats(AwqScales(mean, {weight_}, options, 7)), Flat(expected["scales"]));
  const QuantizedMatrix matrix = RoundToGrid(GridRule::kAwqSpan, 4, weight_, Granularity::kGroup, 64);
  EXPECT_THAT(matrix.codes, ElementsAreArray(Flat(expected["codes"])));
  EXPECT_THAT(matrix.zeros, ElementsAreArray(Flat(expected["zeros"])));
  EXPECT_TRUE(at::equal(AwqRound(weight_, options), Dequantized(matrix, at::kCPU)));
  for (int step = 0; step < 20; ++step) {
    const at::Tensor scales = AwqScales(mean, {weight_}, options, step);
    const at::Tensor out = at::matmul(x_, (AwqRound(weight_ * scales, options) / scales - weight_).t());
    const double loss = expected["losses"][static_cast<size_t>(step)];
    EXPECT_NEAR(out.square().mean().item<double>(), loss, 1e-3 * loss) << step;
  }
  // The range that the clip search left of each group.
  const at::Tensor left = GroupView(AwqClipped(weight_, moments_, options), Granularity::kGroup, 64).abs().amax(-1);
  ExpectClose(ToFloats(left.flatten()), Flat(expected["clip"]));
}

TEST_F(Oracle, SmoothQuantScalesAreEqual) {
  for (const auto& [alpha, expected] : json_["smoothquant"].items()) {
    ExpectClose(ToFloats(SmoothingScales(x_.abs().amax(0), {weight_}, std::stod(alpha))), Flat(expected));
  }
}

TEST(RoundToGrid, IsRoundToNearestForAbsMax) {
  const auto pool = kernels::ThreadPool::CreateUnpinned(1);
  const at::Tensor weight = Random(24, 256, 3);
  for (const char* name : {"rtn-w8", "rtn-w4", "rtn-w8-channel", "rtn-w4-channel", "rtn-w4-g128", "rtn-w4-g32"}) {
    const Variant variant = FindVariant(name).value();
    const QuantizedMatrix expected = QuantizeRtn(variant, ToFloats(weight), 24, 256, *pool);
    const QuantizedMatrix got =
        RoundToGrid(GridRule::kAbsMax, variant.weight_bits, weight, variant.granularity, variant.group_size);
    EXPECT_EQ(got.codes, expected.codes) << name;
    EXPECT_EQ(got.scales, expected.scales) << name;
    EXPECT_EQ(got.group_scales, expected.group_scales) << name;
  }
}

TEST(Gptq, IsRoundToNearestWithUncorrelatedInputs) {
  const at::Tensor weight = Random(32, 256, 1);
  const at::Tensor moments = at::diag(Random(1, 256, 2).flatten().abs() + 0.1F);
  for (const GptqOptions& options : {kChannelOptions, kGroupOptions}) {
    EXPECT_TRUE(at::equal(Solved(weight, moments, options), Nearest(weight, options)));
  }
}

TEST(Gptq, IsRoundToNearestWithAllDamping) {
  const at::Tensor weight = Random(32, 256, 1);
  GptqOptions options = kGroupOptions;
  options.damp = 1e7;
  EXPECT_TRUE(at::equal(Solved(weight, Correlated(256, 5), options), Nearest(weight, options)));
}

TEST(Gptq, LosesLessThanRoundToNearest) {
  const at::Tensor weight = Random(48, 256, 7);
  const at::Tensor moments = Correlated(256, 8);
  for (const bool act_order : {false, true}) {
    for (GptqOptions options : {kChannelOptions, kGroupOptions}) {
      options.act_order = act_order;
      const double loss = LayerLoss(weight, Solved(weight, moments, options), moments);
      EXPECT_LT(loss, 0.7 * LayerLoss(weight, Nearest(weight, options), moments));
    }
  }
}

TEST(Gptq, ActOrderChangesNothingWhereAllInputsAreAlike) {
  const at::Tensor weight = Random(16, 128, 9);
  at::Tensor moments = Correlated(128, 10);
  const at::Tensor deviation = moments.diagonal().sqrt();
  moments = moments / deviation.unsqueeze(0) / deviation.unsqueeze(1);
  moments.diagonal().fill_(1);
  GptqOptions ordered = kGroupOptions;
  ordered.act_order = true;
  EXPECT_TRUE(at::equal(Solved(weight, moments, ordered), Solved(weight, moments, kGroupOptions)));
}

TEST(Gptq, PermutedInputsWithActOrderGiveThePermutedMatrix) {
  const at::Tensor weight = Random(16, 128, 11);
  const at::Tensor moments = Correlated(128, 12);
  const at::Tensor shuffle = at::argsort(Random(1, 128, 13).flatten());
  GptqOptions options = kGroupOptions;
  options.act_order = true;
  const at::Tensor shuffled =
      Solved(weight.index_select(1, shuffle), moments.index_select(0, shuffle).index_select(1, shuffle), options);
  // The mean of the diagonal is summed in another order: last bits differ, codes hardly ever.
  const at::Tensor same = shuffled == Solved(weight, moments, options).index_select(1, shuffle);
  EXPECT_GT(same.to(at::kFloat).mean().item<float>(), 0.999F);
}

TEST(Gptq, DeadChannelsBecomeZero) {
  const at::Tensor weight = Random(16, 128, 14);
  at::Tensor moments = Correlated(128, 15);
  moments.select(0, 17).zero_();
  moments.select(1, 17).zero_();
  const at::Tensor solved = Solved(weight, moments, kGroupOptions);
  EXPECT_EQ(solved.select(1, 17).abs().max().item<float>(), 0.0F);
  EXPECT_TRUE(AllFinite(solved));
}

TEST(Gptq, SaysWhatIsWrongWithTheInputs) {
  at::Tensor moments = Correlated(64, 16);
  moments[3][3] = std::numeric_limits<float>::quiet_NaN();
  const absl::Status nan = FactorMoments(moments, kChannelOptions).status();
  EXPECT_EQ(nan.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(nan.message()), HasSubstr("not finite"));

  const absl::Status dead = FactorMoments(at::zeros({64, 64}), kChannelOptions).status();
  EXPECT_EQ(dead.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(dead.message()), HasSubstr("dead"));

  GptqOptions undamped = kChannelOptions;
  undamped.damp = 0;
  const absl::Status singular = FactorMoments(at::ones({64, 64}), undamped).status();
  EXPECT_EQ(singular.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(singular.message()), HasSubstr("raise the option damp"));
}

TEST(Gptq, FallsBackToDoublePrecision) {
  // Inputs whose moments span ten decades: more than FP32 can factor with so little damping.
  const at::Tensor spread = at::pow(10.0, at::arange(64).to(at::kDouble) / -6.4);
  const at::Tensor base = Correlated(64, 17).to(at::kDouble) + at::eye(64, at::kDouble);
  const at::Tensor moments = (base * spread.unsqueeze(0) * spread.unsqueeze(1)).to(at::kFloat);
  GptqOptions options = kChannelOptions;
  options.damp = 1e-9;
  EXPECT_TRUE(FactorMoments(moments, options).ok());
}

TEST(Awq, FirstStepIsRoundToNearest) {
  const at::Tensor mean = Random(1, 128, 20).flatten().abs();
  EXPECT_TRUE(at::equal(AwqScales(mean, {}, {.group_size = 64}, 0), at::ones({128})));
}

TEST(Awq, ZerosOfOneSignedGroupsStayInTheGrid) {
  const AwqOptions options = {.group_size = 64};
  for (const double shift : {3.0, -3.0}) {
    const at::Tensor weight = Random(4, 64, 21) + shift;
    const QuantizedMatrix matrix = RoundToGrid(GridRule::kAwqSpan, 4, weight, Granularity::kGroup, 64);
    EXPECT_TRUE(CheckMatrix(matrix).ok()) << CheckMatrix(matrix);
    EXPECT_TRUE(AllFinite(AwqRound(weight, options)));
  }
}

TEST(Awq, ClippingNeverLosesMoreOfAGroup) {
  const at::Tensor weight = Random(8, 128, 22).pow(5);  // a few large, many small
  const at::Tensor moments = Correlated(128, 23);
  const AwqOptions options = {.group_size = 64};
  const at::Tensor clipped = AwqRound(AwqClipped(weight, moments, options), options);
  const at::Tensor plain = AwqRound(weight, options);
  for (int64_t begin = 0; begin < 128; begin += 64) {
    const auto part = [&](const at::Tensor& t) { return t.slice(1, begin, begin + 64); };
    const at::Tensor own = part(moments).slice(0, begin, begin + 64);
    EXPECT_LE(LayerLoss(part(weight), part(clipped), own), LayerLoss(part(weight), part(plain), own) * 1.0001);
  }
}

// A block of a model with fewer heads of keys than of queries.
class BlockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.hidden = 64;
    config_.heads = 4;
    config_.kv_heads = 2;
    config_.head_dim = 16;
    config_.ff = 128;
    config_.context = 64;
    const int64_t sizes[kProjections][2] = {{64, 64}, {32, 64}, {32, 64}, {64, 64}, {128, 64}, {128, 64}, {64, 128}};
    for (size_t i = 0; i < kProjections; ++i) block_.layers[i].weight = Random(sizes[i][0], sizes[i][1], 30 + i) * 0.2;
    block_.at(Projection::kV).bias = Random(1, 32, 40).flatten();
    block_.attention_norm = Random(1, 64, 41).flatten() + 1.5;
    block_.mlp_norm = Random(1, 64, 42).flatten() + 1.5;
    for (uint64_t seed = 50; seed < 53; ++seed) {
      at::Tensor sample = Random(24, 64, seed);
      sample.select(1, 5).mul_(30);  // an outlier channel
      samples_.push_back(sample);
    }
    function_ = std::make_unique<BlockFunction>(config_, 24, at::kCPU);
  }

  BlockRun Run() const { return BlockRun(0, config_, block_, *function_, samples_); }

  double LossOf(const Block& block) const {
    double loss = 0;
    for (const at::Tensor& sample : samples_) {
      const at::Tensor expected = function_->Run(block_, sample, Untouched);
      loss += (function_->Run(block, sample, Untouched) - expected).square().sum().item<double>();
    }
    return loss;
  }

  model::ModelConfig config_;
  Block block_;
  std::vector<at::Tensor> samples_;
  std::unique_ptr<BlockFunction> function_;
};

TEST_F(BlockTest, SmoothingLeavesTheFunctionAsItIs) {
  std::array<at::Tensor, kSites> absmax;
  Run().Observe(block_, [&](Site site, const at::Tensor& x) {
    at::Tensor& most = absmax[static_cast<size_t>(site)];
    most = most.defined() ? at::maximum(most, x.abs().amax(0)) : x.abs().amax(0);
  });
  for (const double alpha : {0.0, 0.5, 0.85, 1.0}) {
    const Block smoothed = Smoothed(block_, absmax, alpha);
    const at::Tensor expected = function_->Run(block_, samples_[0], Untouched);
    const at::Tensor got = function_->Run(smoothed, samples_[0], Untouched);
    EXPECT_LT(((got - expected).abs().max() / expected.abs().max()).item<float>(), 1e-5F) << alpha;
  }
}

TEST_F(BlockTest, SmoothQuantFixesInputScalesInO3Only) {
  for (const char* name : {"smoothquant-o1", "smoothquant-o2", "smoothquant-o3", "smoothquant-channel"}) {
    BlockRun run = Run();
    const Variant variant = FindVariant(name).value();
    const auto block = QuantizeSmoothQuant(variant, run);
    ASSERT_TRUE(block.ok()) << block.status();
    for (const QuantizedMatrix& matrix : block->matrices) {
      EXPECT_EQ(matrix.input_scale > 0, variant.activation_scope == ActivationScope::kStatic) << name;
      EXPECT_TRUE(CheckMatrix(matrix).ok());
    }
  }
}

// What the fixed scale stands for is the largest input of the smoothed layer.
TEST_F(BlockTest, FixedScalesSpanTheSmoothedInputs) {
  BlockRun run = Run();
  const auto quantized = QuantizeSmoothQuant(FindVariant("smoothquant-o3").value(), run);
  ASSERT_TRUE(quantized.ok());
  Block smoothed = block_;
  smoothed.attention_norm = FromFloats(quantized->attention_norm, {64}, at::kCPU);
  float most = 0;
  for (const at::Tensor& sample : samples_) {
    most = std::max(most, function_->Norm(smoothed.attention_norm, sample).abs().max().item<float>());
  }
  EXPECT_NEAR(quantized->matrices[0].input_scale * 127, most, 1e-4 * most);
}

TEST_F(BlockTest, AwqLosesLessThanRoundToNearest) {
  BlockRun run = Run();
  const auto quantized = QuantizeAwq(FindVariant("awq-w4-g64").value(), run);
  ASSERT_TRUE(quantized.ok()) << quantized.status();
  Block nearest = block_;
  for (Layer& layer : nearest.layers) {
    layer.weight = Dequantized(RoundToGrid(GridRule::kAwqSpan, 4, layer.weight, Granularity::kGroup, 64), at::kCPU);
  }
  EXPECT_LT(LossOf(Dequantized(*quantized, at::kCPU)), LossOf(nearest));
}

TEST_F(BlockTest, AwqLeavesOutputRowsOfSharedValuesAlone) {
  BlockRun run = Run();
  const auto quantized = QuantizeAwq(FindVariant("awq-w4-g64:clip=0").value(), run);
  ASSERT_TRUE(quantized.ok());
  const QuantizedMatrix plain =
      RoundToGrid(GridRule::kAwqSpan, 4, block_.at(Projection::kO).weight, Granularity::kGroup, 64);
  EXPECT_EQ(quantized->matrices[static_cast<size_t>(Projection::kO)].codes, plain.codes);
  EXPECT_EQ(quantized->biases[static_cast<size_t>(Projection::kV)], ToFloats(block_.at(Projection::kV).bias));
}

TEST_F(BlockTest, GptqLosesLessThanRoundToNearest) {
  for (const char* name : {"gptq-w4", "gptq-w4-g64", "gptq-w4-g64:act-order=0:static-groups=0:true-sequential=0",
                           "gptq-w4-g64:static-groups=0", "gptq-w4:sym=0", "gptq-w8"}) {
    BlockRun run = Run();
    const Variant variant = FindVariant(name).value();
    const auto quantized = QuantizeGptq(variant, run);
    ASSERT_TRUE(quantized.ok()) << quantized.status();
    Block nearest = block_;
    for (Layer& layer : nearest.layers) {
      layer.weight = Dequantized(
          RoundToGrid(GridRule::kAbsMax, variant.weight_bits, layer.weight, variant.granularity, variant.group_size),
          at::kCPU);
    }
    EXPECT_LT(LossOf(Dequantized(*quantized, at::kCPU)), LossOf(nearest)) << name;
  }
}

// Layers are replaced while the samples stand at their inputs.
TEST_F(BlockTest, GoingSiteBySiteGivesWhatRunningEachTimeGives) {
  const BlockRun run = Run();
  SequentialRun sequential(run);
  Block block = block_;
  for (const Site site : {Site::kQkv, Site::kOutput, Site::kMlp, Site::kDown}) {
    std::array<bool, kSites> wanted = {};
    wanted[static_cast<size_t>(site)] = true;
    EXPECT_TRUE(at::equal(sequential.Moments(site, block), run.Moments(block, wanted)[static_cast<size_t>(site)]));
    for (size_t i = 0; i < kProjections; ++i) {
      if (SiteOf(static_cast<Projection>(i)) == site) block.layers[i].weight = block.layers[i].weight * 0.9;
    }
  }
  const std::vector<at::Tensor> outputs = sequential.Finish(block);
  ASSERT_EQ(outputs.size(), samples_.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_TRUE(at::equal(outputs[i], function_->Run(block, samples_[i], Untouched)));
  }
}

TEST_F(BlockTest, SamplesTogetherDoNotSeeEachOther) {
  const at::Tensor together = function_->Run(block_, at::cat(samples_, 0), Untouched);
  for (size_t i = 0; i < samples_.size(); ++i) {
    const at::Tensor alone = function_->Run(block_, samples_[i], Untouched);
    const auto begin = static_cast<int64_t>(i) * 24;
    EXPECT_LT((together.slice(0, begin, begin + 24) - alone).abs().max().item<float>(), 1e-4F);
  }
}

// Layers that read the same inputs are solved below each other.
TEST(Gptq, LayersSolvedTogetherAreThoseSolvedAlone) {
  const at::Tensor first = Random(8, 128, 20);
  const at::Tensor second = Random(12, 128, 21);
  for (GptqOptions options : {kChannelOptions, kGroupOptions}) {
    options.act_order = true;
    for (const bool symmetric : {false, true}) {
      options.symmetric = symmetric;
      const auto factor = FactorMoments(Correlated(128, 22), options);
      ASSERT_TRUE(factor.ok());
      const int64_t rows[] = {8, 12};
      const auto parts = SplitRows(SolveGptq(at::cat({first, second}, 0), *factor, options), rows);
      ASSERT_EQ(parts.size(), 2U);
      for (size_t i = 0; i < 2; ++i) {
        EXPECT_TRUE(CheckMatrix(parts[i]).ok()) << CheckMatrix(parts[i]);
        const QuantizedMatrix alone = SolveGptq(i == 0 ? first : second, *factor, options);
        EXPECT_EQ(parts[i].codes, alone.codes);
        EXPECT_EQ(parts[i].scales, alone.scales);
        EXPECT_EQ(parts[i].group_scales, alone.group_scales);
        EXPECT_EQ(parts[i].zeros, alone.zeros);
        EXPECT_EQ(parts[i].order, alone.order);
      }
    }
  }
}

// By hand.
TEST(Dequantized, IsScaleTimesCodeMinusZeroInTheInputsOrder) {
  QuantizedMatrix matrix;
  matrix.bits = 4;
  matrix.granularity = Granularity::kGroup;
  matrix.rows = 2;
  matrix.columns = 3;
  matrix.group_size = 3;
  matrix.codes = {1, 2, 3, -8, 7, 0};
  matrix.group_scales = {0x3c00, 0x4000};  // 1 and 2
  matrix.zeros = {1, -1};
  matrix.order = {2, 0, 1};
  const std::vector<float> expected = {1, 2, 0, 16, 2, -14};
  EXPECT_EQ(ToFloats(Dequantized(matrix, at::kCPU)), expected);
  matrix.order.clear();
  matrix.zeros.clear();
  EXPECT_EQ(ToFloats(Dequantized(matrix, at::kCPU)), (std::vector<float>{1, 2, 3, -16, 14, 0}));
  matrix.granularity = Granularity::kChannel;
  matrix.group_size = 0;
  matrix.group_scales.clear();
  matrix.scales = {0.5F, 3};
  EXPECT_EQ(ToFloats(Dequantized(matrix, at::kCPU)), (std::vector<float>{0.5F, 1, 1.5F, -24, 21, 0}));
}

TEST(Atom, PutsTheLargestChannelsLast) {
  const at::Tensor moments = at::diag(at::tensor({3.0F, 9.0F, 1.0F, 1.0F, 5.0F}));
  EXPECT_EQ(ToIndices(AtomOrder(moments)), (std::vector<int32_t>{2, 3, 0, 4, 1}));
}

// Codes of INT8 channels among the last, neighbours' scales shared, and what the kernels make of it.
TEST(Atom, KernelsComputeWhatIsRounded) {
  for (const bool gptq : {false, true}) {
    const AtomOptions options = {.group_size = 32, .keepers = 32, .gptq = gptq};
    const at::Tensor weight = Random(20, 160, 60);
    const auto factor = FactorMoments(Correlated(160, 61), kChannelOptions);
    ASSERT_TRUE(factor.ok());
    const QuantizedMatrix matrix = AtomWeights(weight, factor->spread, options);
    ASSERT_TRUE(CheckMatrix(matrix).ok()) << CheckMatrix(matrix);
    for (int64_t i = 0; i < 20 * 160; ++i) {
      const bool kept = i % 160 >= 128;
      EXPECT_TRUE(kept || (matrix.codes[static_cast<size_t>(i)] >= -8 && matrix.codes[static_cast<size_t>(i)] <= 7));
    }
    for (int64_t row = 0; row < 20; row += 2) {
      for (int64_t group = 0; group < 4; ++group) {
        EXPECT_EQ(matrix.group_scales[static_cast<size_t>(row * 5 + group)],
                  matrix.group_scales[static_cast<size_t>((row + 1) * 5 + group)]);
      }
    }
    const at::Tensor x = Random(7, 160, 62) * 3;
    const at::Tensor expected =
        at::matmul(AtomActivations(x, options).to(at::kDouble), Dequantized(matrix, at::kCPU).to(at::kDouble).t());
    const auto packed = Pack(matrix);
    ASSERT_TRUE(packed.ok()) << packed.status();
    const auto pool = kernels::ThreadPool::CreateUnpinned(1);
    kernels::Activations activations = {.kind = kernels::Activations::Kind::kGroups};
    activations.clip = static_cast<float>(options.activation_clip);
    activations.keepers = options.keepers;
    at::Tensor many = at::empty({7, 20}, at::kFloat);
    const kernels::Product product = {&*packed, many.mutable_data_ptr<float>()};
    kernels::MatMul({&product, 1}, x.const_data_ptr<float>(), 7, activations, *pool);
    at::Tensor one = at::empty({7, 20}, at::kFloat);
    for (int64_t token = 0; token < 7; ++token) {
      const kernels::Product alone = {&*packed, one.mutable_data_ptr<float>() + token * 20};
      kernels::MatVec({&alone, 1}, x.const_data_ptr<float>() + token * 160, activations, *pool);
    }
    EXPECT_TRUE(at::equal(one, many));
    EXPECT_LT((many.to(at::kDouble) - expected).abs().max().item<double>(), 1e-4);
  }
}

TEST_F(BlockTest, AtomWithGptqLosesLessThanWithout) {
  Variant variant = FindVariant("atom-w4a4-g64").value();
  variant.group_size = 16;
  const auto loss = [&](double gptq) {
    for (Option& option : variant.options) {
      if (option.name == "keepers") option.value = 16;
      if (option.name == "gptq") option.value = gptq;
    }
    BlockRun run = Run();
    const auto quantized = QuantizeAtom(variant, run);
    EXPECT_TRUE(quantized.ok()) << quantized.status();
    const Block block = Dequantized(*quantized, at::kCPU);
    const auto hook = AtomHook(variant, *quantized, at::kCPU);
    double sum = 0;
    double power = 0;
    for (const at::Tensor& sample : samples_) {
      const at::Tensor expected = function_->Run(block_, sample, Untouched);
      sum += (function_->Run(block, sample, hook) - expected).square().sum().item<double>();
      power += (expected - sample).square().sum().item<double>();
    }
    return sum / power;
  };
  const double with = loss(1);
  EXPECT_LT(with, loss(0));
  EXPECT_LT(with, 0.2);
}

TEST_F(BlockTest, ActivationsThatAreNotFiniteNameTheLayer) {
  samples_[1][3][7] = std::numeric_limits<float>::infinity();
  const std::pair<const char*, decltype(&QuantizeGptq)> methods[] = {
      {"smoothquant-o1", QuantizeSmoothQuant}, {"awq-w4-g64", QuantizeAwq}, {"gptq-w4-g64", QuantizeGptq}};
  for (const auto& [name, method] : methods) {
    BlockRun run = Run();
    const absl::Status status = method(FindVariant(name).value(), run).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("layer 0 ")) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("not finite")) << name;
  }
}

}  // namespace
}  // namespace uaqf::quantize
