// The life of a job as clients see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <set>
#include <thread>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "proto/wire/status.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/fault_store.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

std::string Text(const absl::Status& status) { return std::string(status.message()); }

TEST(Jobs, RunFromSubmissionToTheLastRecord) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  request.mutable_spec()->mutable_quality()->set_context_tokens(16);
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job->spec().attempt_limit(), 5) << "defaults are filled in";

  EXPECT_GT(worker.RunUntilIdle(), 0);
  const auto ended = server.Get(job->name());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), v1::JOB_STATE_SUCCEEDED) << ended->error();
  // 2 variants: 4 generations, 4 windows and 4 prompts in 2 repeats each.
  EXPECT_EQ(ended->progress().records_done(), 32);
  EXPECT_EQ(ended->progress().records_total(), 32);

  const std::vector<v1::StoredRecord> records = server.Records(job->name());
  EXPECT_EQ(records.size(), 32u);
  std::set<std::tuple<std::string, int, int, int>> keys;
  for (const v1::StoredRecord& record : records) {
    keys.emplace(record.variant(), record.kind(), record.record().item(), record.record().repeat());
    EXPECT_EQ(record.worker(), "workers/w");
    const bool window = record.kind() == v1::CHUNK_KIND_PERPLEXITY;
    EXPECT_EQ(record.prompt_id(), window ? "" : absl::StrCat("p", record.record().item()));
    EXPECT_EQ(record.category(), window ? "" : record.record().item() % 2 == 0 ? "even" : "odd");
  }
  EXPECT_EQ(keys.size(), 32u) << "no record twice";
}

TEST(Jobs, ScoreTasksAndCompareWithFp16) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  v1::QualitySpec& quality = *request.mutable_spec()->mutable_quality();
  quality.set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  quality.set_context_tokens(16);
  quality.set_divergence(true);
  quality.set_task_set(request.spec().prompt_set());
  quality.set_max_task_items(3);
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_GT(worker.RunUntilIdle(), 0);
  const auto ended = server.Get(job->name());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), v1::JOB_STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->spec().quality().max_task_items(), 3);
  // As above, and 3 tasks of each variant and 4 windows of the one that is compared.
  EXPECT_EQ(ended->progress().records_done(), 32 + 6 + 4);
  int tasks = 0;
  for (const v1::StoredRecord& record : server.Records(job->name())) {
    if (record.kind() == v1::CHUNK_KIND_DIVERGENCE) {
      EXPECT_EQ(record.record().divergence().positions(), 15);
      EXPECT_EQ(record.prompt_id(), "");
    }
    if (record.kind() != v1::CHUNK_KIND_TASK) continue;
    ++tasks;
    EXPECT_EQ(record.record().task().answer(), "A");
    EXPECT_EQ(record.prompt_id(), absl::StrCat("p", record.record().item()));
  }
  EXPECT_EQ(tasks, 6);
  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measures).ok());
  for (const v1::VariantMeasures& m : measures.variants()) {
    ASSERT_EQ(m.tasks_size(), 1) << m.variant();
    EXPECT_EQ(m.tasks(0).items(), 3);
    EXPECT_NEAR(m.tasks(0).score(), 2.0 / 3, 1e-12);
    EXPECT_EQ(m.has_divergence(), m.variant() != "fp16");
    if (m.variant() == "fp16") continue;
    EXPECT_EQ(m.tasks(0).flips_to_right(), 1);
    EXPECT_EQ(m.tasks(0).flips_to_wrong(), 1);
    EXPECT_NEAR(m.divergence().kl().value(), 0.02, 1e-9);
  }
}

