#include "worker/measure/chunk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/test_data.h"
#include "tests/worker/measure/fake_text_model.h"

namespace uaqf::measure {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Everything that happens, in order.
using Events = std::vector<std::string>;

class FakeEvaluator final : public Evaluator {
 public:
  FakeEvaluator(Events* events, test::FakeClock* clock) : events_(events), clock_(clock) {}
  absl::Status Load(const HostRequest&) override { return absl::OkStatus(); }
  void Unload() override {}
  absl::StatusOr<SurveyReport> Survey(const SurveyRequest&) override { return SurveyReport{}; }
  absl::StatusOr<Timing> TimePrompt(const Prompt& prompt, const GenerationRequest& request) override {
    clock_->now_ns += 1000;
    events_->push_back(absl::StrCat("time ", prompt.id, " for ", request.output_tokens));
    if (prompt.id == broken) return absl::InvalidArgumentError("it is broken");
    requests.push_back(request);
    Timing timing;
    timing.output_tokens = request.output_tokens;
    return timing;
  }
  absl::StatusOr<TrafficTiming> TimeBatch(const BatchRequest& request) override {
    std::string ids;
    for (const Prompt* prompt : request.prompts) absl::StrAppend(&ids, " ", prompt->id);
    events_->push_back(absl::StrCat("batch", ids, ": ", request.input_tokens, " in ", request.output_tokens, " out"));
    batches.push_back(request);
    TrafficTiming timing;
    timing.batch = static_cast<int32_t>(request.prompts.size());
    return timing;
  }
  absl::StatusOr<Generation> Generate(const Prompt& prompt, const GenerationRequest&) override {
    events_->push_back(absl::StrCat("generate ", prompt.id));
    return Generation{};
  }
  absl::StatusOr<WindowScore> ScoreWindow(const PromptSet&, int32_t context, int32_t index) override {
    events_->push_back(absl::StrCat("score ", index, " of ", context));
    return WindowScore{};
  }
  absl::StatusOr<TaskResult> AnswerTask(const Prompt& prompt, const GenerationRequest&) override {
    events_->push_back(absl::StrCat("answer ", prompt.id));
    return TaskResult{};
  }
  absl::StatusOr<WindowDivergence> CompareWindow(const PromptSet&, int32_t context, int32_t index) override {
    events_->push_back(absl::StrCat("compare ", index, " of ", context));
    return WindowDivergence{};
  }
  absl::StatusOr<WindowSummary> SummarizeWindow(const PromptSet&, int32_t context, int32_t index, int32_t k) override {
    events_->push_back(absl::StrCat("summarize ", index, " of ", context, " with ", k));
    return WindowSummary{context - 1, k, absl::StrCat("summary ", index)};
  }
  absl::StatusOr<WindowDivergence> CompareWithSummary(const PromptSet&, int32_t context, int32_t index,
                                                      std::string_view summary) override {
    events_->push_back(absl::StrCat("compare ", index, " of ", context, " with ", std::string(summary)));
    return WindowDivergence{};
  }
  absl::StatusOr<ArticleScore> ScoreArticle(const PromptSet&, int32_t context, int32_t index) override {
    events_->push_back(absl::StrCat("article ", index, " of ", context));
    return ArticleScore{};
  }
  absl::StatusOr<Identity> Identify() override { return Identity{}; }
  absl::StatusOr<Memory> MemoryUsed() override { return Memory{}; }

  std::string broken;
  std::vector<GenerationRequest> requests;
  std::vector<BatchRequest> batches;

 private:
  Events* const events_;
  test::FakeClock* const clock_;
};

class FakeMonitor final : public DeviceMonitor {
 public:
  explicit FakeMonitor(Events* events) : events_(events) {}
  const Device& device() const override { return device_; }
  void ClearCaches() override { events_->push_back("clear"); }
  void Begin() override { events_->push_back("watch"); }
  DeviceUse End() override {
    events_->push_back("seen");
    return {};
  }

 private:
  Device device_;
  Events* const events_;
};

class FakeSink final : public ChunkSink {
 public:
  explicit FakeSink(Events* events) : events_(events) {}
  absl::Status Ready() override {
    if (++ready_calls > stop_after) return absl::CancelledError("enough");
    return absl::OkStatus();
  }
  void Add(ItemResult result) override {
    events_->push_back(absl::StrCat("add ", result.item));
    results.push_back(std::move(result));
  }
  int ready_calls = 0;
  int stop_after = 1000;
  std::vector<ItemResult> results;

