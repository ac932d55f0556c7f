// The worker's link against a coordinator in the same process, over real sockets, with an evaluator that makes its
// figures up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "proto/wire/digest.h"
#include "tests/fault/null_worker/null_evaluator.h"
#include "tests/support/test_data.h"
#include "tests/worker/link/fake_worker_port.h"
#include "worker/link/host.h"
#include "worker/measure/clock.h"

namespace uaqf::link {
namespace {

using test::FakeWorkerPort;
using testing::HasSubstr;

constexpr char kPrompts[] = "promptSets/0000000000000000000000000000000000000000000000000000000000000001";

// Stops before the item it is told, until it is let go.
class GatedEvaluator final : public measure::Evaluator {
 public:
  absl::Status Load(const measure::HostRequest& request) override {
    if (request.variant != "fp16") return null_.Load(request);
    for (int layer = 0; layer <= layers; ++layer) {
      if (layers > 0 && !request.calibrated(layer, layers)) return absl::CancelledError("calibration was stopped");
      if (layer != gate_at_layer) continue;
      reached.Notify();
      opened.WaitForNotification();
    }
    return null_.Load(request);
  }
  void Unload() override { null_.Unload(); }
  absl::StatusOr<measure::SurveyReport> Survey(const measure::SurveyRequest& request) override {
    for (const measure::SurveyedVariant& variant : request.variants) {
      const measure::PromptSet* text = variant.calibration_text;
      surveyed.push_back(absl::StrCat(variant.name, " ", text == nullptr ? "" : text->prompts.at(0).text));
    }
    return null_.Survey(request);
  }
  absl::StatusOr<measure::Timing> TimePrompt(const measure::Prompt& prompt,
                                             const measure::GenerationRequest& request) override {
    if (prompt.id == gate_at) {
      reached.Notify();
      opened.WaitForNotification();
    }
    return null_.TimePrompt(prompt, request);
  }
  absl::StatusOr<measure::TrafficTiming> TimeBatch(const measure::BatchRequest& request) override {
    return null_.TimeBatch(request);
  }
  absl::StatusOr<measure::Generation> Generate(const measure::Prompt& prompt,
                                               const measure::GenerationRequest& request) override {
    return null_.Generate(prompt, request);
  }
  absl::StatusOr<measure::WindowScore> ScoreWindow(const measure::PromptSet& text, int32_t context,
                                                   int32_t index) override {
    return null_.ScoreWindow(text, context, index);
  }
  absl::StatusOr<measure::TaskResult> AnswerTask(const measure::Prompt& prompt,
                                                 const measure::GenerationRequest& request) override {
    return null_.AnswerTask(prompt, request);
  }
  absl::StatusOr<measure::WindowDivergence> CompareWindow(const measure::PromptSet& text, int32_t context,
                                                          int32_t index) override {
    return null_.CompareWindow(text, context, index);
  }
  absl::StatusOr<measure::WindowSummary> SummarizeWindow(const measure::PromptSet& text, int32_t context, int32_t index,
                                                         int32_t k) override {
    return null_.SummarizeWindow(text, context, index, k);
  }
  absl::StatusOr<measure::WindowDivergence> CompareWithSummary(const measure::PromptSet& text, int32_t context,
                                                               int32_t index, std::string_view summary) override {
    return null_.CompareWithSummary(text, context, index, summary);
  }
  absl::StatusOr<measure::ArticleScore> ScoreArticle(const measure::PromptSet& articles, int32_t context,
                                                     int32_t index) override {
    return null_.ScoreArticle(articles, context, index);
  }
  absl::StatusOr<measure::Identity> Identify() override { return null_.Identify(); }
  absl::StatusOr<measure::Memory> MemoryUsed() override { return null_.MemoryUsed(); }

  std::string gate_at;
  // Layers that are calibrated before fp16 is hosted, and the one it stops in.
  int layers = 0;
  int gate_at_layer = -1;
  // Variants of the surveys, each with the first piece of its calibration text.
  std::vector<std::string> surveyed;
  absl::Notification reached;
  absl::Notification opened;

