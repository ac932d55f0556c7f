#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "client/failure.h"
#include "client/names.h"
#include "client/watch.h"
#include "proto/wire/status.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Le;

constexpr auto kPrompts = v1::PROMPT_SET_KIND_PROMPTS;

std::unique_ptr<Client> ConnectTo(const FakeCoordinator& coordinator) {
  auto client = Client::Connect(coordinator.address(), {});
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

std::vector<v1::Prompt> Prompts(int count, std::size_t bytes) {
  std::vector<v1::Prompt> prompts(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    prompts[static_cast<std::size_t>(i)].set_id(absl::StrCat("p", i));
    prompts[static_cast<std::size_t>(i)].set_text(std::string(bytes, 'x'));
  }
  return prompts;
}

WatchOptions Quick() {
  WatchOptions options;
  options.pause = absl::Milliseconds(20);
  options.longest_pause = absl::Milliseconds(100);
  return options;
}

// A port that was just free: nobody listens on it.
TEST(Connect, SaysWithinItsPatienceThatNobodyListens) {
  std::string address;
  {
    const FakeCoordinator gone;
    address = gone.address();
  }
  const absl::Time begun = absl::Now();
  const absl::Status status = Client::Connect(address, {}, absl::Milliseconds(500)).status();
  EXPECT_LT(absl::Now() - begun, absl::Seconds(2));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(
      std::string(status.message()),
      absl::StrCat("no coordinator at ", address,
                   " (connection refused, tried 0.5 s)\nstart one: uaqf-server --insecure-dev    or name another: "
                   "--server HOST:PORT, UAQF_SERVER"));
}

TEST(Connect, RefusesAddressesThatCannotBe) {
  for (const char* bad : {"", "localhost", "localhost:", ":7600", "localhost:0", "localhost:99999", "localhost:http"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect(bad, {}).status())) << bad;
  }
}

TEST(Connect, GoesNowhereElseWithoutTls) {
  EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect("192.0.2.1:7600", {}).status()));
}

TEST(Upload, CutsABigSetIntoMessagesTheServerTakes) {
  FakeCoordinator coordinator;
  const auto client = ConnectTo(coordinator);
  const auto prompts = Prompts(50, 100'000);
  const auto set = client->CreatePromptSet("big", kPrompts, prompts);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->prompt_count(), 50);
  coordinator.With([&](FakeState& state) {
    EXPECT_GT(state.upload_messages.size(), 5u);
    EXPECT_THAT(state.upload_messages, Each(Le(1u << 20)));
    ASSERT_EQ(state.items[set->name()].size(), 50u);
    EXPECT_EQ(state.items[set->name()][49].id(), "p49") << "in order";
  });
}

TEST(Upload, SendsNothingThatTheCoordinatorHas) {
  FakeCoordinator coordinator;
  const auto client = ConnectTo(coordinator);
  const auto first = Upload(*client, "one", kPrompts, Prompts(3, 10));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(first->uploaded);
  const auto again = Upload(*client, "two", kPrompts, Prompts(3, 10));
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->uploaded);
  EXPECT_EQ(again->set.name(), first->set.name());
  EXPECT_EQ(again->set.display_name(), "one");
}

TEST(Lists, HoldAllPages) {
  FakeCoordinator coordinator;
  coordinator.With([](FakeState& state) { state.page_size = 2; });
  for (int i = 0; i < 5; ++i) coordinator.Add(SampleJob(absl::StrCat("jobs/j", i), 0));
  const auto jobs = ConnectTo(coordinator)->ListJobs();
  ASSERT_TRUE(jobs.ok());
  ASSERT_EQ(jobs->jobs_size(), 5);
  EXPECT_EQ(jobs->jobs(0).name(), "jobs/j4");
  EXPECT_EQ(jobs->jobs(4).name(), "jobs/j0");
}

TEST(ResolveJob, TakesABeginningAndKeepsOtherErrors) {
  FakeCoordinator coordinator;
  coordinator.Add(SampleJob("jobs/k7f2m9", 0));
  coordinator.Add(SampleJob("jobs/k7f2", 0));
  const auto client = ConnectTo(coordinator);
  EXPECT_EQ(*ResolveJob(*client, "k7f2"), "jobs/k7f2");
  EXPECT_EQ(*ResolveJob(*client, "jobs/k7f2m"), "jobs/k7f2m9");
  EXPECT_TRUE(absl::IsInvalidArgument(ResolveJob(*client, "k7").status()));
  EXPECT_TRUE(absl::IsNotFound(ResolveJob(*client, "zz").status()));
  coordinator.With([](FakeState& state) { state.failures["GetJob"] = absl::InternalError("disk"); });
  EXPECT_TRUE(absl::IsInternal(ResolveJob(*client, "zz").status()));
}

