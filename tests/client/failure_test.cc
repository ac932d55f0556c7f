// What an error is told as.
#include "client/failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/terminal.h"
#include "proto/wire/status.h"

namespace uaqf::client {
namespace {

using ::testing::Not;

const Terminal kPlain;

TEST(Failures, HaveTheExitCodesThatScriptsKnow) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 3);
  EXPECT_EQ(ExitCodeOf(wire::Error(absl::StatusCode::kFailedPrecondition, "NOT_DECIDABLE", "")), 4);
}

TEST(Failures, AreToldWithWhatToDoBelow) {
  EXPECT_EQ(ErrorText(absl::NotFoundError("no jobs/x\nsee: uaqf jobs list"), kPlain),
            "error: no jobs/x\n  see: uaqf jobs list\n");
  EXPECT_EQ(ErrorText(wire::Error(absl::StatusCode::kFailedPrecondition, "NOT_DECIDABLE", "no quality"), kPlain),
            "error: not decidable: no quality\n");
  EXPECT_EQ(ErrorText(wire::WithRetryDelay(absl::ResourceExhaustedError("full"), absl::Seconds(5)), kPlain),
            "error: full\n  try again in 5s\n");
}

}  // namespace
}  // namespace uaqf::client
