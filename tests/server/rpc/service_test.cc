// The service around the jobs: limits, health, stop, store failure, metrics, profiles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "proto/wire/status.h"
#include "server/core/invariants.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/fault_store.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kEvaluation[] = "uaqf.v1.EvaluationService";

TEST(Limits, RefuseOneJobTooManyWithADelay) {
  rpc::ServerOptions options = TestServer::Options();
  options.limits.job.max_active_jobs = 2;
  TestServer server(options);
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto first = server.Create(server.Request("1"));
  ASSERT_TRUE(first.ok() && server.Create(server.Request("2")).ok());
  const absl::Status third = server.Create(server.Request("3")).status();
  EXPECT_EQ(third.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(wire::Reason(third), "TOO_MANY_JOBS");
  EXPECT_GT(wire::RetryDelay(third).value_or(absl::ZeroDuration()), absl::ZeroDuration());
  EXPECT_EQ(server.Create(server.Request("1"))->name(), first->name()) << "a repetition is no further job";
  ASSERT_TRUE(server.Cancel(first->name()).ok());
  EXPECT_TRUE(server.Create(server.Request("3")).ok());
}

TEST(Limits, RefuseOneWatcherTooMany) {
  rpc::ServerOptions options = TestServer::Options();
  options.limits.watchers = 2;
  TestServer server(options);
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::WatchJobRequest request;
  request.set_name(server.Create(server.Request("r"))->name());
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::Job>>> readers;
  v1::Job state;
  for (int i = 0; i < 3; ++i) {
    contexts.push_back(Within30s());
    readers.push_back(server.evaluation().WatchJob(contexts.back().get(), request));
    EXPECT_EQ(readers.back()->Read(&state), i < 2);
  }
  const absl::Status refused = wire::FromGrpc(readers[2]->Finish());
  EXPECT_EQ(wire::Reason(refused), "TOO_MANY_WATCHERS");
  EXPECT_TRUE(wire::RetryDelay(refused).has_value());
  // A watcher that leaves makes room.
  contexts[0]->TryCancel();
  readers[0]->Finish();
  EXPECT_TRUE(Eventually([&] {
    auto context = Within30s();
    auto reader = server.evaluation().WatchJob(context.get(), request);
    const bool admitted = reader->Read(&state);
    context->TryCancel();
    reader->Finish();
    return admitted;
  }));
  contexts[1]->TryCancel();
  readers[1]->Finish();
}

// What an upload of these parts is answered with.
absl::Status Upload(TestServer& server, const std::vector<v1::CreatePromptSetRequest>& parts) {
  auto context = Within30s();
  v1::PromptSet set;
  auto writer = server.evaluation().CreatePromptSet(context.get(), &set);
  for (const v1::CreatePromptSetRequest& part : parts) {
    if (!writer->Write(part)) break;
  }
  writer->WritesDone();
  return wire::FromGrpc(writer->Finish());
}

TEST(Limits, RefuseAPromptSetThatIsTooLarge) {
  rpc::ServerOptions options = TestServer::Options();
  options.limits.prompt_set_items = 3;
  options.limits.prompt_bytes = 100;
  TestServer server(options);
  v1::CreatePromptSetRequest header, items;
  header.mutable_header()->set_kind(v1::PROMPT_SET_KIND_PROMPTS);
  for (int i = 0; i < 4; ++i) {
    v1::Prompt& prompt = *items.mutable_items()->add_prompts();
    prompt.set_id(absl::StrCat("p", i));
    prompt.set_text("t");
  }
  const absl::Status many = Upload(server, {header, items});
  EXPECT_EQ(many.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(many.message()), HasSubstr("got 4 items, expected at most 3"));
  items.mutable_items()->mutable_prompts()->DeleteSubrange(1, 3);
  items.mutable_items()->mutable_prompts(0)->set_text(std::string(200, 'x'));
  EXPECT_EQ(wire::Reason(Upload(server, {header, items})), "PROMPT_SET_TOO_LARGE");
  // Over the limit of a message: gRPC itself refuses it.
  items.mutable_items()->mutable_prompts(0)->set_text(std::string(5 << 20, 'x'));
  EXPECT_EQ(Upload(server, {header, items}).code(), absl::StatusCode::kResourceExhausted);
}

TEST(Upload, RefusesWhatIsNoPromptSet) {
  TestServer server;
  v1::CreatePromptSetRequest header, items;
  header.mutable_header()->set_kind(v1::PROMPT_SET_KIND_PROMPTS);
  v1::Prompt& prompt = *items.mutable_items()->add_prompts();
  prompt.set_id("p");
  prompt.set_text("t");
  EXPECT_EQ(wire::Reason(Upload(server, {})), "NO_HEADER");
  EXPECT_EQ(wire::Reason(Upload(server, {header})), "NO_ITEMS");
  EXPECT_EQ(wire::Reason(Upload(server, {items})), "NO_HEADER");
  EXPECT_EQ(wire::Reason(Upload(server, {header, header})), "SECOND_HEADER");
  EXPECT_EQ(wire::Reason(Upload(server, {header, items, items})), "DUPLICATE_PROMPT");
  v1::CreatePromptSetRequest many = header;
  for (int i = 0; i < 33; ++i) many.mutable_header()->add_sources()->set_dataset("gsm8k");
  EXPECT_EQ(wire::Reason(Upload(server, {many, items})), "OUT_OF_RANGE");
  EXPECT_TRUE(Upload(server, {header, items}).ok());
  EXPECT_TRUE(Upload(server, {header, items}).ok()) << "the same content is the same set";
  prompt.clear_text();
  EXPECT_EQ(wire::Reason(Upload(server, {header, items})), "EMPTY_PROMPT");
}

TEST(Upload, KeepsWhereTheItemsCameFrom) {
  TestServer server;
  v1::CreatePromptSetRequest header, items;
  header.mutable_header()->set_kind(v1::PROMPT_SET_KIND_PROMPTS);
  v1::PromptSource& source = *header.mutable_header()->add_sources();
  source.set_dataset("gsm8k");
  source.set_file("test.jsonl");
  source.set_seed(7);
  v1::Prompt& prompt = *items.mutable_items()->add_prompts();
  prompt.set_id("p");
  prompt.set_text("Question: 1 + 1?\nAnswer:");
  prompt.mutable_task()->mutable_numeric()->set_value("2");
  prompt.mutable_task()->set_max_output_tokens(8);
  ASSERT_TRUE(Upload(server, {header, items}).ok());
  auto context = Within30s();
  v1::ListPromptSetsResponse sets;
  ASSERT_TRUE(server.evaluation().ListPromptSets(context.get(), {}, &sets).ok());
  ASSERT_EQ(sets.prompt_sets_size(), 1);
  ASSERT_EQ(sets.prompt_sets(0).sources_size(), 1);
  EXPECT_EQ(sets.prompt_sets(0).sources(0).SerializeAsString(), source.SerializeAsString());
}

TEST(Health, IsOffWhileTheStoreIsFullAndOnAgainAfter) {
  TestServer server;
  std::unique_ptr<FaultStore> fault;
  server.wrap = [&](store::Store* real) {
    fault = std::make_unique<FaultStore>(real);
    return fault.get();
  };
  server.Restart();
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  const v1::Lease lease = worker.AwaitLease();
  EXPECT_TRUE(TestServer::Serving(server.client_channel(), kEvaluation));

  fault->full = true;
  EXPECT_FALSE(worker.Complete(lease)) << "what is not stored is not acknowledged";
  const absl::Status ended = wire::FromGrpc(worker.FinishRecords());
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(wire::Reason(ended), "STORE_UNAVAILABLE");
  EXPECT_FALSE(TestServer::Serving(server.client_channel(), kEvaluation));
  EXPECT_FALSE(TestServer::Serving(server.worker_channel(), "uaqf.v1.WorkerService"));
  const absl::Status refused = server.Create(server.Request("r2")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  EXPECT_TRUE(Eventually([&] { return fault->refused >= 2; })) << "it is tried again";

  fault->full = false;
  EXPECT_TRUE(Eventually([&] { return TestServer::Serving(server.client_channel(), kEvaluation); }));
  worker.RunUntilIdle();
  EXPECT_EQ(server.Get(job->name())->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(server.Records(job->name()).size(), 24u) << "nothing lost, nothing twice";
  const auto dump = server.store().Dump(job->name().substr(5));
  ASSERT_TRUE(dump.ok());
  EXPECT_THAT(core::CheckInvariants(*dump), testing::IsEmpty());
  server.Stop();
}

TEST(Health, NamesEveryServiceOfAPort) {
  TestServer server;
  for (const char* service : {"", kEvaluation, "uaqf.v1.RankingService"}) {
    EXPECT_TRUE(TestServer::Serving(server.client_channel(), service)) << service;
  }
  EXPECT_TRUE(TestServer::Serving(server.worker_channel(), "uaqf.v1.WorkerService"));
}

TEST(Stop, LetsAWorkerFinishItsLeaseAndEndsItsStreams) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const std::string job = server.Create(server.Request("r"))->name();
  const v1::Lease begun = worker.AwaitLease();
  *worker.state.add_attempts()->mutable_attempt() = begun.attempt();
  auto context = Within30s();
  v1::WatchJobRequest watch;
  watch.set_name(job);
  auto watcher = server.evaluation().WatchJob(context.get(), watch);
  std::thread stop([&] { server.server().Stop(absl::Seconds(20)); });
  ASSERT_TRUE(Eventually([&] { return !TestServer::Serving(server.client_channel(), kEvaluation); }));
  const absl::Status refused = server.Create(server.Request("r2")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  // What it works on it may finish; what only waits goes back, and nothing new comes.
  auto desired = worker.Report();
  ASSERT_TRUE(desired.has_value());
  EXPECT_TRUE(desired->drain());
  desired = worker.Report();
  ASSERT_TRUE(desired.has_value());
  ASSERT_EQ(desired->leases_size(), 1);
  EXPECT_EQ(desired->leases(0).attempt().chunk(), begun.attempt().chunk());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(worker.Complete(begun));
  stop.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15)) << "nobody waits for the whole grace";
  EXPECT_EQ(worker.FinishSession().error_code(), grpc::StatusCode::UNAVAILABLE);
  v1::Job state;
  while (watcher->Read(&state)) {
  }
  EXPECT_EQ(watcher->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Stop, DoesNotWaitLongerThanItsGrace) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  ASSERT_TRUE(server.Create(server.Request("r")).ok());
  worker.AwaitLease();
  const auto start = std::chrono::steady_clock::now();
  server.server().Stop(absl::Milliseconds(300));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GE(seconds, 0.3) << "the worker had its grace";
  EXPECT_LT(seconds, 10) << "and no more";
}

TEST(Start, RefusesAPortInUse) {
  TestServer server;
  rpc::ServerOptions options = TestServer::Options();
  options.listen = server.server().listen();
  absl::Status status = rpc::Server::Start(options, &server.store()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(options.listen));
  options = TestServer::Options();
  options.worker_listen = server.server().worker_listen();
  EXPECT_EQ(rpc::Server::Start(options, &server.store()).status().code(), absl::StatusCode::kUnavailable);
  options = TestServer::Options();
  options.metrics = server.server().metrics_address();
  EXPECT_EQ(rpc::Server::Start(options, &server.store()).status().code(), absl::StatusCode::kUnavailable);
}

// The page has neither TLS nor a password.
TEST(Start, RefusesMetricsOffLoopbackWithoutTls) {
  TestServer server;
  rpc::ServerOptions options = TestServer::Options();
  options.metrics = "0.0.0.0:0";
  const absl::Status status = rpc::Server::Start(options, &server.store()).status();
  EXPECT_EQ(wire::Reason(status), "INSECURE_OFF_LOOPBACK");
  EXPECT_THAT(std::string(status.message()), HasSubstr("--metrics 0.0.0.0:0"));
}

TEST(Records, OfAKindThatIsNoneAreRefused) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  v1::ListRecordsRequest request;
  request.set_job(job->name());
  request.set_kind(static_cast<v1::ChunkKind>(99));
  v1::ListRecordsResponse page;
  const absl::Status status = wire::FromGrpc(server.evaluation().ListRecords(Within30s().get(), request, &page));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(wire::Reason(status), "UNKNOWN_ENUM");
}