 private:
  Events* const events_;
};

class ChunkTest : public testing::Test {
 protected:
  ChunkTest() {
    for (int i = 0; i < 10; ++i) set_.prompts.push_back({absl::StrCat("p", i), "text", {}});
    chunk_.items = &set_;
    chunk_.first_item = 2;
    chunk_.item_count = 2;
    lock_ = *DeviceLock::Open(folder_, "d");
  }
  absl::StatusOr<DeviceUse> Run() {
    return RunChunk(chunk_, {&evaluator_, &monitor_, lock_.get(), &clock_, absl::Milliseconds(1)}, sink_);
  }

  const std::string folder_ = test::ScratchFolder();
  Events events_;
  test::FakeClock clock_;
  FakeEvaluator evaluator_{&events_, &clock_};
  FakeMonitor monitor_{&events_};
  FakeSink sink_{&events_};
  std::unique_ptr<DeviceLock> lock_;
  PromptSet set_{"promptSets/x", {}};
  Chunk chunk_;
};

TEST_F(ChunkTest, ClearsTheCachesThenWarmsUpThenTimesItemByItem) {
  chunk_.output_tokens = {5, 6};
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "clear", "time p2 for 5", "time p2 for 5", "add 2", "time p3 for 6",
                                   "add 3", "seen"));
}

TEST_F(ChunkTest, LeavesCachesAndWarmUpAloneWhenAsked) {
  chunk_.clear_cache = false;
  chunk_.warmup_generations = 0;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "time p2 for 0", "add 2", "time p3 for 0", "add 3", "seen"));
}

TEST_F(ChunkTest, RecordsRepeatAndStartAfterTheChunksStart) {
  chunk_.repeat = 3;
  ASSERT_TRUE(Run().ok());
  ASSERT_EQ(sink_.results.size(), 2u);
  EXPECT_EQ(sink_.results[1].repeat, 3);
  EXPECT_EQ(std::get<Timing>(sink_.results[0].body).start_offset_ns, 1000) << "after one warm-up";
  EXPECT_EQ(std::get<Timing>(sink_.results[1].body).start_offset_ns, 2000);
}

TEST_F(ChunkTest, EmitsAtLeastOneTokenWhereTheBaselineSaidNothing) {
  chunk_.output_tokens = {0, 4};
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(evaluator_.requests.front().output_tokens, 1);
}

TEST_F(ChunkTest, TimesBatchesLikeGenerationsWithPromptsFromTheCellsFirstOn) {
  chunk_.kind = ChunkKind::kTraffic;
  chunk_.repeat = 1;
  chunk_.cells = {{1, 16, 4, 8}, {3, 16, 32, 8}};
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "clear", "batch p8: 16 in 4 out", "batch p8: 16 in 4 out", "add 2",
                                   "batch p8 p9 p0: 16 in 32 out", "add 3", "seen"));
  EXPECT_EQ(sink_.results[1].repeat, 1);
  EXPECT_EQ(std::get<TrafficTiming>(sink_.results[1].body).batch, 3);
}

TEST_F(ChunkTest, GivesAPromptThatComesTwiceInABatchOtherProse) {
  chunk_.kind = ChunkKind::kTraffic;
  chunk_.item_count = 1;
  chunk_.cells = {{11, 16, 4, 0}};
  ASSERT_TRUE(Run().ok());
  const BatchRequest& batch = evaluator_.batches.back();
  EXPECT_EQ(batch.prompts[0], batch.prompts[10]);
  EXPECT_NE(batch.prose_seeds[0], batch.prose_seeds[10]);
}

TEST_F(ChunkTest, RefusesABatchThatCannotBe) {
  chunk_.kind = ChunkKind::kTraffic;
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("0 batches to time: expected 2"));
  chunk_.cells = {{1, 16, 4, 0}, {0, 16, 4, 0}};
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("batch of 0 with 16 tokens in"));
}

TEST_F(ChunkTest, GivesAnItemTheSameProseInEveryRepeat) {
  ASSERT_TRUE(Run().ok());
  const uint64_t first = evaluator_.requests.back().prose_seed;
  chunk_.repeat = 1;
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(evaluator_.requests.back().prose_seed, first);
  EXPECT_NE(evaluator_.requests.front().prose_seed, first) << "another item, other prose";
}

