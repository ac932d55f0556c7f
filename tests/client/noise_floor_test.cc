// FP16 timed twice, as people ask for it and see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/job_spec.h"
#include "client/json.h"
#include "client/show.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Terminal kPlain;

v1::RankVariantsResponse RankingWithFloor() {
  v1::RankVariantsResponse answer = SampleRanking();
  v1::NoiseFloor& floor = *answer.mutable_noise_floor();
  floor.mutable_tokens_per_s()->set_value(.0021);
  floor.mutable_tokens_per_s()->mutable_interval()->set_low(-.001);
  floor.mutable_tokens_per_s()->mutable_interval()->set_high(.0052);
  floor.mutable_tokens_per_s()->set_floor(.0052);
  floor.set_pairs(21);
  floor.set_separate_processes(true);
  return answer;
}

TEST(NoiseFloor, IsOneLineOfARanking) {
  v1::RankVariantsResponse answer = RankingWithFloor();
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("\nfp16 against itself, in two processes: +0.21 % tokens/s "
                                                  "[-0.10, +0.52]; up to 0.52 % is noise\n"));
  answer.mutable_noise_floor()->set_separate_processes(false);
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("fp16 against itself, in one process: +0.21 %"));
}

TEST(NoiseFloor, IsNoNumberWhereItIsNotKnown) {
  v1::RankVariantsResponse answer = RankingWithFloor();
  answer.mutable_noise_floor()->Clear();
  answer.mutable_noise_floor()->set_reason("fp16#2 and fp16 were both timed on 1 block of prompts");
  EXPECT_THAT(RankText(answer, kPlain),
              HasSubstr("fp16 against itself: not known, fp16#2 and fp16 were both timed on 1 block of prompts\n"));
  answer.clear_noise_floor();
  EXPECT_THAT(RankText(answer, kPlain), Not(HasSubstr("against itself")));
}

TEST(NoiseFloor, StandsInTheRowsOfARanking) {
  v1::RankVariantsResponse answer = RankingWithFloor();
  v1::RankedVariant& winner = *answer.mutable_variants(0);
  winner.mutable_speedup()->set_value(1.004);
  winner.mutable_speedup()->set_within_noise(true);
  winner.mutable_standing()->set_noise(.003);
  const std::string csv = RankCsv(answer);
  EXPECT_THAT(csv, HasSubstr(",noise_floor,speedup_within_noise,utility_noise\n"));
  EXPECT_THAT(csv, HasSubstr(",0.0052,true,0.003\n"));
  EXPECT_THAT(csv, HasSubstr(",0.0052,,\n")) << "fp16 has no speedup";
  EXPECT_THAT(RankCsv(SampleRanking()), HasSubstr(",,,\n2,fp16,")) << "not measured is not zero";
}

TEST(NoiseFloor, IsReadByProgramsInFull) {
  const std::string json = ToJson(RankingWithFloor());
  EXPECT_THAT(json, HasSubstr("\"floor\": 0.0052"));
  EXPECT_THAT(json, HasSubstr("\"separate_processes\": true"));
  EXPECT_THAT(json, HasSubstr("\"differs\": false"));
}

// Left out, the coordinator decides: it measures the floor wherever there is something to compare.
TEST(NoiseFloor, CanBeLeftOutOfAJob) {
  JobFlags flags;
  flags.model = "smollm2-135m-instruct";
  flags.variants = {"fp16", "rtn-w4"};
  flags.prompts = "demo-prompts";
  EXPECT_FALSE(BuildJobSpec(flags, "")->has_noise_floor());
  flags.no_noise_floor = true;
  const auto spec = BuildJobSpec(flags, "");
  EXPECT_TRUE(spec->has_noise_floor());
  EXPECT_FALSE(spec->noise_floor());
}

TEST(NoiseFloor, IsSaidOfAJob) {
  v1::Job job = SampleJob("jobs/a", 1);
  EXPECT_THAT(JobText(job, kPlain), Not(HasSubstr("noise floor")));
  job.mutable_spec()->set_noise_floor(true);
  EXPECT_THAT(JobText(job, kPlain), HasSubstr(", fp16 once more for the noise floor\n"));
}

}  // namespace
}  // namespace uaqf::client
