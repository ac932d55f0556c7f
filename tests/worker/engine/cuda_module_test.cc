// What of the CUDA backend can be seen without a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/test_data.h"
#include "tests/worker/engine/engine_test_support.h"
#include "worker/engine/cuda/fault.h"
#include "worker/engine/cuda/loader.h"
#include "worker/engine/device_name.h"
#include "worker/model/synthetic.h"

namespace uaqf::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(DeviceName, IsTheProcessorOrAGpuByNumber) {
  EXPECT_FALSE(ParseDevice("cpu")->cuda);
  EXPECT_TRUE(ParseDevice("cuda:0")->cuda);
  EXPECT_EQ(ParseDevice("cuda:12")->ordinal, 12);
}

TEST(DeviceName, RefusesWhatIsNone) {
  for (const char* name : {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:1024", "cuda:99999", "CPU"}) {
    const auto device = ParseDevice(name);
    EXPECT_EQ(device.status().code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(device.status().message()), HasSubstr("expected cpu or cuda:N")) << name;
  }
}

TEST(CudaModule, ThatIsNoLibraryIsNamedWithTheReason) {
  const std::string path = test::ScratchFolder() + "/libuaqf_cuda.so";
  const auto missing = OpenCudaModule(path);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(missing.status().message()), AllOf(HasSubstr(path), HasSubstr("LD_LIBRARY_PATH")));
}

TEST(CudaModule, ThatIsAnotherLibraryIsRefused) {
  const auto other = OpenCudaModule("libm.so.6");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("no symbol UaqfCudaModule"));
}

TEST(FaultPlan, CountsFromOne) {
  Faults faults(*ParseFaultPlan("lost:3,memory:2"));
  EXPECT_TRUE(faults.Step().ok());
  EXPECT_TRUE(faults.Step().ok());
  EXPECT_EQ(faults.Step().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(faults.Step().code(), absl::StatusCode::kUnavailable) << "a GPU that is lost stays lost";
  EXPECT_TRUE(faults.Matrix().ok());
  EXPECT_EQ(faults.Matrix().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(faults.Matrix().ok()) << "memory may be there again";
}

TEST(FaultPlan, RefusesWhatIsNone) {
  EXPECT_EQ(ParseFaultPlan("")->lost_at_step, 0);
  for (const char* text : {"lost", "lost:", "lost:0", "lost:-1", "memory:x", "fire:1"}) {
    EXPECT_EQ(ParseFaultPlan(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(SyntheticModel, ComputesFiniteLogitsThatDependOnTheInput) {
  const auto checkpoint = *model::OpenSynthetic("synthetic:tiny");
  for (const char* variant : {"fp16", "rtn-w8a8", "rtn-w4-g128"}) {
    const auto engine = test::MakeEngine(*checkpoint, variant, {.max_sequence_tokens = 64});
    ASSERT_NE(engine, nullptr);
    ASSERT_TRUE(engine->Prefill(test::RandomIds(20, 512, 1)).ok());
    const std::vector<float> first(engine->logits().begin(), engine->logits().end());
    ASSERT_TRUE(engine->Prefill(test::RandomIds(20, 512, 2)).ok());
    double difference = 0;
    for (size_t i = 0; i < first.size(); ++i) {
      ASSERT_TRUE(std::isfinite(first[i])) << variant;
      difference = std::max(difference, std::abs(static_cast<double>(first[i] - engine->logits()[i])));
    }
    EXPECT_GT(difference, 0.1) << variant;
  }
}

}  // namespace
}  // namespace uaqf::engine