TEST_F(ChunkTest, ScoresWindowsAndGeneratesWithoutWarmUp) {
  chunk_.kind = ChunkKind::kPerplexity;
  chunk_.context_tokens = 64;
  chunk_.first_item = 40;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "score 40 of 64", "add 40", "score 41 of 64", "add 41", "seen"));
  events_.clear();
  chunk_.kind = ChunkKind::kGeneration;
  chunk_.first_item = 0;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "generate p0", "add 0", "generate p1", "add 1", "seen"));
  events_.clear();
  chunk_.kind = ChunkKind::kTask;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "answer p0", "add 0", "answer p1", "add 1", "seen"));
  events_.clear();
  chunk_.kind = ChunkKind::kDivergence;
  chunk_.first_item = 40;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "compare 40 of 64", "add 40", "compare 41 of 64", "add 41", "seen"));
  events_.clear();
  chunk_.kind = ChunkKind::kArticle;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "article 40 of 64", "add 40", "article 41 of 64", "add 41", "seen"));
}

class FakeExchange final : public SummaryExchange {
 public:
  explicit FakeExchange(Events* events) : events_(events) {}
  absl::StatusOr<std::string> Put(int32_t window, const std::string& bytes) override {
    events_->push_back(absl::StrCat("put ", window, ": ", bytes));
    return absl::StrCat("digest of ", bytes);
  }
  absl::StatusOr<std::string> Get(int32_t window) override {
    events_->push_back(absl::StrCat("get ", window));
    if (window == missing) return absl::NotFoundError("there is none");
    return absl::StrCat("what is of ", window);
  }

  int32_t missing = -1;

 private:
  Events* const events_;
};

TEST_F(ChunkTest, HandsEachSummaryOverBeforeItIsRecorded) {
  FakeExchange exchange(&events_);
  chunk_.kind = ChunkKind::kSummary;
  chunk_.summary_k = 64;
  chunk_.context_tokens = 16;
  chunk_.summaries = &exchange;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "summarize 2 of 16 with 64", "put 2: summary 2", "add 2",
                                   "summarize 3 of 16 with 64", "put 3: summary 3", "add 3", "seen"));
  const auto& note = std::get<SummaryNote>(sink_.results[1].body);
  EXPECT_EQ(note.digest, "digest of summary 3");
  EXPECT_EQ(note.bytes, 9);
  EXPECT_EQ(note.positions, 15);
}

TEST_F(ChunkTest, ComparesWithTheSummaryOfEachWindow) {
  FakeExchange exchange(&events_);
  chunk_.kind = ChunkKind::kDivergence;
  chunk_.summary_k = 64;
  chunk_.context_tokens = 16;
  chunk_.summaries = &exchange;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(events_, ElementsAre("watch", "get 2", "compare 2 of 16 with what is of 2", "add 2", "get 3",
                                   "compare 3 of 16 with what is of 3", "add 3", "seen"));
  exchange.missing = 3;
  const absl::Status missing = Run().status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("item 3: there is none"));
  chunk_.summaries = nullptr;
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ChunkTest, StopsBeforeTheNextItemWhenTheSinkSaysSo) {
  sink_.stop_after = 3;  // the chunk, the warm-up, the first item
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(sink_.results.size(), 1u);
}

TEST_F(ChunkTest, NamesTheItemThatFailed) {
  evaluator_.broken = "p3";
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("item 3: it is broken"));
}

TEST_F(ChunkTest, RefusesItemsOutsideOfTheSet) {
  chunk_.first_item = 9;
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("ends at item 11: expected at most 10"));
}

TEST_F(ChunkTest, RefusesOutputLengthsThatAreNotOnePerItem) {
  chunk_.output_tokens = {1, 2, 3};
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("3 output lengths"));
}

TEST_F(ChunkTest, IsTaintedWhenAnotherProcessHoldsTheDevice) {
  auto other = *DeviceLock::Open(folder_, "d");
  ASSERT_TRUE(other->Acquire(DeviceLock::Mode::kShared, absl::ZeroDuration()));
  const auto use = Run();
  ASSERT_TRUE(use.ok()) << use.status();
  ASSERT_EQ(use->taints.size(), 1u);
  EXPECT_THAT(use->taints[0], HasSubstr("2 of 2 items"));
}

TEST_F(ChunkTest, LeavesTheDeviceFreeAfterwards) {
  ASSERT_TRUE(Run().ok());
  auto other = *DeviceLock::Open(folder_, "d");
  EXPECT_TRUE(other->Acquire(DeviceLock::Mode::kExclusive, absl::ZeroDuration()));
}

}  // namespace
}  // namespace uaqf::measure
