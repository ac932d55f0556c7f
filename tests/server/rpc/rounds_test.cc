// Jobs that end when one variant is known to be best: from the request to the answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kPrompts = 40;

// Speed alone decides: no text is needed. `most_p95_s`: limit of the latency, 0 for none.
void CreateSpeedProfile(TestServer& server, double most_p95_s = 0) {
  v1::CreateProfileRequest create;
  create.set_request_id("p1");
  v1::Profile& profile = *create.mutable_profile();
  profile.set_name("profiles/speed");
  profile.set_formula(v1::UTILITY_FORMULA_FULL);
  profile.set_normalization(v1::NORMALIZATION_BASELINE);
  profile.mutable_weights()->set_speed(1);
  if (most_p95_s > 0) {
    v1::Constraint& constraint = *profile.add_constraints();
    constraint.set_figure(v1::LIMITED_FIGURE_LATENCY_P95);
    constraint.set_limit(most_p95_s);
  }
  v1::Profile answer;
  const absl::Status created = wire::FromGrpc(server.ranking().CreateProfile(Within30s().get(), create, &answer));
  ASSERT_TRUE(created.ok()) << created;
}

v1::CreateJobRequest Request(TestServer& server, const std::string& profile = "profiles/speed") {
  v1::CreateJobRequest request = server.Request("r1", kPrompts);
  request.mutable_spec()->mutable_allocation()->set_until_decided(0.95);
  request.mutable_spec()->mutable_allocation()->set_profile(profile);
  return request;
}

// Prompts differ by a fifth, runs by a hundredth; times of each variant, ms.
// `factor` of a variant and a prompt: how many times as long that takes.
void TakeTimes(FakeWorker& worker, const std::map<std::string, double>& times_ms,
               const std::function<double(const std::string&, int)>& factor = nullptr) {
  worker.adjust = [times_ms, factor](const v1::Lease& lease, v1::RecordBatch& batch) {
    if (lease.kind() != v1::CHUNK_KIND_TIMING) return;
    for (v1::Record& record : *batch.mutable_records()) {
      v1::TimingRecord& timing = *record.mutable_timing();
      const int noise = (record.item() * 7 + lease.repeat() * 3 + static_cast<int>(lease.variant().size())) % 11;
      const double ms = times_ms.at(lease.variant()) * (1 + 0.02 * (record.item() % 10)) * (1 + 0.001 * (noise - 5)) *
                        (factor ? factor(lease.variant(), record.item()) : 1);
      timing.set_latency_ns(static_cast<std::int64_t>(ms * 1e6));
      timing.set_decode_ns(timing.latency_ns() - 3'000'000);
      for (int gap = 0; gap < timing.inter_token_ns_size(); ++gap) {
        const std::int64_t even = timing.decode_ns() / timing.inter_token_ns_size();
        timing.set_inter_token_ns(gap, gap > 0 ? even : timing.decode_ns() - (timing.inter_token_ns_size() - 1) * even);
      }
    }
  };
}

using Workers = std::vector<std::unique_ptr<FakeWorker>>;

// One for each variant, on one device: only then do these take turns.
Workers StartWorkers(TestServer& server, const std::map<std::string, double>& times_ms) {
  Workers workers;
  for (const auto& [variant, unused] : times_ms) {
    const std::string name = "hosts-" + variant;
    workers.push_back(std::make_unique<FakeWorker>(server.worker_channel(), name, "session-of-" + name));
    TakeTimes(*workers.back(), times_ms);
    EXPECT_TRUE(workers.back()->Report().has_value());
  }
  return workers;
}

// Does what comes until the job has ended, or `most` chunks are done; what was leased behind them waits.
void Work(TestServer& server, Workers& workers, const std::string& job, int most) {
  int chunks = 0;
  while (chunks < most && server.Get(job)->state() != v1::JOB_STATE_SUCCEEDED) {
    for (const auto& worker : workers) {
      int reports = 0;
      const auto desired = worker->Await([&](const v1::DesiredState&) { return ++reports == 2; });
      ASSERT_TRUE(desired.has_value());
      for (const v1::Lease& lease : desired->leases()) {
        if (chunks < most) chunks += worker->Complete(lease) ? 1 : 0;
      }
    }
  }
}

v1::RankVariantsResponse RankBySpeed(TestServer& server, const std::string& job) {
  v1::RankVariantsRequest rank;
  rank.set_job(job);
  rank.set_profile("profiles/speed");
  v1::RankVariantsResponse answer;
  const absl::Status ranked = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &answer));
  EXPECT_TRUE(ranked.ok()) << ranked;
  return answer;
}

