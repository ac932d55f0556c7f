#include "worker/quantize/variants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/worker/model/model_files.h"

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
  EXPECT_EQ(names, (std::vector<std::string>{"fp16", "rtn-w8", "rtn-w4", "rtn-w8-channel", "rtn-w4-channel",
                                             "rtn-w4-g128", "rtn-w4-g64", "rtn-w4-g32", "rtn-w8a8", "rtn-w4a8"}));
}

TEST(Variants, HaveConsistentRows) {
  for (const Variant& variant : Variants()) {
    EXPECT_EQ(variant.granularity == Granularity::kGroup, variant.group_size > 0) << variant.name;
    EXPECT_EQ(variant.method == Method::kNone, variant.weight_bits == 16) << variant.name;
    EXPECT_TRUE(variant.activation_bits == 16 || variant.activation_bits == 8) << variant.name;
    EXPECT_FALSE(variant.description.empty()) << variant.name;
  }
}

TEST(Variants, UnknownNameListsTheKnown) {
  const absl::Status status = FindVariant("rtn-w3\n").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("unknown variant \"rtn-w3\\n\""));
  EXPECT_THAT(std::string(status.message()), HasSubstr("fp16, rtn-w8, rtn-w4"));
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
    EXPECT_EQ(ConfigDigest(variant).size(), 64U);
    digests.insert(ConfigDigest(variant));
  }
  EXPECT_EQ(digests.size(), Variants().size());
  // A change here means that results of older runs no longer compare: raise it on purpose only.
  EXPECT_EQ(ConfigDigest(FindVariant("rtn-w4-g64").value()),
            "cb0183a54491fe6dbb7036e9b05290349df307620d7a896856dd291ad6aa1a0b");
}

}  // namespace
}  // namespace uaqf::quantize