 private:
  test::NullEvaluator null_{{}};
};

v1::Lease TimingLease(int chunk, int count, int64_t epoch = 1) {
  v1::Lease lease;
  *lease.mutable_attempt() = ToProto(Attempt{"jobs/a", chunk, epoch});
  lease.mutable_duration()->set_seconds(60);
  lease.set_kind(v1::CHUNK_KIND_TIMING);
  lease.set_variant("fp16");
  lease.set_repeat(1);
  lease.set_item_count(count);
  lease.set_prompt_set(kPrompts);
  lease.mutable_timing()->set_max_output_tokens(8);
  lease.mutable_timing()->set_warmup_generations(0);
  return lease;
}

v1::DesiredState Wanting(std::initializer_list<v1::Lease> leases) {
  v1::DesiredState desired;
  desired.mutable_assignment()->set_model("null");
  desired.mutable_assignment()->set_variant("fp16");
  for (const v1::Lease& lease : leases) *desired.add_leases() = lease;
  return desired;
}

class LinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<v1::Prompt> prompts(2000);
    for (size_t i = 0; i < prompts.size(); ++i) {
      prompts[i].set_id(absl::StrCat("p", i));
      prompts[i].set_text("Say something.");
    }
    coordinator_.AddPrompts(kPrompts, prompts);
  }

  void StartHost() {
    auto lock = measure::DeviceLock::Open(test::ScratchFolder(), "null");
    ASSERT_TRUE(lock.ok()) << lock.status();
    lock_ = *std::move(lock);
    HostOptions options;
    options.server = coordinator_.address();
    options.security.insecure_dev = true;
    options.worker = "w1";
    options.build = "test";
    options.device = {&evaluator_, &monitor_, lock_.get(), &clock_, absl::Seconds(1)};
    auto host = Host::Create(std::move(options), [this] { refused_.Notify(); });
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    host_->Start();
  }

  // Number of whole attempts received, by their last batches.
  int Ends() const {
    int ends = 0;
    for (const v1::RecordBatch& batch : coordinator_.batches()) ends += batch.has_end() ? 1 : 0;
    return ends;
  }

  // Is an attempt of this chunk in the latest report?
  bool Reports(int chunk) const {
    const v1::WorkerState state = coordinator_.last_state();
    return std::any_of(state.attempts().begin(), state.attempts().end(),
                       [chunk](const v1::AttemptProgress& attempt) { return attempt.attempt().chunk() == chunk; });
  }

  FakeWorkerPort coordinator_;
  measure::SteadyClock clock_;
  test::NullMonitor monitor_{"null"};
  GatedEvaluator evaluator_;
  std::unique_ptr<measure::DeviceLock> lock_;
  absl::Notification refused_;
  std::unique_ptr<Host> host_;
};

TEST_F(LinkTest, TellsWhatItIsAndHostsWhatItIsAssigned) {
  coordinator_.Want(Wanting({}));
  StartHost();
  v1::ModelInfo model;
  model.set_model("null");
  host_->SetModels({model});
  ASSERT_TRUE(coordinator_.Await([this] {
    const v1::WorkerState state = coordinator_.last_state();
    return state.hosted().state() == v1::VARIANT_STATE_READY && state.models_size() == 1;
  }));
  const v1::WorkerState state = coordinator_.last_state();
  EXPECT_EQ(state.worker(), "workers/w1");
  EXPECT_EQ(state.device().id(), "null");
  EXPECT_EQ(state.hosted().variant(), "fp16");
}

// Situation: fp16 is hosted once more, to be compared with itself. The name is the coordinator's, the weights are
// fp16's.
TEST_F(LinkTest, HostsAVariantOnceMoreUnderTheNameItWasGiven) {
  v1::Lease lease = TimingLease(0, 2);
  lease.set_variant("fp16#2");
  v1::DesiredState desired = Wanting({lease});
  desired.mutable_assignment()->set_variant("fp16#2");
  coordinator_.Want(desired);
  StartHost();
  ASSERT_TRUE(coordinator_.Await(
      [this] { return !coordinator_.batches().empty() && coordinator_.batches().back().has_end(); }));
  EXPECT_EQ(coordinator_.last_state().hosted().variant(), "fp16#2");
  EXPECT_EQ(coordinator_.batches().back().end().variant_configuration(), "{\"variant\":\"fp16\"}");
}

