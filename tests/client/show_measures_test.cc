// Measured figures as people and programs read them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/show.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const Terminal kPlain;

TEST(ShowMeasures, IsTheTableOfWhatWasMeasured) {
  EXPECT_EQ(MeasuresText(SampleMeasures(), kPlain),
            "variant         latency s  ±95 %  TTFT ms  tok/s  speedup  stability    ΔPPL  ΔNLL           memory\n"
            "fp16                1.912  0.011     84.0   33.5     1.00     0.42 %       0  0              269 MB\n"
            "rtn-w8-channel      1.204  0.009     85.0   53.2     1.59     0.51 %  +0.060  +0.003 ±0.001  163 MB\n"
            "rtn-w4-g64          0.874  0.012     91.0   73.3     2.19     0.77 %  +8.710  +0.361 ±0.020  117 MB\n"
            "note: loss is relative to the Q4_1 release of this model\n");
}

// Missing is not zero: a job without quality shows no loss, one variant without a figure shows a dash.
TEST(ShowMeasures, ShowsNoFigureThatWasNotMeasured) {
  v1::MeasureVariantsResponse measures = SampleMeasures();
  for (v1::VariantMeasures& m : *measures.mutable_variants()) {
    m.clear_delta_nll();
    m.clear_delta_perplexity();
  }
  measures.mutable_variants(2)->clear_latency_s();
  measures.clear_notes();
  EXPECT_EQ(MeasuresText(measures, kPlain),
            "variant         latency s  ±95 %  TTFT ms  tok/s  speedup  stability  memory\n"
            "fp16                1.912  0.011     84.0   33.5     1.00     0.42 %  269 MB\n"
            "rtn-w8-channel      1.204  0.009     85.0   53.2     1.59     0.51 %  163 MB\n"
            "rtn-w4-g64              -      -     91.0   73.3     2.19     0.77 %  117 MB\n");
}

// A model of milliseconds has spreads that three digits would show as nothing.
TEST(ShowMeasures, ShowsTheDigitsOfASmallSpread) {
  v1::MeasureVariantsResponse measures;
  v1::VariantMeasures* m = measures.add_variants();
  m->set_variant("fp16");
  m->mutable_latency_s()->set_value(.0392794);
  m->mutable_latency_s()->set_half_width(.000152);
  EXPECT_EQ(MeasuresText(measures, kPlain),
            "variant  latency s   ±95 %\n"
            "fp16        0.0393  0.0002\n");
}

// A bound is shown by both sides, never as a point.
TEST(ShowMeasures, ShowsABoundedDivergenceByBothSides) {
  v1::MeasureVariantsResponse measures;
  v1::VariantMeasures& m = *measures.add_variants();
  m.set_variant("rtn-w4");
  m.mutable_divergence()->set_positions(4094);
  m.mutable_divergence()->mutable_kl_lower()->set_value(.0123);
  m.mutable_divergence()->mutable_kl_lower()->set_half_width(.001);
  m.mutable_divergence()->mutable_kl_upper()->set_value(.0151);
  m.mutable_divergence()->set_same_top(.943);
  EXPECT_THAT(MeasuresText(measures, kPlain), HasSubstr("between 0.0123 and 0.0151"));
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr(",,0.943,0,0,4094,,,,,,,0.0123,0.001,0.0151,,,,,,,,,,,,,\n"));
}

// fp16 has no flips against itself; a collapsed variant's divergence is no number.
TEST(ShowMeasures, ShowsTasksWithTheirFlipsAndDivergence) {
  v1::MeasureVariantsResponse measures;
  for (const char* name : {"fp16", "rtn-w8", "rtn-w4"}) {
    v1::VariantMeasures& m = *measures.add_variants();
    m.set_variant(name);
    v1::TaskMeasure& task = *m.add_tasks();
    task.set_metric(v1::TASK_METRIC_NUMERIC_STRICT);
    task.set_items(40);
    task.set_score(.225);
  }
  v1::VariantMeasures& rtn = *measures.mutable_variants(1);
  rtn.mutable_tasks(0)->set_flips_to_right(1);
  rtn.mutable_tasks(0)->set_flips_to_wrong(3);
  rtn.mutable_divergence()->set_positions(4094);
  rtn.mutable_divergence()->mutable_kl()->set_value(.0123);
  rtn.mutable_divergence()->mutable_kl()->set_half_width(.0012);
  rtn.mutable_divergence()->set_same_top(.943);
  measures.mutable_variants(2)->mutable_divergence()->set_positions(4094);
  EXPECT_EQ(MeasuresText(measures, kPlain),
            "variant  KL              same top-1\n"
            "fp16     -                        -\n"
            "rtn-w8   0.0123 ±0.0012      94.3 %\n"
            "rtn-w4   collapsed            0.0 %\n"
            "\n"
            "variant  metric          items   score  wrong to right  right to wrong\n"
            "fp16     numeric strict     40  22.5 %               -               -\n"
            "rtn-w8   numeric strict     40  22.5 %               1               3\n"
            "rtn-w4   numeric strict     40  22.5 %               -               -\n");
  EXPECT_THAT(MeasuresCsv(measures),
              HasSubstr("0.0123,0.0012,0.943,0,0,4094,numeric strict=0.225,,,,,,,,,,,,,,,,,,,,,\n"));
}