TEST(Rounds, EndAJobOnceItIsDecided) {
  TestServer server;
  CreateSpeedProfile(server);
  Workers workers = StartWorkers(server, {{"fp16", 20}, {"rtn-w4", 10}});
  const auto created = server.Create(Request(server));
  ASSERT_TRUE(created.ok()) << created.status();
  // Four rounds of two prompts, of twenty: six chunks each.
  Work(server, workers, created->name(), 24);
  ASSERT_TRUE(Eventually([&] { return server.Get(created->name())->state() == v1::JOB_STATE_SUCCEEDED; }));
  const auto job = server.Get(created->name());
  EXPECT_THAT(job->error(), HasSubstr("decided: rtn-w4 is best by profiles/speed with probability 0.95"));
  EXPECT_LT(job->progress().records_done(), job->progress().records_total() / 2);
  const v1::RankVariantsResponse answer = RankBySpeed(server, created->name());
  EXPECT_EQ(answer.winner(), "rtn-w4");
  EXPECT_EQ(answer.variants(0).standing().probability_best(), 1);
  // Each chunk takes 1 ms: twenty of generations and forty of timings for each variant.
  ASSERT_TRUE(job->has_device_time());
  const v1::DeviceTime& time = job->device_time();
  EXPECT_NEAR(time.measured_s(), 0.001 * static_cast<double>(job->progress().chunks_done()), 1e-9);
  EXPECT_EQ(time.remaining_s(), 0);
  EXPECT_NEAR(time.uniform_s(), 0.12, 1e-9);
  EXPECT_NEAR(time.saved_share(), 1 - time.measured_s() / 0.12, 1e-9);
  EXPECT_GT(time.saved_share(), 0.5);
  EXPECT_EQ(answer.device_time().SerializeAsString(), time.SerializeAsString());
  const std::string gauge = "\nuaqf_job_device_time_saved{job_id=\"" + job->name().substr(5) + "\"} 0.";
  EXPECT_TRUE(Eventually([&] { return server.server().metrics().Text().find(gauge) != std::string::npos; }));
}

// Situation: a set whose first twelve prompts suit rtn-w4, and all others fp16: by the order of the set, rtn-w4 would
// be surely best after a few rounds.
TEST(Rounds, DecideByPromptsFromAllOverTheSet) {
  TestServer server;
  CreateSpeedProfile(server);
  Workers workers = StartWorkers(server, {{"fp16", 10}, {"rtn-w4", 10}});
  for (const auto& worker : workers) {
    TakeTimes(*worker, {{"fp16", 10}, {"rtn-w4", 10}}, [](const std::string& variant, int item) {
      return variant == "fp16" ? 1 : item < 12 ? 0.75 : 1.5;
    });
  }
  const auto created = server.Create(Request(server));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->spec().item_order(), v1::ITEM_ORDER_RANDOM);
  Work(server, workers, created->name(), 1000);
  ASSERT_TRUE(Eventually([&] { return server.Get(created->name())->state() == v1::JOB_STATE_SUCCEEDED; }));
  EXPECT_THAT(server.Get(created->name())->error(), testing::Not(HasSubstr("rtn-w4 is best")));
  EXPECT_EQ(RankBySpeed(server, created->name()).winner(), "fp16");
  // The first five blocks of each variant are the same, and no prefix of the set.
  std::map<std::string, std::vector<int>> first;
  for (const v1::StoredRecord& record : server.Records(created->name(), 1000)) {
    std::vector<int>& items = first[record.variant()];
    if (record.kind() == v1::CHUNK_KIND_GENERATION && items.size() < 10) items.push_back(record.record().item());
  }
  EXPECT_EQ(first["fp16"], first["rtn-w4"]);
  EXPECT_GE(*std::max_element(first["fp16"].begin(), first["fp16"].end()), 20);
}

