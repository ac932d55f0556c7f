#include "client/show.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/failure.h"
#include "client/json.h"
#include "client/records.h"
#include "proto/wire/status.h"
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
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr(",,0.943,0,0,4094,,,,,,,0.0123,0.001,0.0151,,,,,\n"));
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
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr("0.0123,0.0012,0.943,0,0,4094,numeric strict=0.225,,,,,,,,,,,,,\n"));
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
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr(",62,30.125,1.9,0.926,0,,,,,,,,\n"));
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
  EXPECT_THAT(MeasuresCsv(measures), HasSubstr(",0.5214,0.0123,15,1234.5\n"));
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
                 "energy_per_token_half_width,energy_chunks,energy_j\n"));
  EXPECT_THAT(csv, HasSubstr("\nrtn-w4-g64,120,40,3,0.874,0.012,,,0.091,,73.3,,,,2.19,,,0.0077,,,0,,,8.71,0.361,0.02,,,"
                             "117000000,,,,,0,0,,,,,,,,,,,,,,,,,,,,\n"));
}

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
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("\nbeaten in every term: rtn-w4-g64 by rtn-w8-channel\n"
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
                        "quality and memory are those of the whole job\n\nwarning"));
}

TEST(ShowRank, NamesWhoIsNotToldApart) {
  v1::RankVariantsResponse answer = SureRanking();
  answer.mutable_variants(1)->mutable_standing()->set_tied(true);
  answer.mutable_sweeps(0)->mutable_segments()->DeleteSubrange(0, 1);
  EXPECT_THAT(RankText(answer, kPlain), HasSubstr("not told apart from the winner: fp16\n"
                                                  "the winner holds for every weight of each term\n"));
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
  EXPECT_THAT(RankCsv(answer), HasSubstr(",0.25,0.24,0.27\n"));
}

TEST(ShowRank, KeepsItsCsvColumns) {
  EXPECT_EQ(RankCsv(SampleRanking()),
            "rank,variant,status,utility,speed,quality,stability,memory,reason,utility_low,utility_high,"
            "probability_best,rank_low,rank_high,expected_regret,tied,speedup,speedup_low,speedup_high,nll_loss,"
            "nll_loss_low,nll_loss_high,dominated_by,energy_per_token,energy_low,energy_high\n"
            "1,rtn-w8-channel,ranked,0.24,0.268,-0.012,-0.016,,,,,,,,,,,,,,,,,,,\n"
            "2,fp16,ranked,0,0,0,0,,,,,,,,,,,,,,,,,,,\n"
            ",rtn-w4-g64,not feasible,,,,,,ΔNLL 0.361 > 0.3,,,,,,,,,,,,,,,,,\n");
  EXPECT_THAT(RankCsv(SureRanking()), HasSubstr("-0.016,,,0.231,0.262,0.9815,1,2,2e-04,true,1.59,1.57,1.61,,,,,,,\n"));
}

TEST(ShowRank, StealsNoControlOfTheTerminal) {
  v1::RankVariantsResponse answer = SampleRanking();
  answer.add_warnings("\x1b[2Jgone");
  EXPECT_THAT(RankText(answer, kPlain), Not(HasSubstr("\x1b")));
}

// What programs read: the proto's names, zeros written out, what is absent left out.
TEST(Json, WritesProtoNamesZerosAndNoAbsentFields) {
  const std::string json = ToJson(SampleRanking());
  EXPECT_THAT(json, HasSubstr("\"other_normalization_winner\": \"\""));
  EXPECT_THAT(json, HasSubstr("\"utility\": 0.24"));
  EXPECT_THAT(json, HasSubstr("\"utility\": 0\n"));
  EXPECT_THAT(json, HasSubstr("\"records_used\": \"384\""));
  v1::VariantMeasures unmeasured;
  EXPECT_THAT(ToJson(unmeasured), Not(HasSubstr("latency_s")));
  EXPECT_THAT(ToJson(unmeasured), Not(HasSubstr("speedup"))) << "an absent optional is not 0";
  EXPECT_THAT(ToJson(unmeasured), HasSubstr("\"repeats\": 0"));
  v1::Record empty;
  EXPECT_THAT(ToJson(empty), Not(HasSubstr("failure"))) << "a oneof that is not set is not an empty string";
}