// Situation: the first summary is too loose, the second close enough.
TEST(Jobs, BoundTheDivergenceFromBothSidesWithGrowingSummaries) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  v1::QualitySpec& quality = *request.mutable_spec()->mutable_quality();
  quality.set_text_set(server.Upload(2, v1::PROMPT_SET_KIND_TEXT));
  quality.set_context_tokens(16);
  quality.set_divergence(true);
  quality.set_divergence_mode(v1::DIVERGENCE_MODE_STREAMED);
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_GT(worker.RunUntilIdle(), 0);
  const auto ended = server.Get(job->name());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state(), v1::JOB_STATE_SUCCEEDED) << ended->error();
  std::map<int, int> summaries, compared;  // by k
  for (const v1::StoredRecord& record : server.Records(job->name())) {
    if (record.kind() == v1::CHUNK_KIND_SUMMARY) ++summaries[record.record().summary().summary_k()];
    if (record.kind() == v1::CHUNK_KIND_DIVERGENCE) ++compared[record.record().divergence().summary_k()];
  }
  EXPECT_EQ(summaries, (std::map<int, int>{{1024, 4}, {4096, 4}}));
  EXPECT_EQ(compared, summaries);
  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measures).ok());
  const v1::DivergenceMeasure& divergence = measures.variants(1).divergence();
  EXPECT_EQ(divergence.positions(), 4 * 15);
  EXPECT_FALSE(divergence.has_kl());
  EXPECT_NEAR(divergence.kl_lower().value(), 0.02, 1e-9);
  EXPECT_NEAR(divergence.kl_upper().value(), 0.025, 1e-9);
}

TEST(Jobs, SayWhatEachVariantIsUnderTheDigestThatItsRecordsCarry) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r1"));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_GT(worker.RunUntilIdle(), 0);
  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measures).ok());
  std::map<std::string, v1::VariantConfiguration> by_digest;
  for (const v1::VariantConfiguration& c : measures.configurations()) by_digest[c.digest()] = c;
  ASSERT_EQ(by_digest.size(), 2u);
  for (const v1::StoredRecord& record : server.Records(job->name())) {
    const v1::VariantConfiguration& configuration = by_digest[record.variant_digest()];
    EXPECT_EQ(configuration.variant(), record.variant());
    EXPECT_EQ(configuration.configuration(), absl::StrCat("{\"method\":\"", record.variant(), "\"}"));
  }
  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  rank.set_profile("profiles/latency");
  rank.set_ignore_sanity(true);
  v1::RankVariantsResponse ranked;
  if (server.ranking().RankVariants(Within30s().get(), rank, &ranked).ok()) {
    EXPECT_EQ(ranked.configurations_size(), 2);
  }
}

TEST(Jobs, ScoreWholeArticlesBesideWindows) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  v1::QualitySpec& quality = *request.mutable_spec()->mutable_quality();
  quality.set_article_set(request.spec().prompt_set());
  EXPECT_THAT(Text(server.Create(request).status()), HasSubstr("quality.article_set, expected a TEXT set"));
  quality.set_article_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  quality.set_max_articles(2);
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_GT(worker.RunUntilIdle(), 0);
  const auto ended = server.Get(job->name());
  EXPECT_EQ(ended->state(), v1::JOB_STATE_SUCCEEDED) << ended->error();
  EXPECT_EQ(ended->spec().quality().article_set(), quality.article_set());
  int articles = 0;
  for (const v1::StoredRecord& record : server.Records(job->name())) {
    if (record.kind() != v1::CHUNK_KIND_ARTICLE) continue;
    EXPECT_EQ(record.record().item(), articles++ % 2);
    EXPECT_EQ(record.record().article().words(), 100);
    EXPECT_EQ(record.prompt_id(), "");
  }
  EXPECT_EQ(articles, 4) << "2 of each variant";
  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measures;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measures).ok());
  for (const v1::VariantMeasures& m : measures.variants()) {
    EXPECT_EQ(m.articles().articles(), 2);
    EXPECT_NEAR(m.articles().word_perplexity(), std::exp(m.variant() == "fp16" ? 3.0 : 3.1), 1e-9);
    EXPECT_NEAR(m.articles().delta_word_perplexity(), m.variant() == "fp16" ? 0 : std::exp(3.1) - std::exp(3.0), 1e-9);
    EXPECT_FALSE(m.has_perplexity());
  }
}