TEST(Metrics, AgreeWithTheStoreWhenNothingRuns) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  request.mutable_spec()->mutable_quality()->set_context_tokens(16);
  const std::string job = server.Create(request)->name();
  worker.RunUntilIdle();
  const std::string id = job.substr(5);
  const auto shows = [&](const std::string& line) {
    return server.server().metrics().Text().find("\n" + line + "\n") != std::string::npos;
  };
  for (const std::string& line :
       {std::string("uaqf_store_records 32"), std::string("uaqf_records_committed_total 32"),
        std::string("uaqf_jobs{state=\"succeeded\"} 1"), std::string("uaqf_jobs{state=\"running\"} 0"),
        std::string("uaqf_queue_chunks 0"), std::string("uaqf_leased_chunks 0"), std::string("uaqf_serving 1"),
        "uaqf_job_state{job_id=\"" + id + "\",state=\"succeeded\"} 1",
        "uaqf_job_records{job_id=\"" + id + "\",state=\"done\"} 32",
        "uaqf_variant_memory_bytes{job_id=\"" + id + "\",variant=\"rtn-w4\"} 80",
        "uaqf_decision_rank{job_id=\"" + id + "\",profile=\"latency\",variant=\"rtn-w4\"} 1"}) {
    ASSERT_TRUE(Eventually([&] { return shows(line); })) << line << "\n" << server.server().metrics().Text();
  }
  // A restart counts them from the store.
  server.Restart();
  EXPECT_TRUE(Eventually([&] { return shows("uaqf_store_records 32"); })) << server.server().metrics().Text();
  EXPECT_TRUE(shows("uaqf_jobs{state=\"succeeded\"} 1"));
}

