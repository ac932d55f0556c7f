#include "worker/quantize/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/model/model_files.h"
#include "tests/worker/quantize/memory_store.h"
#include "worker/engine/engine.h"
#include "worker/model/synthetic.h"
#include "worker/quantize/prose.h"

namespace uaqf::quantize {
namespace {

using test::MemoryStore;
using ::testing::HasSubstr;

std::vector<int32_t> Ids(int count, int vocab) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * 7919 + i / 3) % vocab));
  return ids;
}

class CalibrateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = test::TinyConfig();
    config_.ff = 128;
    checkpoint_ = model::MakeSynthetic(config_, 5);
    set_ = *ChooseSamples(Ids(256, 128), {.samples = 4, .length = 64});
  }

  absl::Status Run(const char* variant, BlockStore& store, const CalibrationOptions& options = {.threads = 1}) {
    return Calibrate(*checkpoint_, FindVariant(variant).value(), set_, options, store).status();
  }

  model::ModelConfig config_;
  std::unique_ptr<model::Checkpoint> checkpoint_;
  CalibrationSet set_;
};

TEST_F(CalibrateTest, EveryMethodGivesWhatTheEngineRuns) {
  const std::vector<int32_t> window = Ids(64, 128);
  auto fp16 = engine::Engine::Create(*checkpoint_, FindVariant("fp16").value(), {.threads = 1});
  ASSERT_TRUE(fp16.ok());
  const std::vector<double> expected = *(*fp16)->Score(window);
  for (const Variant& variant : Variants()) {
    if (!NeedsCalibration(variant) || !FitsModel(variant, config_).ok()) continue;
    SCOPED_TRACE(variant.name);
    MemoryStore store;
    const auto cost = Calibrate(*checkpoint_, variant, set_, {.threads = 1}, store);
    ASSERT_TRUE(cost.ok()) << cost.status();
    EXPECT_EQ(store.puts, 2);
    engine::EngineOptions options = {.threads = 1};
    options.blocks = &store;
    auto engine = engine::Engine::Create(*checkpoint_, variant, options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    const auto nll = (*engine)->Score(window);
    ASSERT_TRUE(nll.ok());
    double worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) worst = std::max(worst, std::abs((*nll)[i] - expected[i]));
    EXPECT_GT(worst, 0);
    EXPECT_LT(worst, variant.weight_bits == 8 ? 0.6 : 3.0);
  }
}

TEST_F(CalibrateTest, GoesOnWhereItStoppedWithTheSameResult) {
  for (const char* variant : {"gptq-w4-g64", "smoothquant-o3", "awq-w4-g64"}) {
    MemoryStore whole, resumed;
    ASSERT_TRUE(Run(variant, whole).ok());
    const absl::Status stopped =
        Run(variant, resumed, {.threads = 1, .progress = [](int64_t done, int64_t) { return done < 1; }});
    EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(resumed.puts, 1);
    ASSERT_TRUE(Run(variant, resumed).ok());
    EXPECT_EQ(resumed.puts, 2);
    for (int64_t index = 0; index < 2; ++index) {
      for (size_t i = 0; i < kProjections; ++i) {
        EXPECT_EQ(resumed.blocks[index].matrices[i].codes, whole.blocks[index].matrices[i].codes) << variant;
      }
    }
  }
}

TEST_F(CalibrateTest, ReportsProgress) {
  MemoryStore store;
  std::vector<int64_t> seen;
  const auto note = [&](int64_t done, int64_t all) {
    EXPECT_EQ(all, 2);
    seen.push_back(done);
    return true;
  };
  ASSERT_TRUE(Run("smoothquant-channel", store, {.threads = 1, .progress = note}).ok());
  EXPECT_EQ(seen, (std::vector<int64_t>{0, 1, 2}));
}

// The stages that a method has are those that take time.
TEST_F(CalibrateTest, SaysWhereTheTimeWent) {
  const auto seconds = [&](const char* variant, bool timed) {
    MemoryStore store;
    const auto cost =
        Calibrate(*checkpoint_, FindVariant(variant).value(), set_, {.threads = 1, .timed = timed}, store);
    EXPECT_TRUE(cost.ok()) << cost.status();
    EXPECT_EQ(cost->device_bytes, 0);
    return cost->stage_seconds;
  };
  const auto of = [](const auto& stages, CalibrationStage stage) { return stages[static_cast<size_t>(stage)]; };
  const auto gptq = seconds("gptq-w4-g64", true);
  EXPECT_GT(of(gptq, CalibrationStage::kFactor), 0);
  EXPECT_GT(of(gptq, CalibrationStage::kSolve), 0);
  EXPECT_EQ(of(gptq, CalibrationStage::kSearch), 0);
  const auto awq = seconds("awq-w4-g64", true);
  EXPECT_GT(of(awq, CalibrationStage::kSearch), of(awq, CalibrationStage::kRun));
  EXPECT_EQ(of(awq, CalibrationStage::kSolve), 0);
  EXPECT_EQ(seconds("smoothquant-o1", false), (std::array<double, kCalibrationStages>{}));
}

