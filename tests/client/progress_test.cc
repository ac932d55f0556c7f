#include "client/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/utf8.h"
#include "tests/client/fake_coordinator.h"

namespace uaqf::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

v1::Job Running(int done) {
  v1::Job job = SampleJob("jobs/k7f2m9", done);
  job.mutable_progress()->set_records_per_s(4.1);
  job.mutable_progress()->mutable_remaining()->set_seconds(33);
  job.mutable_progress()->set_current("rtn-w4-g64 repeat 2");
  return job;
}

TEST(BarLine, SaysHowFarHowFastAndHowLong) {
  v1::Job job = Running(223);
  job.mutable_progress()->set_chunks_rerun(2);
  EXPECT_EQ(BarLine(job, 160),
            "measure   ██████████████████▌              61 %   223/360   4.1/s   0:33 left   rtn-w4-g64 repeat 2   2 "
            "chunks re-run");
}

TEST(BarLine, NeverTakesMoreThanItsLine) {
  for (const int width : {10, 40, 79, 90, 120}) EXPECT_LE(DisplayWidth(BarLine(Running(223), width)), width) << width;
}

TEST(BarLine, IsFullOnlyAtTheEnd) {
  EXPECT_THAT(BarLine(Running(359), 140), HasSubstr(" 99 %"));
  EXPECT_THAT(BarLine(Running(360), 140), HasSubstr("100 %"));
}

TEST(BarLine, SaysWhatAWaitingJobWaitsFor) {
  v1::Job job = SampleJob("jobs/a", 0);
  job.set_state(v1::JOB_STATE_QUEUED);
  EXPECT_THAT(BarLine(job, 140), HasSubstr("waiting for a worker"));
  job.mutable_progress()->mutable_variants(1)->set_state(v1::VARIANT_STATE_LOADING);
  EXPECT_THAT(BarLine(job, 140), HasSubstr("loading rtn-w8-channel"));
}

TEST(EventLines, ComeWithStatesAndTenths) {
  const v1::Job at_30 = Running(110);
  const v1::Job at_31 = Running(112);
  const v1::Job at_40 = Running(144);
  EXPECT_THAT(EventLines(nullptr, at_30),
              ElementsAre("measure    30 %  110/360  4.1/s  0:33 left  rtn-w4-g64 repeat 2"));
  EXPECT_THAT(EventLines(&at_30, at_31), IsEmpty());
  EXPECT_THAT(EventLines(&at_31, at_40),
              ElementsAre("measure    40 %  144/360  4.1/s  0:33 left  rtn-w4-g64 repeat 2"));
}

TEST(EventLines, TellOfVariantsThatEnd) {
  const v1::Job before = Running(110);
  v1::Job after = before;
  after.mutable_progress()->mutable_variants(0)->set_state(v1::VARIANT_STATE_DONE);
  after.mutable_progress()->mutable_variants(2)->set_state(v1::VARIANT_STATE_FAILED);
  after.mutable_progress()->mutable_variants(2)->set_error("out of memory");
  EXPECT_THAT(EventLines(&before, after),
              ElementsAre("variant   fp16 done", "variant   rtn-w4-g64 failed: out of memory"));
  EXPECT_THAT(EventLines(&after, after), IsEmpty());
}

TEST(EventLines, TellHowFarACalibrationIs) {
  v1::Job before = Running(110);
  v1::Job after = before;
  const auto at = [&](v1::Job& job, int layer) {
    auto& calibration = *job.mutable_progress()->mutable_variants(2)->mutable_calibration();
    calibration.set_layers_done(layer);
    calibration.set_layers_total(30);
  };
  at(after, 0);
  EXPECT_THAT(EventLines(&before, after), ElementsAre("calibrate rtn-w4-g64, layer 1 of 30"));
  at(before, 3);
  at(after, 5);
  EXPECT_THAT(EventLines(&before, after), IsEmpty()) << "the same tenth";
  at(after, 6);
  EXPECT_THAT(EventLines(&before, after), ElementsAre("calibrate rtn-w4-g64, layer 7 of 30"));
  at(after, 30);
  EXPECT_THAT(EventLines(&before, after), IsEmpty()) << "what follows will say so";
}

TEST(EventLines, SayNothingOfAJobThatHadEnded) {
  v1::Job job = Running(360);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_progress()->mutable_variants(0)->set_state(v1::VARIANT_STATE_DONE);
  EXPECT_THAT(EventLines(nullptr, job), IsEmpty());
}

TEST(EndLine, SumsUp) {
  v1::Job job = Running(358);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_end_time()->set_seconds(job.start_time().seconds() + 92);
  job.mutable_progress()->set_records_quarantined(2);
  EXPECT_EQ(EndLine(job), "done      jobs/k7f2m9: 358 records of 360 in 1:32, 2 records quarantined");
  job.set_state(v1::JOB_STATE_FAILED);
  job.set_error("no variant could be hosted");
  EXPECT_THAT(EndLine(job), HasSubstr("failed    jobs/k7f2m9"));
  EXPECT_THAT(EndLine(job), HasSubstr("no variant could be hosted"));
}

TEST(ProgressDisplay, RewritesOneLineOnATerminal) {
  std::ostringstream out;
  Terminal terminal;
  terminal.stream = &out;
  terminal.interactive = true;
  terminal.width = 120;
  {
    ProgressDisplay display(terminal);
    display.Show(Running(10));
    EXPECT_THAT(out.str(), Not(HasSubstr("\n")));
    display.Say("waiting   the coordinator is away");
    EXPECT_THAT(out.str(), HasSubstr("\r\033[Kwaiting   the coordinator is away\n"));
    v1::Job ended = Running(360);
    ended.set_state(v1::JOB_STATE_SUCCEEDED);
    display.Show(ended);
  }
  EXPECT_THAT(out.str(), Not(HasSubstr("100 %"))) << "the end has a line of its own";
}

TEST(ProgressDisplay, WritesPlainLinesElsewhere) {
  std::ostringstream out;
  Terminal pipe;
  pipe.stream = &out;
  ProgressDisplay display(pipe);
  display.Show(Running(10));
  display.Show(Running(11));
  display.Show(Running(40));
  EXPECT_EQ(out.str(),
            "measure     2 %  10/360  4.1/s  0:33 left  rtn-w4-g64 repeat 2\n"
            "measure    11 %  40/360  4.1/s  0:33 left  rtn-w4-g64 repeat 2\n");
}

}  // namespace
}  // namespace uaqf::client