TEST(Metrics, HaveNoSeriesForWhatCallersMakeUp) {
  TestServer server;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(server.Get(absl::StrCat("jobs/made-up-", i)).ok());
  const std::string text = server.server().metrics().Text();
  EXPECT_THAT(text, HasSubstr("uaqf_rpcs_total{code=\"NOT_FOUND\",method=\"EvaluationService/GetJob\"} 20"));
  EXPECT_THAT(text, Not(HasSubstr("made-up")));
}

TEST(Profiles, AreStoredListedAndDeleted) {
  TestServer server;
  v1::CreateProfileRequest create;
  create.set_request_id("r");
  v1::Profile& profile = *create.mutable_profile();
  profile.set_name("profiles/mine");
  profile.set_formula(v1::UTILITY_FORMULA_FULL);
  profile.set_normalization(v1::NORMALIZATION_BASELINE);
  profile.mutable_weights()->set_speed(0.5);
  v1::Profile stored;
  const auto call = [&] { return wire::FromGrpc(server.ranking().CreateProfile(Within30s().get(), create, &stored)); };
  EXPECT_EQ(wire::Reason(call()), "INVALID_PROFILE") << "weights sum to 0.5";
  profile.mutable_weights()->set_memory(0.5);
  EXPECT_TRUE(call().ok());
  EXPECT_TRUE(call().ok()) << "a repeated call with the same profile succeeds";
  profile.set_description("another");
  EXPECT_EQ(wire::Reason(call()), "PROFILE_EXISTS");
  profile.set_name("profiles/balanced");
  EXPECT_EQ(wire::Reason(call()), "PROFILE_EXISTS") << "built-in names are taken";

  std::vector<std::string> names;
  v1::ListProfilesRequest list;
  list.set_page_size(3);
  do {
    v1::ListProfilesResponse page;
    ASSERT_TRUE(server.ranking().ListProfiles(Within30s().get(), list, &page).ok());
    EXPECT_LE(page.profiles_size(), 3);
    for (const v1::Profile& listed : page.profiles()) names.push_back(listed.name());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_THAT(names, testing::Contains("profiles/balanced").Times(1));
  EXPECT_EQ(names.back(), "profiles/mine") << "stored ones come last";

  const auto remove = [&](const std::string& name) {
    v1::DeleteProfileRequest request;
    request.set_name(name);
    request.set_request_id("d");
    google::protobuf::Empty empty;
    return wire::FromGrpc(server.ranking().DeleteProfile(Within30s().get(), request, &empty));
  };
  EXPECT_TRUE(remove("profiles/mine").ok());
  EXPECT_EQ(wire::Reason(remove("profiles/mine")), "PROFILE_NOT_FOUND");
  EXPECT_EQ(wire::Reason(remove("profiles/balanced")), "PROFILE_BUILT_IN");
}

}  // namespace
}  // namespace uaqf::test