// Situation: one layer takes longer than everything else that the coordinator knows of.
TEST_F(LinkTest, GoesOnReportingWhileItCalibrates) {
  evaluator_.layers = 30;
  evaluator_.gate_at_layer = 6;
  v1::DesiredState desired = Wanting({});
  desired.mutable_next_report_in()->set_nanos(10'000'000);
  coordinator_.Want(desired);
  StartHost();
  evaluator_.reached.WaitForNotification();
  ASSERT_TRUE(
      coordinator_.Await([this] { return coordinator_.last_state().hosted().calibration().layers_done() == 6; }));
  EXPECT_EQ(coordinator_.last_state().hosted().calibration().layers_total(), 30);
  EXPECT_EQ(coordinator_.last_state().hosted().state(), v1::VARIANT_STATE_LOADING);
  const int64_t sequence = coordinator_.last_state().sequence();
  EXPECT_TRUE(coordinator_.Await([&] { return coordinator_.last_state().sequence() > sequence + 20; }))
      << "a worker in the middle of a layer was silent";
  evaluator_.opened.Notify();
  ASSERT_TRUE(
      coordinator_.Await([this] { return coordinator_.last_state().hosted().state() == v1::VARIANT_STATE_READY; }));
  EXPECT_FALSE(coordinator_.last_state().hosted().has_calibration());
}

TEST_F(LinkTest, StopsACalibrationThatIsNotWantedAnyMoreAndHostsWhatIs) {
  evaluator_.layers = 1'000'000'000;
  evaluator_.gate_at_layer = 3;
  coordinator_.Want(Wanting({}));
  StartHost();
  evaluator_.reached.WaitForNotification();
  v1::DesiredState other = Wanting({});
  other.mutable_assignment()->set_variant("rtn-w8");
  coordinator_.Want(other);
  const int64_t sequence = coordinator_.last_state().sequence();
  ASSERT_TRUE(coordinator_.Await([&] { return coordinator_.last_state().sequence() > sequence + 1; }));
  evaluator_.opened.Notify();
  ASSERT_TRUE(
      coordinator_.Await([this] { return coordinator_.last_state().hosted().state() == v1::VARIANT_STATE_READY; }));
  EXPECT_EQ(coordinator_.last_state().hosted().variant(), "rtn-w8");
  for (const v1::WorkerState& state : coordinator_.states()) {
    EXPECT_NE(state.hosted().state(), v1::VARIANT_STATE_FAILED) << state.hosted().error();
  }
}

TEST_F(LinkTest, StopsACalibrationWhenItsProcessStops) {
  evaluator_.layers = 1'000'000'000;
  evaluator_.gate_at_layer = 3;
  coordinator_.Want(Wanting({}));
  StartHost();
  evaluator_.reached.WaitForNotification();
  evaluator_.opened.Notify();
  EXPECT_TRUE(host_->Drain(absl::Seconds(20)));
  host_.reset();  // waits for the runner
}

TEST_F(LinkTest, RunsALeaseAndEndsItWithCountAndEvidence) {
  coordinator_.Want(Wanting({TimingLease(0, 5)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 1; }));
  int items = 0;
  for (const v1::RecordBatch& batch : coordinator_.batches()) {
    EXPECT_EQ(batch.worker(), "workers/w1");
    for (const v1::Record& record : batch.records()) {
      EXPECT_EQ(record.item(), items++);
      EXPECT_EQ(record.repeat(), 1);
      EXPECT_GT(record.timing().latency_ns(), 0);
    }
  }
  EXPECT_EQ(items, 5);
  const v1::AttemptEnd end = coordinator_.batches().back().end();
  EXPECT_EQ(end.record_count(), 5);
  EXPECT_EQ(end.evidence().device().id(), "null");
  EXPECT_GT(end.evidence().memory().weights_bytes(), 0);
  EXPECT_EQ(end.evidence().model_digest().size(), 64u);
  EXPECT_EQ(end.evidence().tokenizer_digest(), std::string(64, '1'));
  EXPECT_EQ(end.variant_configuration(), "{\"variant\":\"fp16\"}");
  EXPECT_EQ(wire::Sha256Hex(end.variant_configuration()), end.evidence().variant_digest());
}

TEST_F(LinkTest, CutsALongAttemptIntoBatchesWithoutGaps) {
  coordinator_.Want(Wanting({TimingLease(0, 1000)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 1; }));
  int64_t sequence = 0;
  int records = 0;
  for (const v1::RecordBatch& batch : coordinator_.batches()) {
    EXPECT_EQ(batch.sequence(), sequence++);
    EXPECT_LE(batch.records_size(), 256);
    records += batch.records_size();
  }
  EXPECT_EQ(records, 1000);
}

TEST_F(LinkTest, FetchesAPromptSetOnce) {
  coordinator_.Want(Wanting({TimingLease(0, 2), TimingLease(1, 2), TimingLease(2, 2)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 3; }));
  EXPECT_EQ(coordinator_.fetches(), 1);
}