TEST(Rounds, MeasureNoFurtherWhatIsSurelyWorse) {
  TestServer server;
  CreateSpeedProfile(server);
  Workers workers = StartWorkers(server, {{"fp16", 10}, {"rtn-w4", 10}, {"rtn-w8", 18}});
  v1::CreateJobRequest request = Request(server);
  request.mutable_spec()->add_variants("rtn-w8");
  const auto created = server.Create(request);
  ASSERT_TRUE(created.ok()) << created.status();
  const auto stopped = [&] {
    const absl::StatusOr<v1::Job> job = server.Get(created->name());
    for (const v1::VariantProgress& variant : job->progress().variants()) {
      if (variant.variant() == "rtn-w8" && variant.state() == v1::VARIANT_STATE_STOPPED) return true;
    }
    return false;
  };
  // Five rounds of nine chunks; then the look has time.
  Work(server, workers, created->name(), 45);
  ASSERT_TRUE(Eventually(stopped));
  Work(server, workers, created->name(), 1000);
  const v1::RankVariantsResponse answer = RankBySpeed(server, created->name());
  const v1::RankedVariant& last = answer.variants(2);
  EXPECT_EQ(last.variant(), "rtn-w8");
  EXPECT_EQ(last.status(), v1::RANK_STATUS_STOPPED);
  EXPECT_THAT(last.reason(), HasSubstr("is surely better"));
  EXPECT_NEAR(last.utility(), -0.85, 0.01);
  EXPECT_EQ(last.standing().probability_best(), 0);
  // The undecided two had every chunk that came after.
  const auto job = server.Get(created->name());
  for (const v1::VariantProgress& variant : job->progress().variants()) {
    if (variant.variant() == "rtn-w8") {
      EXPECT_LT(variant.records_done(), variant.records_total());
    } else {
      EXPECT_EQ(variant.records_done(), variant.records_total()) << variant.variant();
    }
  }
  EXPECT_GT(job->device_time().skipped_s(), 0);
  EXPECT_NEAR(job->device_time().uniform_s(), 0.18, 1e-9);
}

// Situation: fp16 is above the limit of a p95 from the first prompt on. That rtn-w4 is below takes more prompts to know
// than there are: one that is left over is not yet one that keeps the limits.
TEST(Rounds, DoNotDecideForWhatMayYetBreakALimit) {
  TestServer server;
  CreateSpeedProfile(server, 0.015);
  Workers workers = StartWorkers(server, {{"fp16", 20}, {"rtn-w4", 10}});
  const auto created = server.Create(Request(server));
  ASSERT_TRUE(created.ok()) << created.status();
  Work(server, workers, created->name(), 120);
  ASSERT_TRUE(Eventually([&] { return server.Get(created->name())->state() == v1::JOB_STATE_SUCCEEDED; }));
  const auto job = server.Get(created->name());
  EXPECT_THAT(job->error(), Not(HasSubstr("is best")));
  EXPECT_EQ(job->progress().records_done(), job->progress().records_total());
}

TEST(Rounds, KeepTheProfileThatDecidesThem) {
  TestServer server;
  CreateSpeedProfile(server);
  Workers workers = StartWorkers(server, {{"fp16", 20}, {"rtn-w4", 10}});
  const auto created = server.Create(Request(server));
  ASSERT_TRUE(created.ok()) << created.status();
  v1::DeleteProfileRequest remove;
  remove.set_name("profiles/speed");
  google::protobuf::Empty nothing;
  const auto deleted = [&] {
    return wire::FromGrpc(server.ranking().DeleteProfile(Within30s().get(), remove, &nothing));
  };
  EXPECT_EQ(wire::Reason(deleted()), "PROFILE_DECIDES_A_JOB");
  EXPECT_THAT(deleted().message(), HasSubstr(created->name()));
  Work(server, workers, created->name(), 24);
  ASSERT_TRUE(Eventually([&] { return server.Get(created->name())->state() == v1::JOB_STATE_SUCCEEDED; }));
  EXPECT_TRUE(deleted().ok()) << deleted();
}

TEST(Rounds, AreRefusedWithoutAProfileThatCanDecide) {
  TestServer server;
  EXPECT_THAT(server.Create(Request(server, "profiles/nobody")).status().message(), HasSubstr("profiles/nobody"));
  const auto minmax = server.Create(Request(server, "profiles/accuracy-critical"));
  EXPECT_EQ(minmax.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(wire::Reason(minmax.status()), "PROFILE_CANNOT_DECIDE_EARLY");
  // The job scores no text, which balanced asks for.
  const auto unread = server.Create(Request(server, "profiles/balanced"));
  EXPECT_EQ(wire::Reason(unread.status()), "PROFILE_CANNOT_DECIDE_EARLY");
  EXPECT_THAT(unread.status().message(), HasSubstr("the job scores no text"));
  v1::CreateJobRequest lonely = Request(server);
  lonely.mutable_spec()->mutable_allocation()->set_until_decided(0);
  EXPECT_EQ(wire::Reason(server.Create(lonely).status()), "ALLOCATION_PROFILE_WITHOUT_DECISION");
  CreateSpeedProfile(server);
  v1::CreateJobRequest ordered = Request(server);
  ordered.mutable_spec()->set_item_order(v1::ITEM_ORDER_AS_IN_SET);
  EXPECT_THAT(server.Create(ordered).status().message(), HasSubstr("item_order is AS_IN_SET with an allocation"));
}

}  // namespace
}  // namespace uaqf::test