TEST(Jobs, AreCalibratedOnATextThatIsStoredAndNotScored) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  const std::string text = server.Upload(3, v1::PROMPT_SET_KIND_TEXT);
  const std::string digest = text.substr(text.find('/') + 1);
  const std::string prompts = request.spec().prompt_set();
  std::string& variant = *request.mutable_spec()->mutable_variants(1);
  const std::string plain = variant;
  variant = plain + ":text=" + std::string(64, 'f');
  EXPECT_TRUE(absl::IsNotFound(server.Create(request).status())) << server.Create(request).status();
  variant = plain + ":text=" + prompts.substr(prompts.find('/') + 1);
  EXPECT_THAT(Text(server.Create(request).status()), HasSubstr("expected a TEXT set"));
  variant = plain + ":text=" + digest;
  request.mutable_spec()->mutable_quality()->set_text_set(text);
  request.mutable_spec()->mutable_quality()->set_context_tokens(16);
  EXPECT_THAT(Text(server.Create(request).status()), HasSubstr("which is the text that is scored"));
  request.mutable_spec()->clear_quality();
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  // The worker hears which variants there are before anything is measured.
  const auto desired = worker.Report();
  ASSERT_TRUE(desired.has_value());
  ASSERT_EQ(desired->surveys_size(), 1);
  EXPECT_EQ(desired->surveys(0).variants(1), variant);
}

TEST(Jobs, CompareWithFp16OnATextOnly) {
  TestServer server;
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->mutable_quality()->set_divergence(true);
  EXPECT_THAT(Text(server.Create(request).status()), HasSubstr("quality.text_set"));
}

TEST(Jobs, RankAfterTheirRecordsCame) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();

  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  rank.set_profile("profiles/latency");
  v1::RankVariantsResponse ranked;
  const absl::Status early = wire::FromGrpc(server.ranking().RankVariants(Within30s().get(), rank, &ranked));
  EXPECT_EQ(early.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(wire::Reason(early), "NOT_DECIDABLE");

  worker.RunUntilIdle();
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), rank, &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(ranked.variants_size(), 2);
  EXPECT_EQ(ranked.winner(), "rtn-w4") << ranked.DebugString();
  EXPECT_EQ(ranked.variants(0).rank(), 1);
  EXPECT_GT(ranked.variants(0).utility(), ranked.variants(1).utility());
  EXPECT_EQ(ranked.profile().name(), "profiles/latency");

  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measured;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measured).ok());
  ASSERT_EQ(measured.variants_size(), 2);
  EXPECT_EQ(measured.variants(0).variant(), "fp16");
  EXPECT_EQ(measured.variants(0).timing_records(), 8);
  EXPECT_NEAR(measured.variants(0).latency_s().value(), 0.02, 0.001);
  EXPECT_NEAR(measured.variants(1).speedup(), 2.0, 0.05);
  EXPECT_EQ(measured.variants(1).memory_bytes(), 80);
  EXPECT_THAT(measured.notes(), testing::Contains(HasSubstr("Q4_1")));

  server.Restart();
  v1::MeasureVariantsResponse again;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &again).ok());
  EXPECT_EQ(again.DebugString(), measured.DebugString()) << "figures need the store alone";
}