TEST(ShowMeasures, SaysWhetherFlipsAreChance) {
  v1::MeasureVariantsResponse measures;
  v1::VariantMeasures& rtn = *measures.add_variants();
  rtn.set_variant("rtn-w4");
  v1::TaskMeasure& task = *rtn.add_tasks();
  task.set_metric(v1::TASK_METRIC_NUMERIC_STRICT);
  task.set_items(40);
  task.set_score(.2);
  task.set_flips_to_right(2);
  task.set_flips_to_wrong(8);
  task.mutable_score_change()->set_value(-.15);
  task.mutable_score_change()->set_half_width(.153);
  task.set_flip_p_value(112 / 1024.);
  EXPECT_THAT(MeasuresText(measures, kPlain),
              HasSubstr("variant  metric          items   score  wrong to right  right to wrong       change  "
                        "p of the flips\n"
                        "rtn-w4   numeric strict     40  20.0 %               2               8  -15.0 ±15.3"
                        "           0.109\n"));
}

TEST(ShowMeasures, NamesTheTwoRecipesApart) {
  v1::MeasureVariantsResponse measures;
  v1::VariantMeasures& fp16 = *measures.add_variants();
  fp16.set_variant("fp16");
  fp16.set_perplexity(19.3);
  fp16.mutable_articles()->set_articles(62);
  fp16.mutable_articles()->set_word_perplexity(30.125);
  fp16.mutable_articles()->set_byte_perplexity(1.9);
  fp16.mutable_articles()->set_bits_per_byte(.926);
  fp16.mutable_articles()->set_delta_word_perplexity(0);
  v1::VariantMeasures& collapsed = *measures.add_variants();
  collapsed.set_variant("rtn-w4");
  collapsed.mutable_articles()->set_articles(62);
  EXPECT_EQ(MeasuresText(measures, kPlain),
            "variant  perplexity   word PPL  Δword PPL  bits/byte\n"
            "fp16         19.300     30.125          0     0.9260\n"
            "rtn-w4            -  collapsed          -          -\n");
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr(",62,30.125,1.9,0.926,0,,,,,,,,,,,,,,,,\n"));
}

TEST(ShowMeasures, ShowsEnergyWhereTheDeviceCountsIt) {
  v1::MeasureVariantsResponse measures = SampleMeasures();
  EXPECT_THAT(MeasuresText(measures, kPlain), Not(HasSubstr("J/token")));
  v1::EnergyMeasure& energy = *measures.mutable_variants(0)->mutable_energy();
  energy.set_chunks(15);
  energy.set_energy_j(1234.5);
  energy.mutable_joules_per_token()->set_value(.5214);
  EXPECT_THAT(MeasuresText(measures, kPlain), HasSubstr("  0.521\n"));
  energy.mutable_joules_per_token()->set_half_width(.0123);
  const std::string text = MeasuresText(measures, kPlain);
  EXPECT_THAT(text, HasSubstr("J/token"));
  EXPECT_THAT(text, HasSubstr("0.521 ±0.012"));
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr(",0.5214,0.0123,15,1234.5,,,,,,,,\n"));
}

TEST(ShowMeasures, KeepsItsCsvColumns) {
  const std::string csv = MeasuresCsv(SampleMeasures());
  EXPECT_THAT(
      csv,
      StartsWith("variant,timing_records,prompts,repeats,latency_s,latency_s_half_width,latency_p50_s,"
                 "latency_p95_s,ttft_s,ttft_s_half_width,tokens_per_s,tokens_per_s_half_width,"
                 "token_weighted_tokens_per_s,inter_token_s,speedup,latency_deviation_s,"
                 "throughput_deviation,relative_stability,run_mean_deviation_s,"
                 "across_prompt_deviation_s,windows,nll,perplexity,delta_perplexity,delta_nll,"
                 "delta_nll_half_width,output_length_change,output_length_change_half_width,"
                 "memory_bytes,weights_bytes,kv_cache_bytes,workspace_bytes,measured_peak_bytes,"
                 "tainted_chunks,quarantined,kl,kl_half_width,same_top,top_agreement,top_k,"
                 "divergence_positions,tasks,articles,word_perplexity,byte_perplexity,bits_per_byte,"
                 "delta_word_perplexity,kl_lower,kl_lower_half_width,kl_upper,kl_upper_half_width,energy_per_token,"
                 "energy_per_token_half_width,energy_chunks,energy_j,agreement_prompts,self_agreement,self_equal,"
                 "agreement_with_fp16,equal_with_fp16,loops,not_finite,behaviour_penalty\n"));
  EXPECT_THAT(csv, HasSubstr("\nrtn-w4-g64,120,40,3,0.874,0.012,,,0.091,,73.3,,,,2.19,,,0.0077,,,0,,,8.71,0.361,0.02,,,"
                             "117000000,,,,,0,0,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"));
}

}  // namespace
}  // namespace uaqf::client
