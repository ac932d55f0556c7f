// A traffic grid: planned behind everything else, leased like timing, and checked batch by batch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/core/plan.h"
#include "server/core/validate.h"
#include "tests/server/core/rig.h"

namespace uaqf::core {
namespace {

using testing::HasSubstr;

JobSpec SpecWithGrid() {
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8", kBaselineTwin});
  spec.grid = {{1, 8}, {16, 64}, {4, 32}, 3};
  return spec;
}

TEST(Traffic, ACombinationIsCountedBatchByBatchInputByInputOutputByOutput) {
  const TrafficGrid grid = SpecWithGrid().grid;
  std::vector<std::vector<std::int32_t>> cells;
  for (std::int32_t item = 0; item < grid.Count(); ++item) {
    const TrafficCell cell = CellOf(grid, /*draw=*/2, item);
    cells.push_back({cell.batch, cell.input_tokens, cell.output_tokens});
    EXPECT_EQ(cell.first_prompt, 16) << "draws take the prompts of the largest batch";
  }
  EXPECT_EQ(cells,
            (std::vector<std::vector<std::int32_t>>{
                {1, 16, 4}, {1, 16, 32}, {1, 64, 4}, {1, 64, 32}, {8, 16, 4}, {8, 16, 32}, {8, 64, 4}, {8, 64, 32}}));
}

TEST(Traffic, IsTimedLastInTurnsByAllButTheTwin) {
  const JobSpec spec = SpecWithGrid();
  std::map<std::pair<std::int32_t, std::int32_t>, std::set<std::string>> timed;  // by (draw, first)
  bool began = false;
  for (const Chunk& chunk : MakePlan(spec, 6, {})) {
    began |= chunk.kind == ChunkKind::kTraffic;
    ASSERT_EQ(chunk.kind == ChunkKind::kTraffic, began);
    if (!began) continue;
    EXPECT_EQ(chunk.count, 4) << "all combinations of a batch size";
    EXPECT_TRUE((timed[{chunk.repeat, chunk.first}].insert(spec.variants[chunk.variant]).second));
  }
  EXPECT_EQ(timed.size(), 6u) << "three draws of two batch sizes";
  for (const auto& [place, names] : timed) EXPECT_EQ(names, (std::set<std::string>{"fp16", "rtn-w8"}));
}

TEST(Traffic, CountsAmongThePlannedRecordsAndTheSequencesToHost) {
  JobSpec spec = SpecWithGrid();
  const std::int64_t with = PlannedRecords(spec, 10, 0);
  EXPECT_EQ(MaxBatch(spec), 8);
  EXPECT_GE(MaxSequenceTokens(spec, {}), 96);
  spec.grid = {};
  EXPECT_EQ(with, PlannedRecords(spec, 10, 0) + 8 * 3 * 2);
  EXPECT_EQ(MaxBatch(spec), 1);
}

// Runs job "j" to its end, and gives the leases there were.
std::vector<Lease> RunAll(Rig* rig) {
  std::vector<Lease> leases;
  for (int step = 0; step < 200 && rig->State("j") != JobState::kSucceeded; ++step) {
    rig->Connect("w");
    for (const Lease& lease : rig->Leases("w")) {
      leases.push_back(lease);
      EXPECT_EQ(rig->Send(Rig::Whole("w", lease)).verdict, Verdict::kStored);
    }
  }
  EXPECT_EQ(rig->State("j"), JobState::kSucceeded);
  return leases;
}

TEST(Traffic, AWorkerHostsWithTheLargestBatchAndIsToldWhatToTime) {
  Rig rig;
  JobSpec spec = SpecWithGrid();
  spec.variants = {"fp16", "rtn-w8"};
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).max_batch, 8);
  std::map<std::string, int> batches;
  for (const Lease& lease : RunAll(&rig)) {
    if (lease.kind != ChunkKind::kTraffic) {
      EXPECT_TRUE(lease.cells.empty());
      continue;
    }
    ASSERT_EQ(lease.cells.size(), 4u);
    EXPECT_EQ(lease.cells[1].output_tokens, 32);
    EXPECT_EQ(lease.cells[1].first_prompt, 8 * lease.repeat);
    EXPECT_EQ(lease.prompt_set, spec.prompt_set);
    batches[lease.variant] += static_cast<int>(lease.cells.size());
  }
  EXPECT_EQ(batches, (std::map<std::string, int>{{"fp16", 24}, {"rtn-w8", 24}}));
}