TEST(Jobs, SayHowSureTheirRankingIs) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1", /*prompts=*/12);
  request.mutable_spec()->set_seed(77);
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  worker.RunUntilIdle();

  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  v1::Profile& profile = *rank.mutable_inline_profile();
  profile.set_formula(v1::UTILITY_FORMULA_FULL);
  profile.set_normalization(v1::NORMALIZATION_BASELINE);
  profile.mutable_weights()->set_speed(.8);
  profile.mutable_weights()->set_stability(.2);
  v1::RankVariantsResponse ranked;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), rank, &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(ranked.resamples(), 2000);
  EXPECT_EQ(ranked.seed(), 77U);
  const v1::RankedVariant& winner = ranked.variants(0);
  EXPECT_EQ(winner.variant(), "rtn-w4");
  EXPECT_GT(winner.standing().probability_best(), 0.99);
  EXPECT_EQ(winner.standing().rank_high(), 1);
  EXPECT_FALSE(ranked.variants(1).standing().tied());
  EXPECT_GT(ranked.variants(1).standing().expected_regret(), 0.5);
  EXPECT_LE(winner.speedup().interval().low(), winner.speedup().value());
  EXPECT_TRUE(winner.terms(0).has_interval());
  ASSERT_EQ(ranked.sweeps_size(), 3) << "memory is known, and no weight";
  EXPECT_EQ(ranked.sweeps(0).segments(0).from(), 0);

  EXPECT_EQ(ranked.slices_size(), 0);
  rank.set_split(v1::SPLIT_CATEGORY);
  v1::Constraint& memory = *rank.add_constraints();
  memory.set_figure(v1::LIMITED_FIGURE_MEMORY);
  memory.set_limit(1);
  v1::RankVariantsResponse limited;
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), rank, &limited).ok());
  EXPECT_EQ(limited.winner(), "");
  EXPECT_EQ(limited.relaxation().variant(), "rtn-w4");
  EXPECT_EQ(limited.relaxation().limits(0).limit(), 80);
  EXPECT_EQ(limited.variants(0).checks(0).verdict(), v1::CONSTRAINT_VERDICT_NOT_MET);
  EXPECT_EQ(limited.profile().constraints_size(), 1) << "the profile used, in full";
  memory.set_limit(100);
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), rank, &limited).ok());
  EXPECT_EQ(limited.winner(), "rtn-w4");
  ASSERT_EQ(limited.slices_size(), 2);
  EXPECT_EQ(limited.slices(0).name(), "even");
  EXPECT_EQ(limited.slices(0).prompts(), 6);
  EXPECT_EQ(limited.slices(1).winner(), "rtn-w4");
  EXPECT_GT(limited.slices(1).variants(0).standing().probability_best(), 0.99);
  memory.set_figure(static_cast<v1::LimitedFigure>(99));
  EXPECT_EQ(server.ranking().RankVariants(Within30s().get(), rank, &limited).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  rank.clear_constraints();
  rank.clear_split();

  server.Restart();
  v1::RankVariantsResponse again;
  ASSERT_TRUE(server.ranking().RankVariants(Within30s().get(), rank, &again).ok());
  EXPECT_EQ(again.DebugString(), ranked.DebugString()) << "the draws are the job's";
}

// Situation: the store holds one timing that cannot be, which an earlier version accepted.
TEST(Jobs, RankTheOtherVariantsBesideARecordThatCannotBe) {
  TestServer server;
  std::unique_ptr<FaultStore> fault;
  server.wrap = [&](store::Store* real) {
    fault = std::make_unique<FaultStore>(real);
    fault->spoil = [](core::Measurements& m) {
      for (std::size_t k = 0; k < m.timings.variant.size(); ++k) {
        if (m.variants[m.timings.variant[k]].name == "rtn-w8") m.timings.decode_ns[k] = -1;
      }
    };
    return fault.get();
  };
  server.Restart();
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("r1");
  request.mutable_spec()->add_variants("rtn-w8");
  request.mutable_spec()->mutable_quality()->set_text_set(server.Upload(3, v1::PROMPT_SET_KIND_TEXT));
  const auto job = server.Create(request);
  ASSERT_TRUE(job.ok()) << job.status();
  worker.RunUntilIdle();

  v1::RankVariantsRequest rank;
  rank.set_job(job->name());
  rank.set_profile("profiles/latency");
  v1::RankVariantsResponse ranked;
  const grpc::Status status = server.ranking().RankVariants(Within30s().get(), rank, &ranked);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(ranked.variants_size(), 3);
  EXPECT_EQ(ranked.winner(), "rtn-w4");
  EXPECT_EQ(ranked.variants(2).variant(), "rtn-w8");
  EXPECT_EQ(ranked.variants(2).status(), v1::RANK_STATUS_NOT_MEASURED);
  EXPECT_THAT(ranked.variants(2).reason(), HasSubstr("cannot have been measured"));

  v1::MeasureVariantsRequest measure;
  measure.set_job(job->name());
  v1::MeasureVariantsResponse measured;
  ASSERT_TRUE(server.ranking().MeasureVariants(Within30s().get(), measure, &measured).ok());
  EXPECT_EQ(measured.variants(0).timing_records(), 8);
  EXPECT_EQ(measured.variants(2).timing_records(), 0);
  EXPECT_THAT(measured.notes(), testing::Contains(HasSubstr("rtn-w8: its timing records are set aside")));
}