TEST(Json, IsOneLineInAStream) {
  const std::string line = ToJson(SampleJob("jobs/a", 3), /*compact=*/true);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(ShowJob, SaysWhatWasAskedAndWhereItIs) {
  v1::Job job = SampleJob("jobs/k7f2m9", 223);
  job.mutable_progress()->set_chunks_rerun(2);
  job.mutable_progress()->mutable_variants(2)->set_error("out of memory");
  job.set_parameters(134'515'008);
  EXPECT_EQ(JobText(job, kPlain),
            "job       jobs/k7f2m9   running   223/360 records   2 chunks re-run\n"
            "model     smollm2-135m-instruct (135 M parameters)\n"
            "variants  fp16, rtn-w8-channel, rtn-w4-g64\n"
            "prompts   aaaaaaaaaaaa\n"
            "timing    3 repeats, at most 512 tokens out, output length matched\n"
            "quality   not measured\n"
            "failed    rtn-w4-g64: out of memory\n");
}

TEST(ShowJob, SaysWhereAnImportedOneCameFrom) {
  v1::Job job;
  job.set_name("jobs/k7f2m9");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_imported()->set_title("Table 7");
  job.mutable_imported()->set_baseline_label("FP16 (Baseline)");
  job.mutable_spec()->add_variants("fp16");
  job.mutable_spec()->add_variants("RTN 8-bit");
  EXPECT_EQ(JobText(job, kPlain),
            "job       jobs/k7f2m9   imported\n"
            "table     Table 7\n"
            "variants  fp16, RTN 8-bit\n"
            "baseline  fp16 is the row FP16 (Baseline)\n");
  v1::ListJobsResponse jobs;
  *jobs.add_jobs() = job;
  EXPECT_THAT(JobsTable(jobs, absl::Now()).Text(kPlain), HasSubstr("imported: Table 7"));
}

TEST(ShowJobs, ListsThemWithTheirAge) {
  v1::ListJobsResponse jobs;
  *jobs.add_jobs() = SampleJob("jobs/k7f2m9", 223);
  EXPECT_EQ(JobsTable(jobs, absl::FromUnixSeconds(1'700'000'000 + 720)).Text(kPlain),
            "job          state    model                  variants                        records     age\n"
            "jobs/k7f2m9  running  smollm2-135m-instruct  fp16,rtn-w8-channel,rtn-w4-g64  223/360  12 min\n");
  EXPECT_EQ(
      JobsCsv(jobs).Csv(),
      "name,state,model,variants,prompt_set,records_done,records_total,records_quarantined,create_time,start_time,"
      "end_time,error,imported\n"
      "jobs/k7f2m9,running,smollm2-135m-instruct,fp16 rtn-w8-channel rtn-w4-g64,promptSets/" +
          std::string(64, 'a') + ",223,360,0,2023-11-14T22:13:20.000Z,2023-11-14T22:13:20.000Z,,,\n");
}

v1::StoredRecord Timing() {
  v1::StoredRecord stored;
  stored.set_job("jobs/a");
  stored.set_variant("fp16");
  stored.set_kind(v1::CHUNK_KIND_TIMING);
  stored.set_prompt_id("math-1");
  stored.set_category("math, hard");
  stored.mutable_record()->set_item(4);
  v1::TimingRecord* timing = stored.mutable_record()->mutable_timing();
  timing->set_input_tokens(100);
  timing->set_output_tokens(32);
  timing->set_latency_ns(1'000'000'000);
  timing->set_prefill_ns(84'000'000);
  timing->set_output_digest("\x01\xff");
  stored.set_variant_digest("abc");
  return stored;
}

TEST(Records, AreRowsOfFixedColumns) {
  EXPECT_EQ(RecordTableHeader(10) + RecordTableLine(Timing(), 10),
            "variant     kind         item  prompt             repeat     in    out  latency ms   TTFT ms    tok/s  "
            "note\n"
            "fp16        timing          4  math-1                  0    100     32     1000.00     84.00     32.0\n");
}

TEST(Records, KeepTheirCsvColumns) {
  EXPECT_EQ(RecordCsvHeader() + RecordCsvLine(Timing()),
            "job,variant,kind,chunk,epoch,item,repeat,prompt_id,category,worker,tainted,input_tokens,output_tokens,"
            "latency_ns,tokenize_ns,prefill_ns,decode_ns,detokenize_ns,start_offset_ns,output_digest,stopped,"
            "scored_tokens,nll_sum,failure,kl_sum,same_top,top_k,shared_top,checks,answer,variant_digest,words,bytes,"
            "kl_upper_sum,summary_k,summary_bytes,summary_digest\n"
            "jobs/a,fp16,timing,0,0,4,0,math-1,\"math, hard\",,false,100,32,1000000000,0,84000000,0,0,0,01ff,,,,,,,,,,,"
            "abc,,,,,,\n");
}

TEST(Records, OfTasksAndDivergenceSayWhatWasFound) {
  v1::StoredRecord stored = Timing();
  stored.set_kind(v1::CHUNK_KIND_TASK);
  v1::TaskRecord& task = *stored.mutable_record()->mutable_task();
  task.set_input_tokens(100);
  task.set_output_tokens(12);
  task.set_answer("#### 7");
  task.add_checks()->set_metric(v1::TASK_METRIC_NUMERIC_FLEXIBLE);
  task.mutable_checks(0)->set_made(1);
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("numeric flexible 0/1"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",numeric flexible 0/1,#### 7,abc,,,,,,\n"));
  stored.set_kind(v1::CHUNK_KIND_DIVERGENCE);
  v1::DivergenceRecord& divergence = *stored.mutable_record()->mutable_divergence();
  divergence.set_positions(100);
  divergence.set_kl_sum(2);
  divergence.set_same_top(95);
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("KL 0.02000 per token, same top-1 95.0 %"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",2,95,0,0,,,abc,,,,0,,\n"));
  divergence.set_summary_k(4096);
  divergence.set_kl_upper_sum(2.5);
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("KL between 0.02000 and 0.02500 per token, same top-1 95.0 %"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",2,95,0,0,,,abc,,,2.5,4096,,\n"));
  stored.set_kind(v1::CHUNK_KIND_SUMMARY);
  v1::SummaryRecord& summary = *stored.mutable_record()->mutable_summary();
  summary.set_positions(100);
  summary.set_summary_k(4096);
  summary.set_bytes(1500000);
  summary.set_digest("d1");
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("k 4096, 1.50 MB"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",summary,"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",4096,1500000,d1\n"));
  stored.set_kind(v1::CHUNK_KIND_ARTICLE);
  v1::ArticleRecord& article = *stored.mutable_record()->mutable_article();
  article.set_scored_tokens(150);
  article.set_nll_sum(300);
  article.set_words(100);
  article.set_bytes(520);
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("NLL 3.0000 per word, 100 words"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",150,300,,,,,,,,abc,100,520,,,,\n"));
}

TEST(Failures, HaveTheExitCodesThatScriptsKnow) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 3);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 3);
  EXPECT_EQ(ExitCodeOf(wire::Error(absl::StatusCode::kFailedPrecondition, "NOT_DECIDABLE", "")), 4);
}

TEST(Failures, AreToldWithWhatToDoBelow) {
  EXPECT_EQ(ErrorText(absl::NotFoundError("no jobs/x\nsee: uaqf jobs list"), kPlain),
            "error: no jobs/x\n  see: uaqf jobs list\n");
  EXPECT_EQ(ErrorText(wire::Error(absl::StatusCode::kFailedPrecondition, "NOT_DECIDABLE", "no quality"), kPlain),
            "error: not decidable: no quality\n");
  EXPECT_EQ(ErrorText(wire::WithRetryDelay(absl::ResourceExhaustedError("full"), absl::Seconds(5)), kPlain),
            "error: full\n  try again in 5s\n");
}

}  // namespace
}  // namespace uaqf::client
