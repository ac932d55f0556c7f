// Records as rows.
#include "client/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;

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
            "kl_upper_sum,summary_k,summary_bytes,summary_digest,batch,same_tokens,not_finite_tokens,loop\n"
            "jobs/a,fp16,timing,0,0,4,0,math-1,\"math, hard\",,false,100,32,1000000000,0,84000000,0,0,0,01ff,,,,,,,,,,,"
            "abc,,,,,,,,,,\n");
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
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",numeric flexible 0/1,#### 7,abc,,,,,,,,,,\n"));
  stored.set_kind(v1::CHUNK_KIND_DIVERGENCE);
  v1::DivergenceRecord& divergence = *stored.mutable_record()->mutable_divergence();
  divergence.set_positions(100);
  divergence.set_kl_sum(2);
  divergence.set_same_top(95);
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("KL 0.02000 per token, same top-1 95.0 %"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",2,95,0,0,,,abc,,,,0,,,,,,\n"));
  divergence.set_summary_k(4096);
  divergence.set_kl_upper_sum(2.5);
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("KL between 0.02000 and 0.02500 per token, same top-1 95.0 %"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",2,95,0,0,,,abc,,,2.5,4096,,,,,,\n"));
  stored.set_kind(v1::CHUNK_KIND_SUMMARY);
  v1::SummaryRecord& summary = *stored.mutable_record()->mutable_summary();
  summary.set_positions(100);
  summary.set_summary_k(4096);
  summary.set_bytes(1500000);
  summary.set_digest("d1");
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("k 4096, 1.50 MB"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",summary,"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",4096,1500000,d1,,,,\n"));
  stored.set_kind(v1::CHUNK_KIND_ARTICLE);
  v1::ArticleRecord& article = *stored.mutable_record()->mutable_article();
  article.set_scored_tokens(150);
  article.set_nll_sum(300);
  article.set_words(100);
  article.set_bytes(520);
  EXPECT_THAT(RecordTableLine(stored, 10), HasSubstr("NLL 3.0000 per word, 100 words"));
  EXPECT_THAT(RecordCsvLine(stored), HasSubstr(",150,300,,,,,,,,abc,100,520,,,,,,,,\n"));
}

}  // namespace
}  // namespace uaqf::client
