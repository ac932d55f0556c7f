#include "worker/quantize/variants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/worker/model/model_files.h"
#include "worker/model/digest.h"

namespace uaqf::quantize {
namespace {

using ::testing::HasSubstr;

// SmolLM2-135M's shape: 576 is no multiple of 128.
model::ModelConfig Smol() {
  model::ModelConfig config = test::TinyConfig();
  config.name = "smollm2";
  config.hidden = 576;
  config.heads = 9;
  config.kv_heads = 3;
  config.head_dim = 64;
  config.ff = 1536;
  return config;
}

TEST(Variants, AreThoseOfThePaperAndStartWithTheBaseline) {
  std::vector<std::string> names;
  for (const Variant& variant : Variants()) names.emplace_back(variant.name);
  EXPECT_EQ(names, (std::vector<std::string>{"fp16",
                                             "rtn-w8",
                                             "rtn-w4",
                                             "rtn-w8-channel",
                                             "rtn-w4-channel",
                                             "rtn-w4-g128",
                                             "rtn-w4-g64",
                                             "rtn-w4-g32",
                                             "rtn-w8a8",
                                             "rtn-w8a8-channel",
                                             "rtn-w4a8",
                                             "smoothquant-o1",
                                             "smoothquant-o2",
                                             "smoothquant-o3",
                                             "smoothquant-channel",
                                             "gptq-w8",
                                             "gptq-w4",
                                             "gptq-w4-g128",
                                             "gptq-w4-g64",
                                             "awq-w4-g128",
                                             "awq-w4-g64",
                                             "atom-w4a4",
                                             "atom-w4a4-g64",
                                             "zeroquant-w8a8",
                                             "zeroquant-w8a8-g128",
                                             "zeroquant-w8a8-g64"}));
}

TEST(Variants, HaveConsistentRows) {
  for (const Variant& variant : Variants()) {
    EXPECT_EQ(variant.granularity == Granularity::kGroup, variant.group_size > 0) << variant.name;
    EXPECT_EQ(variant.method == Method::kNone, variant.weight_bits == 16) << variant.name;
    EXPECT_TRUE(variant.activation_bits == 16 || variant.activation_bits == 8 || variant.activation_bits == 4)
        << variant.name;
    EXPECT_FALSE(variant.description.empty()) << variant.name;
  }
}

TEST(Variants, OnlyAtomsCacheIsSmaller) {
  model::ModelConfig config;
  config.layers = 3;
  config.kv_heads = 2;
  config.head_dim = 64;
  for (const Variant& variant : Variants()) {
    const bool atom = variant.method == Method::kAtom;
    EXPECT_EQ(KvBits(variant), atom ? 4 : 16) << variant.name;
    // Of INT4, a scale and a zero of FP16 each to a row.
    EXPECT_EQ(KvBytesPerToken(variant, config), 3 * 2 * 2 * (atom ? 64 / 2 + 4 : 64 * 2)) << variant.name;
  }
}

TEST(Variants, UnknownNameListsTheKnown) {
  const absl::Status status = FindVariant("rtn-w3\n").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("unknown variant \"rtn-w3\\n\""));
  EXPECT_THAT(std::string(status.message()), HasSubstr("fp16, rtn-w8, rtn-w4"));
}

TEST(Variants, OptionsFollowTheNameAndChangeTheDigest) {
  const Variant plain = FindVariant("gptq-w4-g64").value();
  const Variant ordered = FindVariant("gptq-w4-g64:act-order=1:damp=0.05").value();
  EXPECT_EQ(ordered.name, "gptq-w4-g64:act-order=1:damp=0.05");
  EXPECT_EQ(ordered.group_size, 64);
  EXPECT_EQ(ordered.option("act-order"), 1);
  EXPECT_EQ(ordered.option("damp"), 0.05);
  EXPECT_NE(ConfigText(plain), ConfigText(ordered));
  // Said or not, a default is the same configuration; another calibration is another one.
  EXPECT_EQ(ConfigText(plain), ConfigText(FindVariant("gptq-w4-g64:damp=0.01").value()));
  const CalibrationFacts facts = {16, 2048, 0, "text", "tokens", "cpu"};
  CalibrationFacts other = facts;
  other.tokens = "others";
  EXPECT_NE(ConfigText(plain, facts), ConfigText(plain, other));
}

TEST(Variants, ConfigurationsHaveEveryOptionWithTheValueItHad) {
  const Variant variant = FindVariant("gptq-w4-g64:act-order=0:samples=4").value();
  EXPECT_EQ(ConfigText(variant, CalibrationFacts{4, 512, 7, "text digest", "token digest", "cuda"}),
            R"({"activation_bits":16,"calibration":{"device":"cuda","length":512,"samples":4,"seed":7,)"
            R"("text":"text digest","tokens":"token digest"},"granularity":"group","group_size":64,"method":"gptq",)"
            R"("options":{"act-order":0.0,"damp":0.01,"static-groups":1.0,"sym":1.0,"true-sequential":1.0},)"
            R"("quantizer_version":2,"weight_bits":4})");
}

TEST(Variants, CalibrationIsAnOptionOfWhatNeedsIt) {
  const std::string text(64, 'a');
  const Variant variant = FindVariant("gptq-w4:samples=8:length=256:seed=7:text=" + text).value();
  EXPECT_EQ(variant.calibration.samples, 8);
  EXPECT_EQ(variant.calibration.length, 256);
  EXPECT_EQ(variant.calibration.seed, 7U);
  EXPECT_EQ(variant.calibration.text, text);
  EXPECT_FALSE(FindVariant("rtn-w4:samples=8").ok());
  EXPECT_THAT(std::string(FindVariant("gptq-w4:samples=1.5").status().message()), HasSubstr("expected a whole number"));
  EXPECT_THAT(std::string(FindVariant("gptq-w4:text=prose").status().message()), HasSubstr("digest of a text set"));
}

TEST(Variants, WrongOptionsSayWhatIsRight) {
  const auto message = [](const char* name) { return std::string(FindVariant(name).status().message()); };
  EXPECT_THAT(message("gptq-w4:speed=9"), HasSubstr("unknown option \"speed\" of gptq-w4; it has sym, act-order"));
  EXPECT_THAT(message("fp16:speed=9"), HasSubstr("of fp16; it has none"));
  for (const char* name : {"smoothquant-o1:alpha=1.5", "smoothquant-o1:alpha=", "smoothquant-o1:alpha",
                           "smoothquant-o1:alpha=0.5x", "smoothquant-o1:alpha=nan"}) {
    EXPECT_THAT(message(name), HasSubstr("expected a number from 0 to 1")) << name;
  }
  EXPECT_FALSE(FindVariant("gptq-w4:").ok());
}

TEST(Variants, GroupSizeMustDivideEveryInputDimension) {
  const auto fits = [](const char* name, const model::ModelConfig& config) {
    return FitsModel(FindVariant(name).value(), config);
  };
  EXPECT_TRUE(fits("rtn-w4-g64", Smol()).ok());
  EXPECT_TRUE(fits("fp16", Smol()).ok());
  EXPECT_THAT(std::string(fits("rtn-w4-g128", Smol()).message()),
              HasSubstr("group size 128 does not divide input dimension 576 (layer 0 q_proj)"));
  model::ModelConfig odd = Smol();
  odd.ff = 1000;
  EXPECT_THAT(std::string(fits("rtn-w4-g64", odd).message()), HasSubstr("input dimension 1000 (layer 0 down_proj)"));
  EXPECT_TRUE(fits("rtn-w4-channel", odd).ok());
}

TEST(Variants, DigestsTellConfigurationsApart) {
  std::set<std::string> digests;
  for (const Variant& variant : Variants()) {
    digests.insert(model::Sha256(ConfigText(variant)));
  }
  EXPECT_EQ(digests.size(), Variants().size());
  // A change here means that results of older runs no longer compare: raise it on purpose only.
  EXPECT_EQ(model::Sha256(ConfigText(FindVariant("rtn-w4-g64").value())),
            "cb0183a54491fe6dbb7036e9b05290349df307620d7a896856dd291ad6aa1a0b");
}

}  // namespace
}  // namespace uaqf::quantize