TEST(Jobs, SubmittedAHundredTimesFromSixteenThreadsAreOne) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const v1::CreateJobRequest request = server.Request("same");
  absl::Mutex mutex;
  std::set<std::string> names;
  std::atomic<int> left{100};
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      while (left-- > 0) {
        const auto job = server.Create(request);
        ASSERT_TRUE(job.ok()) << job.status();
        absl::MutexLock lock(&mutex);
        names.insert(job->name());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(names.size(), 1u);
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(server.evaluation().ListJobs(Within30s().get(), v1::ListJobsRequest(), &jobs).ok());
  EXPECT_EQ(jobs.jobs_size(), 1);
}

TEST(Jobs, WithAReusedRequestIdAreRefused) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  v1::CreateJobRequest request = server.Request("same");
  ASSERT_TRUE(server.Create(request).ok());
  request.mutable_spec()->set_seed(7);
  const absl::Status again = server.Create(request).status();
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(wire::Reason(again), "REQUEST_ID_REUSED");
}

TEST(Jobs, OfAModelThatNobodyReadsAreRefused) {
  TestServer server;
  v1::CreateJobRequest request = server.Request("r");
  const absl::Status alone = server.Create(request).status();
  EXPECT_EQ(alone.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(wire::Reason(alone), "MODEL_NOT_SERVED");
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  request.mutable_spec()->add_variants("rtn-w3");
  const absl::Status unknown = server.Create(request).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Text(unknown), HasSubstr("rtn-w3"));
}

// Situation: the coordinator was restarted, and no worker has found it again yet.
TEST(Jobs, OfAModelWhoseWorkersMayBeComingBackAreToBeTriedAgain) {
  rpc::ServerOptions options = TestServer::Options();
  options.workers_return = absl::Hours(1);
  TestServer server(options);
  v1::CreateJobRequest request = server.Request("r");
  const absl::Status early = server.Create(request).status();
  EXPECT_EQ(early.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(wire::Reason(early), "WORKERS_RETURNING");
  EXPECT_EQ(wire::RetryDelay(early), absl::Seconds(1));
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  EXPECT_TRUE(server.Create(request).ok()) << "its worker is back";
}

TEST(Jobs, ThatDoNotExistAreNotFound) {
  TestServer server;
  EXPECT_EQ(wire::Reason(server.Get("jobs/nothing").status()), "JOB_NOT_FOUND");
  EXPECT_EQ(wire::Reason(server.Cancel("jobs/nothing").status()), "JOB_NOT_FOUND");
  EXPECT_EQ(wire::Reason(server.Get("nothing").status()), "INVALID_NAME");
  v1::CreateJobRequest request = server.Request("r");
  request.mutable_spec()->set_prompt_set("promptSets/" + std::string(64, '0'));
  EXPECT_EQ(wire::Reason(server.Create(request).status()), "PROMPT_SET_NOT_FOUND");
  for (const char* rpc : {"watch", "stream"}) {
    auto context = Within30s();
    v1::WatchJobRequest watch;
    watch.set_name("jobs/nothing");
    v1::StreamRecordsRequest stream;
    stream.set_job("jobs/nothing");
    const grpc::Status status = std::string(rpc) == "watch"
                                    ? server.evaluation().WatchJob(context.get(), watch)->Finish()
                                    : server.evaluation().StreamRecords(context.get(), stream)->Finish();
    EXPECT_EQ(wire::Reason(wire::FromGrpc(status)), "JOB_NOT_FOUND") << rpc;
  }
}

TEST(Jobs, AreWatchedToTheirEnd) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  v1::WatchJobRequest request;
  request.set_name(job->name());
  auto context = Within30s();
  auto reader = server.evaluation().WatchJob(context.get(), request);
  v1::Job state;
  ASSERT_TRUE(reader->Read(&state)) << "the state that holds comes at once";
  EXPECT_EQ(state.state(), v1::JOB_STATE_QUEUED);
  worker.RunUntilIdle();
  std::int64_t done = 0;
  while (reader->Read(&state)) {
    EXPECT_GE(state.progress().records_done(), done) << "no older state after a newer one";
    done = state.progress().records_done();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(state.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(done, 24);

  // One who comes late gets the end alone.
  auto late_context = Within30s();
  auto late = server.evaluation().WatchJob(late_context.get(), request);
  ASSERT_TRUE(late->Read(&state));
  EXPECT_EQ(state.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(late->Read(&state));
  EXPECT_TRUE(late->Finish().ok());
}

TEST(Jobs, StreamTheirRecordsWhileTheyRun) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  v1::StreamRecordsRequest request;
  request.set_job(job->name());
  request.set_follow(true);
  auto context = Within30s();
  auto reader = server.evaluation().StreamRecords(context.get(), request);
  ASSERT_TRUE(worker.Complete(worker.AwaitLease()));
  v1::StreamRecordsResponse part;
  ASSERT_TRUE(reader->Read(&part)) << "records come before the job ends";
  EXPECT_EQ(part.records_size(), 2);
  const std::string cursor = part.cursor();
  worker.RunUntilIdle();
  int count = part.records_size();
  while (reader->Read(&part)) count += part.records_size();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(count, 24);

  // From the cursor on, and not again.
  request.set_cursor(cursor);
  request.set_follow(false);
  auto rest_context = Within30s();
  auto rest = server.evaluation().StreamRecords(rest_context.get(), request);
  count = 0;
  while (rest->Read(&part)) count += part.records_size();
  EXPECT_TRUE(rest->Finish().ok());
  EXPECT_EQ(count, 22);
}

TEST(Jobs, TakeNoRecordAfterTheyWereCancelled) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  const auto job = server.Create(server.Request("r"));
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(worker.Complete(worker.AwaitLease()));
  const v1::Lease lease = worker.AwaitLease();
  const auto cancelled = server.Cancel(job->name());
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->state(), v1::JOB_STATE_CANCELLED);

  const auto ack = worker.Send(worker.Batch(lease, 0, 0, lease.item_count()));
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->verdict(), v1::RECORD_VERDICT_LEASE_LOST);
  const auto desired = worker.Report();
  ASSERT_TRUE(desired.has_value());
  EXPECT_TRUE(desired->leases().empty());
  EXPECT_EQ(server.Records(job->name()).size(), 2u) << "what was accepted before stays";
  EXPECT_EQ(server.Cancel(job->name())->state(), v1::JOB_STATE_CANCELLED) << "cancelling again changes nothing";
}

