// Jobs as people and programs read them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/show.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;

const Terminal kPlain;

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

}  // namespace
}  // namespace uaqf::client
