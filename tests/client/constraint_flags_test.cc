// Limits as people type them.
#include "client/constraint_flags.h"

#include <gmock/gmock.h>

namespace uaqf::client {
namespace {

using testing::HasSubstr;

double LimitOf(const std::string& text, v1::LimitedFigure figure) {
  const auto constraint = ParseConstraint(text);
  EXPECT_TRUE(constraint.ok()) << constraint.status();
  if (!constraint.ok()) return -1;
  EXPECT_EQ(constraint->figure(), figure) << text;
  return constraint->limit();
}

TEST(ParseConstraint, TakesTheUnitsOfItsFigure) {
  EXPECT_DOUBLE_EQ(LimitOf("latency-p95=2s", v1::LIMITED_FIGURE_LATENCY_P95), 2);
  EXPECT_DOUBLE_EQ(LimitOf("ttft=40ms", v1::LIMITED_FIGURE_TTFT), 0.04);
  EXPECT_DOUBLE_EQ(LimitOf("inter-token = 0.02", v1::LIMITED_FIGURE_INTER_TOKEN), 0.02);
  EXPECT_DOUBLE_EQ(LimitOf("memory=8GB", v1::LIMITED_FIGURE_MEMORY), 8e9);
  EXPECT_DOUBLE_EQ(LimitOf("memory=1.5 GiB", v1::LIMITED_FIGURE_MEMORY), 1.5 * 1073741824);
  EXPECT_DOUBLE_EQ(LimitOf("nll-loss=1e-2", v1::LIMITED_FIGURE_NLL_LOSS), 0.01);
  EXPECT_DOUBLE_EQ(LimitOf("energy-per-token=0.5", v1::LIMITED_FIGURE_ENERGY_PER_TOKEN), 0.5);
  EXPECT_DOUBLE_EQ(LimitOf("energy-per-token=500mJ", v1::LIMITED_FIGURE_ENERGY_PER_TOKEN), 0.5);
  EXPECT_DOUBLE_EQ(LimitOf("price=0", v1::LIMITED_FIGURE_PRICE), 0);
}

TEST(ParseConstraint, SaysWhatItExpected) {
  for (const auto& [text, part] :
       {std::pair("speed=2", "expected one of latency-p50"), std::pair("ttft", "2s or 40ms"),
        std::pair("ttft=2GB", "2s or 40ms"), std::pair("memory=lots", "8GB or 512MiB"),
        std::pair("nll-loss=-1", "0.05"), std::pair("memory=nan", "8GB"), std::pair("nll-loss=0.1s", "0.05"),
        std::pair("energy-per-token=2s", "500mJ"), std::pair("", "expected one of")}) {
    EXPECT_THAT(std::string(ParseConstraint(text).status().message()), HasSubstr(part)) << text;
  }
}

TEST(FigureText, IsForPeople) {
  EXPECT_EQ(FigureName(v1::LIMITED_FIGURE_TTFT_P95), "ttft_p95");
  EXPECT_EQ(FigureText(v1::LIMITED_FIGURE_MEMORY, 8e9), "8.00 GB");
  EXPECT_EQ(FigureText(v1::LIMITED_FIGURE_NLL_LOSS, 0.05), "0.050 nats/token");
  EXPECT_EQ(FigureText(v1::LIMITED_FIGURE_LATENCY_P50, 0.00043971), "0.00044 s");
}

}  // namespace
}  // namespace uaqf::client
