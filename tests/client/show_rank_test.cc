// A ranking as people and programs read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/show.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const Terminal kPlain;

TEST(ShowRank, IsTheOrderWithItsReasons) {
  EXPECT_EQ(RankText(SampleRanking(), kPlain),
            "profile balanced   U = 0.4 S~ - 0.4 Q~ - 0.2 P~   baseline fp16\n"
            "  S~ = log2(T / 33.5 tokens/s)\n"
            "output lengths matched, 8 windows of 512 tokens\n"
            "1  rtn-w8-channel   U +0.24   speed +0.27  quality -0.01  stability -0.02\n"
            "2  fp16             U 0       speed 0      quality 0      stability 0\n"
            "-  rtn-w4-g64       not feasible: ΔNLL 0.361 > 0.3\n"
            "warning: the loss is relative to the Q4_1 release\n");
}

// The same with resamples behind it: a winner that another may equal, and weights at which others win.
v1::RankVariantsResponse SureRanking() {
  v1::RankVariantsResponse answer = SampleRanking();
  answer.set_resamples(2000);
  v1::Standing& winner = *answer.mutable_variants(0)->mutable_standing();
  winner.mutable_utility()->set_low(.231);
  winner.mutable_utility()->set_high(.262);
  winner.set_probability_best(.9815);
  winner.set_rank_low(1);
  winner.set_rank_high(2);
  winner.set_expected_regret(.0002);
  winner.set_tied(true);
  v1::Comparison& speedup = *answer.mutable_variants(0)->mutable_speedup();
  speedup.set_value(1.59);
  speedup.mutable_interval()->set_low(1.57);
  speedup.mutable_interval()->set_high(1.61);
  v1::Standing& fp16 = *answer.mutable_variants(1)->mutable_standing();
  fp16.set_probability_best(.0185);
  fp16.set_rank_low(1);
  fp16.set_rank_high(2);
  fp16.set_expected_regret(.24);
  v1::WeightSweep& speed = *answer.add_sweeps();
  speed.set_term("speed");
  speed.set_weight(.4);
  v1::SweepSegment& slow = *speed.add_segments();
  slow.set_to(.0312);
  slow.set_winner("fp16");
  v1::SweepSegment& fast = *speed.add_segments();
  fast.set_from(.0312);
  fast.set_to(1);
  fast.set_winner("rtn-w8-channel");
  return answer;
}

TEST(ShowRank, SaysHowSureItIs) {
  EXPECT_EQ(RankText(SureRanking(), kPlain),
            "profile balanced   U = 0.4 S~ - 0.4 Q~ - 0.2 P~   baseline fp16\n"
            "  S~ = log2(T / 33.5 tokens/s)\n"
            "output lengths matched, 8 windows of 512 tokens\n"
            "1  rtn-w8-channel   U +0.24 [+0.23, +0.26]   P(best) 0.98   speed +0.27  quality -0.01  stability -0.02\n"
            "2  fp16             U 0                      P(best) 0.02   speed 0      quality 0      stability 0\n"
            "-  rtn-w4-g64       not feasible: ΔNLL 0.361 > 0.3\n"
            "weight of speed 0.40: below 0.03 fp16 would win\n"
            "warning: the loss is relative to the Q4_1 release\n");
}

TEST(ShowRank, SaysWhatTheWinnerKeepsAndWhoIsBeaten) {
  v1::RankVariantsResponse answer = SureRanking();
  answer.mutable_variants(2)->set_dominated_by("rtn-w8-channel");
  v1::ConstraintCheck& latency = *answer.mutable_variants(0)->add_checks();
  latency.mutable_constraint()->set_figure(v1::LIMITED_FIGURE_LATENCY_P95);
  latency.mutable_constraint()->set_limit(2);
  latency.set_value(1.04);
  v1::ConstraintCheck& memory = *answer.mutable_variants(0)->add_checks();
  memory.mutable_constraint()->set_figure(v1::LIMITED_FIGURE_MEMORY);
  memory.mutable_constraint()->set_limit(8e9);
  memory.set_value(1.5e8);
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("\nnowhere better than another: rtn-w4-g64 by rtn-w8-channel\n"
                                                  "the winner keeps latency_p95 1.040 s of 2.000 s, "
                                                  "memory 150 MB of 8.00 GB\n"));
}