TEST(Errors, KeepTheCoordinatorsReasonAndWords) {
  FakeCoordinator coordinator;
  coordinator.With([](FakeState& state) {
    state.failures["RankVariants"] =
        wire::Error(absl::StatusCode::kFailedPrecondition, kReasonNotDecidable, "no quality");
  });
  const absl::Status status = ConnectTo(coordinator)->RankVariants({}).status();
  EXPECT_EQ(wire::Reason(status), kReasonNotDecidable);
  EXPECT_EQ(std::string(status.message()), "no quality");
}

TEST(Errors, NameTheCoordinatorThatWasLost) {
  FakeCoordinator coordinator;
  const auto client = ConnectTo(coordinator);
  coordinator.Stop();
  const absl::Status status = client->ListWorkers().status();
  EXPECT_EQ(ExitCodeOf(status), kExitUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(coordinator.address()));
}

TEST(FollowJob, EndsWithTheJob) {
  FakeCoordinator coordinator;
  coordinator.Add(SampleJob("jobs/a", 10));
  const auto client = ConnectTo(coordinator);
  Cancellation cancellation;
  std::vector<std::int64_t> seen;
  const auto last = FollowJob(
      *client, "jobs/a",
      [&](const v1::Job& job) {
        seen.push_back(job.progress().records_done());
        coordinator.Change("jobs/a", [](v1::Job& j) {
          j.mutable_progress()->set_records_done(360);
          j.set_state(v1::JOB_STATE_SUCCEEDED);
        });
      },
      cancellation, Quick());
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(seen, ::testing::ElementsAre(10, 360));
}

TEST(FollowJob, OutlivesARestartOfTheCoordinator) {
  FakeCoordinator coordinator;
  coordinator.Add(SampleJob("jobs/a", 10));
  const auto client = ConnectTo(coordinator);
  Cancellation cancellation;
  std::vector<std::string> gaps;
  WatchOptions options = Quick();
  options.on_gap = [&](const std::string& cause) { gaps.push_back(cause); };
  std::thread restart([&] {
    ASSERT_TRUE(coordinator.Await([](const FakeState& state) { return state.watches == 1; }));
    coordinator.Stop();
    coordinator.Change("jobs/a", [](v1::Job& job) { job.set_state(v1::JOB_STATE_SUCCEEDED); });
    coordinator.Start();
  });
  const auto last = FollowJob(
      *client, "jobs/a", [](const v1::Job&) {}, cancellation, options);
  restart.join();
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->state(), v1::JOB_STATE_SUCCEEDED);
  ASSERT_EQ(gaps.size(), 2u) << "told once when it began and once when it was over";
  EXPECT_NE(gaps[0], "");
  EXPECT_EQ(gaps[1], "");
}

TEST(FollowJob, GivesUpAfterItsPatience) {
  FakeCoordinator coordinator;
  const auto client = ConnectTo(coordinator);
  coordinator.Stop();
  Cancellation cancellation;
  WatchOptions options = Quick();
  options.patience = absl::Milliseconds(200);
  const auto last = FollowJob(
      *client, "jobs/a", [](const v1::Job&) {}, cancellation, options);
  EXPECT_TRUE(absl::IsUnavailable(last.status())) << last.status();
}

TEST(FollowJob, DoesNotRetryWhatWillNotChange) {
  FakeCoordinator coordinator;
  Cancellation cancellation;
  const auto last = FollowJob(
      *ConnectTo(coordinator), "jobs/none", [](const v1::Job&) {}, cancellation, Quick());
  EXPECT_TRUE(absl::IsNotFound(last.status())) << last.status();
}

TEST(FollowJob, LeavesTheJobWhenInterrupted) {
  FakeCoordinator coordinator;
  coordinator.Add(SampleJob("jobs/a", 10));
  const auto client = ConnectTo(coordinator);
  Cancellation cancellation;
  const auto last = FollowJob(
      *client, "jobs/a", [&](const v1::Job&) { cancellation.Cancel(); }, cancellation, Quick());
  EXPECT_EQ(wire::Reason(last.status()), kReasonInterrupted) << last.status();
  EXPECT_EQ(client->GetJob("jobs/a")->state(), v1::JOB_STATE_RUNNING);
}

// The fake ends each stream after a page, so every page costs an interruption.
TEST(FollowRecords, GivesEachRecordOnceOverInterruptions) {
  FakeCoordinator coordinator;
  coordinator.With([](FakeState& state) {
    state.page_size = 2;
    for (int i = 0; i < 7; ++i) state.records.emplace_back().set_chunk(i);
  });
  const auto client = ConnectTo(coordinator);
  Cancellation cancellation;
  std::vector<int> chunks;
  const absl::Status status = FollowRecords(
      *client, {},
      [&](const v1::StreamRecordsResponse& batch) {
        for (const v1::StoredRecord& record : batch.records()) chunks.push_back(record.chunk());
      },
      cancellation, Quick());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(chunks, ::testing::ElementsAre(0, 1, 2, 3, 4, 5, 6));
}

TEST(RequestIds, AreNotRepeated) {
  EXPECT_EQ(RandomRequestId().size(), 32u);
  EXPECT_NE(RandomRequestId(), RandomRequestId());
}

}  // namespace
}  // namespace uaqf::client