TEST(Jobs, GoOnAfterARestart) {
  TestServer server;
  std::string name;
  v1::CreateJobRequest request;
  {
    FakeWorker worker(server.worker_channel(), "w");
    ASSERT_TRUE(worker.Report().has_value());
    request = server.Request("r");
    const auto job = server.Create(request);
    ASSERT_TRUE(job.ok()) << job.status();
    name = job->name();
    ASSERT_TRUE(worker.Complete(worker.AwaitLease()));
    const v1::Lease half = worker.AwaitLease();
    ASSERT_TRUE(worker.Send(worker.Batch(half, 0, 0, 1)).has_value()) << "an attempt that never ends";
    server.Restart();
  }
  const auto same = server.Create(request);
  ASSERT_TRUE(same.ok()) << "no worker is connected yet, and the request was accepted before: " << same.status();
  EXPECT_EQ(same->name(), name);
  FakeWorker worker(server.worker_channel(), "w", "session-2");
  EXPECT_GT(worker.RunUntilIdle(), 0);
  EXPECT_EQ(server.Get(name)->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(server.Records(name).size(), 24u);
}

TEST(Jobs, AreListedByPages) {
  TestServer server;
  FakeWorker worker(server.worker_channel(), "w");
  ASSERT_TRUE(worker.Report().has_value());
  std::vector<std::string> newest_first;
  for (int i = 0; i < 5; ++i) {
    newest_first.insert(newest_first.begin(), server.Create(server.Request(absl::StrCat("r", i)))->name());
  }
  std::vector<std::string> listed;
  v1::ListJobsRequest request;
  request.set_page_size(2);
  do {
    v1::ListJobsResponse page;
    ASSERT_TRUE(server.evaluation().ListJobs(Within30s().get(), request, &page).ok());
    for (const v1::Job& job : page.jobs()) listed.push_back(job.name());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, newest_first);
  request.set_page_token("forged");
  v1::ListJobsResponse page;
  EXPECT_EQ(wire::Reason(wire::FromGrpc(server.evaluation().ListJobs(Within30s().get(), request, &page))),
            "INVALID_PAGE_TOKEN");
}

}  // namespace
}  // namespace uaqf::test
