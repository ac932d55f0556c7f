#include "client/calibration.h"

#include <gtest/gtest.h>

namespace uaqf::client {
namespace {

TEST(Calibration, OptionsAreReadFromAVariantsName) {
  EXPECT_EQ(OptionOf("gptq-w4:samples=16:text=abc", "text"), "abc");
  EXPECT_EQ(OptionOf("gptq-w4:samples=16", "text"), std::nullopt);
  EXPECT_EQ(OptionOf("gptq-w4", "samples"), std::nullopt);
  EXPECT_EQ(OptionOf("gptq-w4:samples=", "samples"), "");
}

TEST(Calibration, OptionsAreReplacedWhereTheyStand) {
  EXPECT_EQ(WithOption("gptq-w4:text=prose:samples=16", "text", "abc"), "gptq-w4:text=abc:samples=16");
  EXPECT_EQ(WithOption("gptq-w4", "text", "abc"), "gptq-w4:text=abc");
}

TEST(Calibration, FlagsYieldToWhatAVariantSaysItself) {
  CalibrationFlags flags;
  EXPECT_FALSE(flags.any());
  flags.text = "label";
  flags.samples = 16;
  flags.length = 512;
  flags.seed = 7;
  EXPECT_TRUE(flags.any());
  EXPECT_EQ(WithCalibration("gptq-w4", flags, "abc"), "gptq-w4:samples=16:length=512:seed=7:text=abc");
  EXPECT_EQ(WithCalibration("gptq-w4:seed=1:damp=0.1", flags, "abc"),
            "gptq-w4:seed=1:damp=0.1:samples=16:length=512:text=abc");
}

TEST(Calibration, PeopleSeeTheBeginningsOfDigests) {
  const std::string digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  EXPECT_EQ(WithShortDigests("loading gptq-w4:text=" + digest + ":seed=1, awq-w4-g64:text=" + digest),
            "loading gptq-w4:text=0123456789ab:seed=1, awq-w4-g64:text=0123456789ab");
  EXPECT_EQ(WithShortDigests("gptq-w4:text=prose"), "gptq-w4:text=prose");
  EXPECT_EQ(WithShortDigests("gptq-w4:text=" + digest + "0"), "gptq-w4:text=" + digest + "0");
  EXPECT_EQ(WithShortDigests(digest), digest);
}

}  // namespace
}  // namespace uaqf::client
