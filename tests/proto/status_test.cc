#include "proto/wire/status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

namespace uaqf::wire {
namespace {

// What a client written by somebody else finds in the trailer.
google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(Status, KeepsCodeMessageAndReasonOverTheWire) {
  const absl::Status sent = Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", "got jobs/x, expected one that exists");
  const absl::Status received = FromGrpc(ToGrpc(sent));
  EXPECT_EQ(received, sent);
  EXPECT_EQ(Reason(received), "JOB_NOT_FOUND");
}

TEST(Status, CarriesOneErrorInfoOfOurDomain) {
  const google::rpc::Status details =
      Details(ToGrpc(Error(absl::StatusCode::kAborted, "SESSION_REPLACED", "a newer session came")));
  EXPECT_EQ(details.code(), static_cast<int>(grpc::StatusCode::ABORTED));
  EXPECT_EQ(details.message(), "a newer session came");
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.domain(), "uaqf");
  EXPECT_EQ(info.reason(), "SESSION_REPLACED");
}

TEST(Status, NamesTheCodeWhereNoReasonWasGiven) {
  EXPECT_EQ(Reason(FromGrpc(ToGrpc(absl::DataLossError("the file is damaged")))), "DATA_LOSS");
}

TEST(Status, KeepsTheRetryDelayToTheNanosecond) {
  const absl::Duration delay = absl::Seconds(7) + absl::Nanoseconds(123456789);
  const absl::Status sent =
      WithRetryDelay(Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_JOBS", "too many"), delay);
  const absl::Status received = FromGrpc(ToGrpc(sent));
  EXPECT_EQ(RetryDelay(received), delay);
  EXPECT_EQ(Reason(received), "TOO_MANY_JOBS");
  EXPECT_EQ(RetryDelay(absl::UnavailableError("no delay in it")), std::nullopt);
}

TEST(Status, MapsEveryCodeBothWays) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status sent(static_cast<absl::StatusCode>(code), "m");
    EXPECT_EQ(ToGrpc(sent).error_code(), static_cast<grpc::StatusCode>(code));
    EXPECT_EQ(FromGrpc(ToGrpc(sent)).code(), sent.code());
  }
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
}

TEST(Status, GivesCodeAndMessageWhereDetailsAreGarbage) {
  const absl::Status received = FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone", "\xff\xff\xff"));
  EXPECT_EQ(received.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(received.message(), "gone");
  EXPECT_EQ(Reason(received), "");
}

}  // namespace
}  // namespace uaqf::wire