TEST_F(LinkTest, SendsEverythingUnacknowledgedAgainAfterAReconnect) {
  // The first stream breaks at the third batch and has acknowledged nothing but the first.
  coordinator_.JudgeBy([n = 0](const v1::RecordBatch&) mutable -> std::optional<v1::RecordVerdict> {
    if (++n == 3) return std::nullopt;
    return v1::RECORD_VERDICT_STORED;
  });
  coordinator_.Want(Wanting({TimingLease(0, 1000)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() >= 1 && coordinator_.record_streams() == 2; }));
  std::map<int64_t, std::string> content;
  for (const v1::RecordBatch& batch : coordinator_.batches()) {
    const auto [it, fresh] = content.emplace(batch.sequence(), batch.SerializeAsString());
    EXPECT_TRUE(fresh || it->second == batch.SerializeAsString()) << "batch " << batch.sequence() << " changed";
  }
  EXPECT_EQ(content.size(), static_cast<size_t>(content.rbegin()->first) + 1);
  EXPECT_TRUE(coordinator_.Await([this] { return !Reports(0); })) << "the verdict came after all";
}

// Situation: the coordinator cannot read the batches of one chunk, and ends the stream each time.
TEST_F(LinkTest, FailsAnAttemptWhoseRecordsCannotBeReadInsteadOfSendingThemForEver) {
  coordinator_.EndRecordsWith({grpc::StatusCode::INVALID_ARGUMENT, "no batch"});
  coordinator_.JudgeBy([](const v1::RecordBatch& batch) -> std::optional<v1::RecordVerdict> {
    if (batch.attempt().chunk() == 0) return std::nullopt;
    return v1::RECORD_VERDICT_STORED;
  });
  coordinator_.Want(Wanting({TimingLease(0, 3)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] {
    const v1::WorkerState state = coordinator_.last_state();
    return state.attempts_size() == 1 && !state.attempts(0).error().empty();
  }));
  EXPECT_THAT(coordinator_.last_state().attempts(0).error(), testing::HasSubstr("no batch"));
  const size_t sent = coordinator_.batches().size();
  coordinator_.Want(Wanting({TimingLease(1, 3)}));
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.batches().back().attempt().chunk() == 1; }));
  for (size_t i = sent; i < coordinator_.batches().size(); ++i) {
    EXPECT_EQ(coordinator_.batches()[i].attempt().chunk(), 1);
  }
}

TEST_F(LinkTest, DropsAnAttemptWhoseLeaseIsLostAndRunsTheNext) {
  coordinator_.JudgeBy([](const v1::RecordBatch& batch) {
    return batch.attempt().chunk() == 0 ? v1::RECORD_VERDICT_LEASE_LOST : v1::RECORD_VERDICT_STORED;
  });
  // The first batch leaves before this item; either the refusal is there in time, or the item waits for it.
  evaluator_.gate_at = "p256";
  coordinator_.Want(Wanting({TimingLease(0, 2000), TimingLease(1, 3)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return !coordinator_.batches().empty() && !Reports(0); }));
  evaluator_.opened.Notify();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 1; }));
  EXPECT_EQ(coordinator_.batches().back().attempt().chunk(), 1);
}

TEST_F(LinkTest, StopsAnAttemptThatIsNotWantedAnyMore) {
  evaluator_.gate_at = "p3";
  coordinator_.Want(Wanting({TimingLease(0, 8)}));
  StartHost();
  evaluator_.reached.WaitForNotification();
  coordinator_.Want(Wanting({TimingLease(1, 2)}));
  ASSERT_TRUE(coordinator_.Await([this] { return Reports(1); }));
  evaluator_.opened.Notify();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 1; }));
  for (const v1::RecordBatch& batch : coordinator_.batches()) {
    EXPECT_FALSE(batch.attempt().chunk() == 0 && batch.has_end());
  }
}

TEST_F(LinkTest, FinishesTheRunningChunkAndGivesBackTheRestWhenItDrains) {
  evaluator_.gate_at = "p1";
  coordinator_.Want(Wanting({TimingLease(0, 4), TimingLease(1, 4)}));
  StartHost();
  evaluator_.reached.WaitForNotification();
  std::thread drain([this] { EXPECT_TRUE(host_->Drain(absl::Seconds(20))); });
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.last_state().draining(); }));
  EXPECT_EQ(coordinator_.last_state().attempts_size(), 1);
  evaluator_.opened.Notify();
  drain.join();
  EXPECT_EQ(Ends(), 1);
  EXPECT_EQ(coordinator_.last_state().attempts_size(), 0);
}

