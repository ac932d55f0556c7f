// What a job measures beside times: tasks, divergence, articles, calibrated variants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/server/rpc/fake_worker.h"
#include "tests/server/rpc/test_server.h"

namespace uaqf::test {
namespace {

using ::testing::HasSubstr;

std::string Text(const absl::Status& status) { return std::string(status.message()); }

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

}  // namespace
}  // namespace uaqf::test
