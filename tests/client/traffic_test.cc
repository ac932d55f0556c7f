// Traffic as people type it, and as they read it.
#include <gmock/gmock.h>

#include "client/show.h"
#include "client/traffic_flags.h"

namespace uaqf::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseGrid, TakesListsAndDraws) {
  const auto grid = ParseGrid("batch=1,8,32:input=128,512:output=64:draws=5");
  ASSERT_TRUE(grid.ok()) << grid.status();
  EXPECT_THAT(grid->batches(), ElementsAre(1, 8, 32));
  EXPECT_THAT(grid->input_tokens(), ElementsAre(128, 512));
  EXPECT_THAT(grid->output_tokens(), ElementsAre(64));
  EXPECT_EQ(grid->draws(), 5);
  EXPECT_EQ(ParseGrid("output=1:batch=1:input=1")->draws(), 0) << "the coordinator's default";
}

TEST(ParseGrid, SaysWhatItExpected) {
  for (const auto& [text, part] :
       {std::pair("batch=1:input=128", "got no output="), std::pair("", "got \"\""),
        std::pair("batch=1:input=1:output=1:batch=2", "got batch twice"),
        std::pair("batch=one:input=1:output=1", "\"one\""), std::pair("batch=0:input=1:output=1", "1 or more"),
        std::pair("batch=1:input=1:output=1:share=1", "share=1"),
        std::pair("batch=1:input=1:output=1:draws=2,3", "several numbers behind draws=")}) {
    const auto grid = ParseGrid(text);
    EXPECT_THAT(std::string(grid.status().message()), HasSubstr(part)) << text;
    EXPECT_THAT(std::string(grid.status().message()), HasSubstr("--grid batch=1,8,32:input=128,512:output=64"));
  }
}

TEST(ParseTraffic, TakesAShareThatIsAllWhereNothingIsSaid) {
  const auto one = ParseTraffic({"batch=8:input=512:output=64"});
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ((*one)[0].share(), 1);
  const auto mix = ParseTraffic({"batch=8:input=512:output=64:share=0.7", "share=.3:batch=1:input=128:output=32"});
  ASSERT_TRUE(mix.ok()) << mix.status();
  EXPECT_EQ((*mix)[1].shape().input_tokens(), 128);
  v1::Profile profile;
  profile.mutable_traffic()->Assign(mix->begin(), mix->end());
  EXPECT_EQ(MixText(profile), "70 % 8 x 512/64, 30 % 1 x 128/32");
  for (const auto& [text, part] :
       {std::pair("batch=8,9:input=512:output=64", "several numbers"), std::pair("batch=8:input=512", "got no output="),
        std::pair("batch=8:input=5:output=6:share=-1", "share=-1"),
        std::pair("batch=8:input=5:output=6:draws=1", "draws")}) {
    EXPECT_THAT(std::string(ParseTraffic({text}).status().message()), HasSubstr(part)) << text;
  }
}

void AddFigure(const std::string& name, double tokens_per_s, double speedup, double spread, v1::Bound bound,
               v1::TrafficCellFigures* cell) {
  v1::TrafficFigure& figure = *cell->add_variants();
  figure.set_variant(name);
  figure.set_tokens_per_s(tokens_per_s);
  figure.mutable_decode()->set_time_share(0.8);
  figure.mutable_decode()->set_bound(bound);
  figure.mutable_prefill()->set_time_share(0.2);
  figure.mutable_prefill()->set_bound(v1::BOUND_COMPUTE);
  if (speedup == 0) return;
  figure.set_speedup(speedup);
  figure.mutable_interval()->set_low(speedup - spread);
  figure.mutable_interval()->set_high(speedup + spread);
}

v1::RankVariantsResponse Answer() {
  v1::RankVariantsResponse answer;
  v1::TrafficMap& map = *answer.mutable_traffic();
  map.set_draws(8);
  for (const int batch : {1, 32}) {
    v1::TrafficCellFigures& cell = *map.add_cells();
    cell.mutable_shape()->set_batch(batch);
    cell.mutable_shape()->set_input_tokens(512);
    cell.mutable_shape()->set_output_tokens(64);
    AddFigure("fp16", 100 * batch, 0, 0, batch == 1 ? v1::BOUND_MEMORY : v1::BOUND_COMPUTE, &cell);
    AddFigure("rtn-w4", 200 * batch, batch == 1 ? 2 : 0.99, 0.02, v1::BOUND_NEITHER, &cell);
  }
  v1::Crossover& crossover = *map.add_crossovers();
  crossover.set_variant("rtn-w4");
  crossover.set_input_tokens(512);
  crossover.set_output_tokens(64);
  crossover.set_batch(20.4);
  crossover.set_probability(0.9);
  crossover.mutable_interval()->set_low(18);
  crossover.mutable_interval()->set_high(30.25);
  return answer;
}

TEST(TrafficText, HasARowForEachVariantAColumnForEachBatchAndTheCrossings) {
  EXPECT_EQ(TrafficText(Answer(), Terminal()),
            "\ntraffic: tokens/s by fp16's, over 8 draws; ~ not told apart from 1; mem, cmp: held back by memory, by "
            "compute; -: by neither\n"
            "512 in, 64 out          batch 1        batch 32\n"
            "fp16             100 tok/s mem  3200 tok/s cmp\n"
            "rtn-w4                  2.00 -         ~0.99 -\n"
            "rtn-w4 falls behind fp16 above batch 20.4 [18.0, 30.2] with 512 in, 64 out (in 90 of 100 resamples)\n\n");
  EXPECT_EQ(TrafficText({}, Terminal()), "");
}

TEST(CapacityText, SaysHowManySequencesFitOrWhyThatIsNotKnown) {
  v1::RankVariantsResponse answer;
  EXPECT_EQ(CapacityText(answer), "");
  for (const char* name : {"fp16", "rtn-w4"}) {
    v1::RankedVariant& variant = *answer.add_variants();
    variant.set_variant(name);
    variant.mutable_capacity()->set_context_tokens(4096);
    variant.mutable_capacity()->set_reason("the device's memory is not known");
  }
  EXPECT_EQ(CapacityText(answer),
            "sequences of 4096 tokens that the device holds: not known, the device's memory is not known\n");
  answer.mutable_variants(0)->mutable_capacity()->set_sequences(31);
  answer.mutable_variants(1)->mutable_capacity()->set_sequences(58);
  EXPECT_EQ(CapacityText(answer), "sequences of 4096 tokens that the device holds: fp16 31, rtn-w4 58\n");
}

}  // namespace
}  // namespace uaqf::client
