// Outputs that are generated again, as people and programs read them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/records.h"
#include "client/show.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void Fill(int prompts, double tokens, double equal, v1::Agreement* agreement) {
  agreement->set_prompts(prompts);
  agreement->mutable_tokens()->set_value(tokens);
  agreement->mutable_tokens()->set_half_width(0.021);
  agreement->set_equal(equal);
  agreement->mutable_equal_interval()->set_low(equal - 0.1);
  agreement->mutable_equal_interval()->set_high(equal);
}

v1::BehaviourMeasure Behaviour() {
  v1::BehaviourMeasure behaviour;
  behaviour.set_prompts(16);
  v1::SelfAgreement& again = *behaviour.add_self();
  again.set_batch(1);
  Fill(16, 1, 1, again.mutable_agreement());
  v1::SelfAgreement& batch = *behaviour.add_self();
  batch.set_batch(8);
  Fill(16, 0.95, 0.875, batch.mutable_agreement());
  batch.set_kernel(0.02);
  batch.mutable_quantization()->set_value(0.03);
  batch.mutable_quantization()->set_half_width(0.01);
  Fill(16, 0.5, 0.25, behaviour.mutable_with_fp16());
  behaviour.set_penalty(0.025);
  return behaviour;
}

TEST(ShowBehaviour, HasARowForEachRunAndOneForFp16) {
  const v1::BehaviourMeasure behaviour = Behaviour();
  const std::string text = BehaviourText({{"rtn-w4", &behaviour}}, Terminal());
  EXPECT_EQ(text,
            "variant  outputs alone against  prompts  tokens alike          equal outputs  of what differs\n"
            "rtn-w4   alone again                 16  100.0 ±2.1 %  100.0 % [90.0, 100.0]  -\n"
            "rtn-w4   batch of 8                  16   95.0 ±2.1 %    87.5 % [77.5, 87.5]  2.0 % kernel, 3.0 ±1.0 % "
            "quantization\n"
            "rtn-w4   fp16's                      16   50.0 ±2.1 %    25.0 % [15.0, 25.0]  -\n"
            "no output is a loop, and all logits are finite\n");
}

TEST(ShowBehaviour, SaysWhatIsNotSaneAndWhatIsMissing) {
  v1::BehaviourMeasure behaviour = Behaviour();
  behaviour.set_loops(0.125);
  behaviour.mutable_loops_interval()->set_low(0.03);
  behaviour.mutable_loops_interval()->set_high(0.36);
  behaviour.set_not_finite(1);
  behaviour.set_problem("no batches: its cache is quantized");
  const std::string text = BehaviourText({{"atom", &behaviour}}, Terminal());
  EXPECT_THAT(text, HasSubstr("atom: loops 12.5 % [3.0, 36.0]; atom: logits not finite 100.0 %"));
  EXPECT_THAT(text, HasSubstr("\natom: no batches: its cache is quantized\n"));
}

TEST(ShowBehaviour, IsNothingWhereNothingWasMeasured) {
  const v1::BehaviourMeasure none;
  EXPECT_THAT(BehaviourText({{"fp16", &none}}, Terminal()), IsEmpty());
  v1::MeasureVariantsResponse measures;
  measures.add_variants()->set_variant("fp16");
  EXPECT_THAT(MeasuresText(measures, Terminal()), Not(HasSubstr("alike")));
}

TEST(ShowBehaviour, StandsInTheTablesOfAJobAndOfARanking) {
  v1::MeasureVariantsResponse measures;
  measures.add_variants()->set_variant("rtn-w4");
  *measures.mutable_variants(0)->mutable_behaviour() = Behaviour();
  EXPECT_THAT(MeasuresText(measures, Terminal()), HasSubstr("batch of 8"));
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr("agreement_prompts,self_agreement,self_equal,agreement_with_fp16"));
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr("16,1=1;8=0.95,1=1;8=0.875,0.5,0.25,0,0,0.025"));
  v1::RankVariantsResponse ranking;
  v1::RankedVariant& variant = *ranking.add_variants();
  variant.set_variant("rtn-w4");
  *variant.mutable_behaviour() = Behaviour();
  v1::Term& term = *variant.add_terms();
  term.set_name("behaviour");
  term.set_contribution(-0.1);
  EXPECT_THAT(RankText(ranking, Terminal()),
              HasSubstr("tokens that come again, in the worst run: rtn-w4 95.0 % (batch of 8)\n"));
  variant.mutable_behaviour()->set_loops(0.25);
  EXPECT_THAT(RankText(ranking, Terminal()), HasSubstr("(batch of 8), loops 25.0 %\n"));
  EXPECT_THAT(RankCsv(ranking), HasSubstr("-0.1,16,1=1;8=0.95,1=1;8=0.875,0.5,0.25,0.25,0,0.025"));
}

TEST(ShowBehaviour, ComparesOutputsOfTwoJobs) {
  v1::CompareJobsResponse answer;
  answer.set_job("jobs/a");
  answer.set_other_job("jobs/b");
  answer.add_variants()->set_variant("fp16");
  Fill(16, 0.95, 0.875, answer.mutable_variants(0)->mutable_outputs());
  answer.add_notes("rtn-w4 is left out");
  EXPECT_EQ(CompareOutputsText(answer, Terminal()),
            "outputs of jobs/b against those of jobs/a, for the same prompts\n"
            "variant  prompts  tokens alike        equal outputs\n"
            "fp16          16   95.0 ±2.1 %  87.5 % [77.5, 87.5]\n"
            "note: rtn-w4 is left out\n");
  EXPECT_THAT(CompareOutputsCsv(answer), HasSubstr("\nfp16,16,0.95,0.021,0.875,"));
}

TEST(ShowBehaviour, NamesWhatARecordHas) {
  v1::StoredRecord stored;
  stored.set_variant("rtn-w4");
  stored.set_kind(v1::CHUNK_KIND_AGREEMENT);
  v1::AgreementRecord& agreement = *stored.mutable_record()->mutable_agreement();
  agreement.set_input_tokens(10);
  for (int token = 0; token < 64; ++token) agreement.add_output_ids(token);
  for (const auto& [batch, same] : {std::pair(1, 64), std::pair(8, 61)}) {
    v1::RepeatedOutput& repeat = *agreement.add_repeats();
    repeat.set_batch(batch);
    repeat.set_same_tokens(same);
  }
  agreement.set_loop(true);
  EXPECT_THAT(RecordTableLine(stored, 8), HasSubstr("the same: alone again 64, batch 8 61; a loop"));
  EXPECT_THAT(RecordTableLine(stored, 8), HasSubstr("agreement"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",1=64;8=61,0,true"));
}

}  // namespace
}  // namespace uaqf::client