TEST_F(LinkTest, DrainsWithoutACoordinatorThatHearsIt) {
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.last_state().sequence() > 0; }));
  coordinator_.Stop();
  EXPECT_TRUE(host_->Drain(absl::InfiniteDuration()));
}

TEST_F(LinkTest, SurvivesARestartOfTheCoordinator) {
  evaluator_.gate_at = "p2";
  coordinator_.Want(Wanting({TimingLease(0, 4)}));
  StartHost();
  evaluator_.reached.WaitForNotification();
  const std::string session = coordinator_.last_state().session();
  coordinator_.Stop();
  coordinator_.Start();
  evaluator_.opened.Notify();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 1; }));
  EXPECT_EQ(coordinator_.batches().back().end().record_count(), 4);
  EXPECT_EQ(coordinator_.last_state().session(), session);
}

TEST_F(LinkTest, ReportsWhyAnAttemptFailed) {
  v1::Lease beyond = TimingLease(0, 8);
  beyond.set_first_item(1995);
  coordinator_.Want(Wanting({beyond}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] {
    const v1::WorkerState state = coordinator_.last_state();
    return state.attempts_size() == 1 && !state.attempts(0).error().empty();
  }));
  EXPECT_THAT(coordinator_.last_state().attempts(0).error(), HasSubstr("ends at item 2003: expected at most 2000"));
}

TEST_F(LinkTest, RunsTasksComparisonsAndArticles) {
  v1::Lease tasks = TimingLease(0, 3);
  tasks.set_kind(v1::CHUNK_KIND_TASK);
  tasks.set_repeat(0);
  v1::Lease windows = TimingLease(1, 2);
  windows.set_kind(v1::CHUNK_KIND_DIVERGENCE);
  windows.set_repeat(0);
  windows.set_context_tokens(64);
  v1::Lease articles = TimingLease(2, 2);
  articles.set_kind(v1::CHUNK_KIND_ARTICLE);
  articles.set_repeat(0);
  articles.set_context_tokens(64);
  coordinator_.Want(Wanting({tasks, windows, articles}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 3; }));
  int scored = 0;
  int answers = 0;
  int compared = 0;
  for (const v1::RecordBatch& batch : coordinator_.batches()) {
    for (const v1::Record& record : batch.records()) {
      if (record.has_task()) {
        ++answers;
        EXPECT_EQ(record.task().checks(0).metric(), v1::TASK_METRIC_CHOICE);
      } else if (record.has_article()) {
        EXPECT_EQ(record.article().words(), 100 + scored++);
        EXPECT_GT(record.article().nll_sum(), 0);
      } else {
        ++compared;
        EXPECT_EQ(record.divergence().positions(), 63);
      }
    }
  }
  EXPECT_EQ(scored, 2);
  EXPECT_EQ(answers, 3);
  EXPECT_EQ(compared, 2);
}

v1::Lease SummaryLease(int chunk, v1::ChunkKind kind) {
  v1::Lease lease = TimingLease(chunk, 2);
  lease.set_kind(kind);
  lease.set_repeat(0);
  lease.set_first_item(0);
  lease.set_context_tokens(64);
  lease.set_summary_k(4096);
  return lease;
}

// Situation: the coordinator is away for a moment when the first summary is sent.
TEST_F(LinkTest, SendsSummariesBeforeTheirRecordsAndComparesWithThem) {
  coordinator_.AnswerSummaries({{grpc::StatusCode::UNAVAILABLE, "gone for a moment"}});
  coordinator_.Want(Wanting({SummaryLease(0, v1::CHUNK_KIND_SUMMARY), SummaryLease(1, v1::CHUNK_KIND_DIVERGENCE)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 2; }));
  const auto summaries = coordinator_.summaries();
  ASSERT_EQ(summaries.size(), 2u);
  EXPECT_EQ(summaries[1].first.window(), 1);
  EXPECT_EQ(summaries[1].first.worker(), coordinator_.last_state().worker());
  EXPECT_EQ(summaries[1].first.attempt().epoch(), 1);
  EXPECT_EQ(summaries[1].first.bytes(), static_cast<int64_t>(summaries[1].second.size()));
  int sent = 0, compared = 0;
  for (const v1::RecordBatch& batch : coordinator_.batches()) {
    for (const v1::Record& record : batch.records()) {
      if (record.has_summary()) {
        EXPECT_EQ(record.summary().digest(), summaries[sent++].first.digest());
        continue;
      }
      ++compared;
      EXPECT_EQ(record.divergence().summary_k(), 4096);
      EXPECT_TRUE(record.divergence().has_kl_upper_sum());
    }
  }
  EXPECT_EQ(sent, 2);
  EXPECT_EQ(compared, 2);
}