TEST(ShowRank, ShowsTheWinnerOfEveryPart) {
  v1::RankVariantsResponse answer = SureRanking();
  v1::RankedSlice& code = *answer.add_slices();
  code.set_name("code_symbolic");
  code.set_prompts(20);
  code.set_winner("rtn-w8-channel");
  *code.add_variants() = answer.variants(0);
  *code.add_variants() = answer.variants(1);
  code.mutable_variants(1)->mutable_standing()->set_tied(true);
  v1::RankedSlice& none = *answer.add_slices();
  none.set_name("dialogue");
  none.set_prompts(1);
  none.set_reason("not decidable: one run");
  EXPECT_THAT(RankText(answer, kPlain),
              HasSubstr("\npart           prompts  winner                  P(best)  not told apart\n"
                        "code_symbolic       20  rtn-w8-channel             0.98  fp16\n"
                        "dialogue             1  not decidable: one run        -  -\n"
                        "quality, memory and behaviour are those of the whole job\n\nwarning"));
}

TEST(ShowRank, NamesWhoIsNotToldApart) {
  v1::RankVariantsResponse answer = SureRanking();
  answer.mutable_variants(1)->mutable_standing()->set_tied(true);
  answer.mutable_sweeps(0)->mutable_segments()->DeleteSubrange(0, 1);
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("not told apart from the winner: fp16\n"
                                                  "the winner holds for every weight of each term\n"));
}

TEST(ShowRank, SaysWhereAWinnerAmongEqualsLoses) {
  v1::RankVariantsResponse answer = SureRanking();
  v1::WeightSweep& sweep = *answer.mutable_sweeps(0);
  sweep.clear_segments();
  v1::SweepSegment& segment = *sweep.add_segments();
  segment.set_to(1);
  segment.set_winner("rtn-w4-g64");
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr(": at another rtn-w4-g64 would win\n"));
}

// Two digits would show a winner and a loser as equals.
TEST(ShowRank, ShowsNeighboursApart) {
  v1::RankVariantsResponse answer = SampleRanking();
  answer.mutable_variants(0)->set_utility(.2412);
  answer.mutable_variants(1)->set_utility(.2398);
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("U +0.241 "));
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("U +0.240 "));
}

TEST(ShowRank, SaysWhatATokenTakes) {
  v1::RankVariantsResponse answer = SampleRanking();
  EXPECT_THAT(RankText(answer, kPlain), Not(HasSubstr("J/token")));
  answer.mutable_variants(0)->set_energy_per_token(.25);
  answer.mutable_variants(0)->mutable_energy_interval()->set_low(.24);
  answer.mutable_variants(0)->mutable_energy_interval()->set_high(.27);
  answer.mutable_variants(1)->set_energy_per_token(.5);
  EXPECT_THAT(RankText(answer, kPlain),
              HasSubstr("energy in J/token: rtn-w8-channel 0.250 [0.240, 0.270], fp16 0.500\n"));
  EXPECT_THAT(RankCsv(answer), HasSubstr(",0.25,0.24,0.27,,,,,,,,,,,,,\n"));
}

TEST(ShowRank, KeepsItsCsvColumns) {
  EXPECT_EQ(
      RankCsv(SampleRanking()),
      "rank,variant,status,utility,speed,quality,stability,memory,reason,utility_low,utility_high,"
      "probability_best,rank_low,rank_high,expected_regret,tied,speedup,speedup_low,speedup_high,nll_loss,"
      "nll_loss_low,nll_loss_high,dominated_by,energy_per_token,energy_low,energy_high,"
      "capacity_sequences,behaviour,agreement_prompts,self_agreement,self_equal,agreement_with_fp16,equal_with_fp16,"
      "loops,not_finite,behaviour_penalty,noise_floor,speedup_within_noise,utility_noise\n"
      "1,rtn-w8-channel,ranked,0.24,0.268,-0.012,-0.016,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"
      "2,fp16,ranked,0,0,0,0,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"
      ",rtn-w4-g64,not feasible,,,,,,ΔNLL 0.361 > 0.3,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n");
  EXPECT_THAT(RankCsv(SureRanking()),
              HasSubstr("-0.016,,,0.231,0.262,0.9815,1,2,2e-04,true,1.59,1.57,1.61,,,,,,,,,,,,,,,,,,,,\n"));
}

TEST(ShowRank, StealsNoControlOfTheTerminal) {
  v1::RankVariantsResponse answer = SampleRanking();
  answer.add_warnings("\x1b[2Jgone");
  EXPECT_THAT(RankText(answer, kPlain), Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace uaqf::client