TEST_F(CalibrateTest, TheFirstBlocksAloneAreThoseOfTheWhole) {
  MemoryStore whole, first;
  ASSERT_TRUE(Run("gptq-w4-g64", whole).ok());
  ASSERT_TRUE(Run("gptq-w4-g64", first, {.threads = 1, .blocks = 1}).ok());
  EXPECT_EQ(first.puts, 1);
  EXPECT_EQ(first.blocks[0].matrices[6].codes, whole.blocks[0].matrices[6].codes);
}

TEST(StageTimes, GivesEachStageTheTimeUntilTheNext) {
  double now = 10;
  StageTimes times([&now] { return now; });
  times.Enter(CalibrationStage::kRun);
  now = 12;
  times.Enter(CalibrationStage::kStore);
  now = 15;
  times.Leave();
  now = 100;
  times.Enter(CalibrationStage::kRun);
  now = 101;
  times.Leave();
  EXPECT_EQ(times.seconds(), (std::array<double, kCalibrationStages>{0, 3, 0, 0, 0, 3}));
}

TEST_F(CalibrateTest, RefusesTokensAndSamplesThatTheModelDoesNotTake) {
  MemoryStore store;
  set_.samples[1][3] = 128;
  EXPECT_THAT(std::string(Run("gptq-w4", store).message()), HasSubstr("got token 128"));
  set_ = *ChooseSamples(Ids(600, 128), {.samples = 2, .length = 200});
  EXPECT_THAT(std::string(Run("gptq-w4", store).message()), HasSubstr("expected at most 128, the context of"));
  EXPECT_EQ(store.puts, 0);
}

TEST_F(CalibrateTest, AGroupSizeThatDoesNotDivideIsNamed) {
  MemoryStore store;
  EXPECT_THAT(std::string(Run("gptq-w4-g128:act-order=1", store).message()),
              HasSubstr("group size 128 does not divide input dimension 64"));
}

TEST_F(CalibrateTest, AnEngineWithoutItsBlocksSaysSo) {
  const auto engine = engine::Engine::Create(*checkpoint_, FindVariant("gptq-w4").value(), {.threads = 1});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ChooseSamples, SaysHowShortTheTextIs) {
  const absl::Status status = ChooseSamples(Ids(1000, 50), {.samples = 4, .length = 256}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has 1000 tokens, expected at least 1024"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 3 samples"));
}

TEST(ChooseSamples, SeedChoosesAmongPlacesThatDoNotOverlap) {
  std::vector<int32_t> ids(1000);
  for (int i = 0; i < 1000; ++i) ids[static_cast<size_t>(i)] = i;
  const auto one = *ChooseSamples(ids, {.samples = 5, .length = 100, .seed = 1});
  const auto same = *ChooseSamples(ids, {.samples = 5, .length = 100, .seed = 1});
  const auto other = *ChooseSamples(ids, {.samples = 5, .length = 100, .seed = 2});
  EXPECT_EQ(one.digest, same.digest);
  EXPECT_NE(one.digest, other.digest);
  std::set<int32_t> starts;
  for (const auto& sample : one.samples) {
    EXPECT_EQ(sample.size(), 100U);
    EXPECT_EQ(sample[0] % 100, 0);
    starts.insert(sample[0]);
  }
  EXPECT_EQ(starts.size(), 5U);
}

TEST(ChooseSamples, AllOfTheTextComesInItsOrder) {
  const auto set = *ChooseSamples(Ids(400, 50), {.samples = 4, .length = 100, .seed = 9});
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(set.samples[i][0], Ids(400, 50)[i * 100]);
}

// 32,000 tokens: a word of English prose is at least one and about 1.3 of them.
TEST(CalibrationProse, IsLongEnoughAndRepeatsNothing) {
  const std::string_view prose = CalibrationProse();
  std::map<std::string_view, int> lines;
  size_t words = 0;
  for (size_t begin = 0; begin < prose.size();) {
    const size_t end = std::min(prose.find('\n', begin), prose.size());
    const std::string_view line = prose.substr(begin, end - begin);
    if (line.size() > 40) {
      EXPECT_EQ(++lines[line], 1) << line;
    }
    words += static_cast<size_t>(std::count(line.begin(), line.end(), ' ')) + (line.empty() ? 0 : 1);
    begin = end + 1;
  }
  EXPECT_GT(words, 25000U);
}

}  // namespace
}  // namespace uaqf::quantize