TEST_F(LinkTest, SaysThatThereIsNoSummaryToCompareWith) {
  coordinator_.Want(Wanting({SummaryLease(0, v1::CHUNK_KIND_DIVERGENCE)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] {
    const v1::WorkerState state = coordinator_.last_state();
    return state.attempts_size() == 1 && !state.attempts(0).error().empty();
  }));
  EXPECT_THAT(coordinator_.last_state().attempts(0).error(),
              HasSubstr("item 0: fetching the summary of window 0: no such summary"));
}

// Situation: the lease was lost while the summary was made.
TEST_F(LinkTest, DropsTheAttemptWhoseSummaryComesTooLate) {
  coordinator_.AnswerSummaries({{grpc::StatusCode::ABORTED, "not leased"}});
  coordinator_.Want(Wanting({SummaryLease(0, v1::CHUNK_KIND_SUMMARY), TimingLease(1, 1)}));
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return Ends() == 1; }));
  EXPECT_EQ(coordinator_.batches().back().attempt().chunk(), 1);
}

TEST_F(LinkTest, SurveysAJobWithoutHostingAnything) {
  v1::DesiredState desired;
  v1::Survey& survey = *desired.add_surveys();
  survey.set_job("jobs/b");
  survey.set_model("null");
  survey.set_prompt_set(kPrompts);
  coordinator_.Want(desired);
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.last_state().surveys_size() == 1; }));
  const v1::SurveyResult result = coordinator_.last_state().surveys(0);
  EXPECT_EQ(result.error(), "");
  EXPECT_GT(result.longest_input_tokens(), 0);
  EXPECT_FALSE(coordinator_.last_state().has_hosted());
}

TEST_F(LinkTest, SurveysWithTheTextsThatVariantsAreCalibratedOn) {
  const std::string digest(64, 'c');
  v1::Prompt piece;
  piece.set_id("piece-000000");
  piece.set_text("A text to calibrate on.");
  coordinator_.AddPrompts("promptSets/" + digest, {piece});
  v1::DesiredState desired;
  v1::Survey& survey = *desired.add_surveys();
  survey.set_job("jobs/b");
  survey.set_model("null");
  survey.set_prompt_set(kPrompts);
  survey.add_variants("gptq-w4");
  survey.add_variants("gptq-w4:text=" + digest);
  coordinator_.Want(desired);
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.last_state().surveys_size() == 1; }));
  EXPECT_EQ(coordinator_.last_state().surveys(0).error(), "");
  EXPECT_EQ(evaluator_.surveyed,
            (std::vector<std::string>{"gptq-w4 ", "gptq-w4:text=" + digest + " A text to calibrate on."}));
}

TEST_F(LinkTest, SaysThatASetIsMissing) {
  v1::DesiredState desired;
  desired.add_surveys()->set_job("jobs/b");
  desired.mutable_surveys(0)->set_prompt_set("promptSets/none");
  coordinator_.Want(desired);
  StartHost();
  ASSERT_TRUE(coordinator_.Await([this] { return coordinator_.last_state().surveys_size() == 1; }));
  EXPECT_THAT(coordinator_.last_state().surveys(0).error(), HasSubstr("promptSets/none"));
}

TEST_F(LinkTest, EndsWhenAnotherProcessTakesItsName) {
  coordinator_.RefuseSessions({grpc::StatusCode::ABORTED, "a newer session of workers/w1 exists"});
  StartHost();
  refused_.WaitForNotification();
  EXPECT_EQ(host_->failure().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(host_->failure().message()), HasSubstr("worker name"));
}

TEST_F(LinkTest, RefusesAWorkerNameWithASlash) {
  HostOptions options;
  options.server = coordinator_.address();
  options.worker = "a/b";
  options.device.monitor = &monitor_;
  const auto host = Host::Create(std::move(options), [] {});
  EXPECT_EQ(host.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace uaqf::link