TEST(Traffic, AWorkerThatHostsForSmallerBatchesLoadsAgain) {
  Rig rig;
  JobSpec spec = Rig::Spec({"fp16"});
  rig.Submit("small", spec, 2);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).max_batch, 1);
  while (rig.CompleteOne("w")) rig.Connect("w");
  spec.grid = {{1, 32}, {4}, {4}, 1};
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  EXPECT_EQ(rig.scheduler().Desired("w", rig.now()).max_batch, 32);
}

TEST(Traffic, ABatchThatIsNotTheOneToBeTimedIsRejected) {
  Rig rig;
  JobSpec spec = SpecWithGrid();
  spec.variants = {"fp16"};
  rig.Submit("j", spec, 2);
  rig.Connect("w");
  for (int step = 0; step < 100 && rig.Leases("w").front().kind != ChunkKind::kTraffic; ++step) {
    ASSERT_TRUE(rig.CompleteOne("w"));
    rig.Connect("w");
  }
  const Lease lease = rig.Leases("w").front();
  ASSERT_EQ(lease.kind, ChunkKind::kTraffic);
  RecordBatch batch = Rig::Whole("w", lease);
  batch.records[0].batch = 7;
  const BatchReply reply = rig.Send(batch);
  EXPECT_EQ(reply.verdict, Verdict::kRejected);
  EXPECT_THAT(reply.reason, HasSubstr("a batch of 7 with 16 tokens in and 4 out, expected 1 with 16 and 4"));
}

absl::Status Valid(const TrafficGrid& grid) {
  JobSpec spec = Rig::Spec({"fp16", "rtn-w8"});
  spec.grid = grid;
  return ValidateSpec(spec, 4, {});
}

TEST(Traffic, AGridThatCannotBeIsRefusedWithItsReason) {
  EXPECT_TRUE(Valid({{1, 8, 32}, {128, 512}, {64}, 8}).ok());
  EXPECT_TRUE(Valid({}).ok());
  const std::pair<TrafficGrid, const char*> refused[] = {
      {{{1, 33}, {128}, {64}, 8}, "grid.batches is 33, expected 1 to 32"},
      {{{8, 1}, {128}, {64}, 8}, "expected ascending values"},
      {{{8, 8}, {128}, {64}, 8}, "expected ascending values"},
      {{{1}, {}, {64}, 8}, "grid.input_tokens is empty"},
      {{{1}, {0}, {64}, 8}, "grid.input_tokens is 0"},
      {{{1}, {128}, {5000}, 8}, "grid.output_tokens is 5000"},
      {{{1}, {128}, {64}, 0}, "grid.draws is 0"},
      {{{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4}, {1, 2}, 8}, "combinations is 72"},
  };
  for (const auto& [grid, why] : refused) {
    EXPECT_EQ(Valid(grid).code(), absl::StatusCode::kInvalidArgument) << why;
    EXPECT_THAT(std::string(Valid(grid).message()), HasSubstr(why));
  }
}

TEST(Traffic, AJobThatMayEndEarlyHasNoGrid) {
  JobSpec spec = SpecWithGrid();
  spec.allocation.device_time_ns = 1;
  EXPECT_THAT(std::string(ValidateSpec(spec, 4, {}).message()), HasSubstr("submit the grid as a job of its own"));
}

TEST(Traffic, AGridBeyondTheModelsContextIsRefused) {
  JobSpec spec = SpecWithGrid();
  const absl::Status refused = ValidateSurvey(spec, {.longest_input_tokens = 10}, /*model_context_tokens=*/95);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("64 tokens in and 32 out, expected at most 95"));
}

}  // namespace
}  // namespace uaqf::core
