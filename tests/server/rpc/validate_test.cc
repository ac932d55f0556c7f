#include "server/rpc/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>

#include "proto/wire/status.h"

namespace uaqf::rpc {
namespace {

v1::CreateJobRequest Job() {
  v1::CreateJobRequest request;
  request.set_request_id("r");
  request.mutable_spec()->set_model("m");
  request.mutable_spec()->add_variants("fp16");
  request.mutable_spec()->add_variants("rtn-w4");
  request.mutable_spec()->set_prompt_set("promptSets/" + std::string(64, 'a'));
  *request.mutable_spec() = WithDefaults(request.spec());
  return request;
}

TEST(ValidateJob, AcceptsTheDefaults) {
  const v1::CreateJobRequest request = Job();
  EXPECT_TRUE(Validate(request).ok()) << Validate(request);
  EXPECT_EQ(request.spec().timing().repeats(), 3);
  EXPECT_EQ(request.spec().timing().output_length(), v1::OUTPUT_LENGTH_MATCHED);
  EXPECT_TRUE(request.spec().timing().clear_cache());
  EXPECT_EQ(request.spec().lease_duration().seconds(), 30);
}

TEST(ValidateJob, KeepsAZeroThatWasMeant) {
  v1::JobSpec spec;
  spec.mutable_timing()->set_warmup_generations(0);
  spec.mutable_timing()->set_clear_cache(false);
  const v1::JobSpec filled = WithDefaults(spec);
  EXPECT_EQ(filled.timing().warmup_generations(), 0);
  EXPECT_FALSE(filled.timing().clear_cache());
}

v1::Prompt Scored() {
  v1::Prompt prompt;
  prompt.set_id("p");
  prompt.set_text("t");
  prompt.mutable_task()->set_max_output_tokens(8);
  return prompt;
}

absl::Status Validated(const v1::Prompt& prompt) { return Validate(prompt, v1::PROMPT_SET_KIND_PROMPTS); }

TEST(ValidateTask, AcceptsOneOfEachKind) {
  v1::Prompt prompt = Scored();
  prompt.set_group(v1::PROMPT_GROUP_OTHER);
  prompt.mutable_task()->mutable_numeric()->set_value("18");
  EXPECT_TRUE(Validated(prompt).ok()) << Validated(prompt);
  prompt.mutable_task()->mutable_short_answer()->add_answers("Ann");
  EXPECT_TRUE(Validated(prompt).ok()) << Validated(prompt);
  prompt.mutable_task()->mutable_instructions()->add_instructions()->set_id("punctuation:no_comma");
  EXPECT_TRUE(Validated(prompt).ok()) << Validated(prompt);
  prompt.mutable_task()->mutable_open()->set_instruction("Sing.");
  EXPECT_TRUE(Validated(prompt).ok()) << Validated(prompt);
  v1::ChoiceAnswer& choice = *prompt.mutable_task()->mutable_choice();
  for (const char* label : {"A", "B"}) {
    v1::Choice& one = *choice.add_choices();
    one.set_label(label);
    one.set_text("x");
  }
  choice.set_label("B");
  prompt.mutable_task()->set_max_output_tokens(0);
  EXPECT_TRUE(Validated(prompt).ok()) << Validated(prompt);
  choice.set_label("C");
  EXPECT_EQ(wire::Reason(Validated(prompt)), "INVALID_TASK");
}

TEST(ValidateTask, RefusesWhatCannotBeScored) {
  const std::function<void(v1::Task&)> spoils[] = {
      [](auto&) {},
      [](auto& t) { t.mutable_numeric(); },
      [](auto& t) { t.mutable_choice()->add_choices()->set_label("A"); },
      [](auto& t) { t.mutable_short_answer(); },
      [](auto& t) { t.mutable_short_answer()->add_answers(""); },
      [](auto& t) { t.mutable_instructions(); },
      [](auto& t) { t.mutable_instructions()->add_instructions(); },
      [](auto& t) { t.mutable_open(); },
      [](auto& t) {
        t.mutable_numeric()->set_value("1");
        t.set_max_output_tokens(0);
      },
      [](auto& t) {
        t.mutable_numeric()->set_value("1");
        t.add_stop("");
      },
  };
  int number = 0;
  for (const auto& spoil : spoils) {
    v1::Prompt prompt = Scored();
    spoil(*prompt.mutable_task());
    EXPECT_EQ(wire::Reason(Validated(prompt)), "INVALID_TASK") << "case " << number;
    ++number;
  }
}

TEST(ValidateJob, RefusesEveryFieldOutsideItsRange) {
  struct Case {
    const char* reason;
    std::function<void(v1::CreateJobRequest&)> spoil;
  };
  const Case cases[] = {
      {"INVALID_REQUEST_ID", [](auto& r) { r.clear_request_id(); }},
      {"INVALID_REQUEST_ID", [](auto& r) { r.set_request_id(std::string(129, 'a')); }},
      {"INVALID_REQUEST_ID", [](auto& r) { r.set_request_id("a\nb"); }},
      {"NO_SPEC", [](auto& r) { r.clear_spec(); }},
      {"INVALID_ID", [](auto& r) { r.mutable_spec()->set_model("../etc/passwd"); }},
      {"INVALID_ID", [](auto& r) { r.mutable_spec()->clear_model(); }},
      {"INVALID_ID", [](auto& r) { r.mutable_spec()->set_model("synthetic:"); }},
      {"INVALID_ID", [](auto& r) { r.mutable_spec()->set_model("synthetic:../x"); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->clear_variants(); }},
      {"DUPLICATE_VARIANT", [](auto& r) { r.mutable_spec()->add_variants("fp16"); }},
      {"INVALID_NAME", [](auto& r) { r.mutable_spec()->set_prompt_set("demo"); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_timing()->set_repeats(101); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_timing()->set_repeats(-1); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_timing()->set_max_output_tokens(4097); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_timing()->set_block_prompts(1001); }},
      {"UNKNOWN_ENUM", [](auto& r) { r.mutable_spec()->set_item_order(static_cast<v1::ItemOrder>(9)); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_timing()->set_warmup_generations(11); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_timing()->set_input_tokens(-1); }},
      {"UNKNOWN_ENUM",
       [](auto& r) { r.mutable_spec()->mutable_timing()->set_output_length(static_cast<v1::OutputLength>(9)); }},
      {"MATCHED_NEEDS_FP16", [](auto& r) { r.mutable_spec()->set_variants(0, "rtn-w8"); }},
      {"INVALID_NAME", [](auto& r) { r.mutable_spec()->mutable_quality()->set_text_set("x"); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_quality()->set_context_tokens(1); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_lease_duration()->set_seconds(0); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->mutable_lease_duration()->set_seconds(3601); }},
      {"OUT_OF_RANGE", [](auto& r) { r.mutable_spec()->set_attempt_limit(1001); }},
  };
  int number = 0;
  for (const Case& test : cases) {
    v1::CreateJobRequest request = Job();
    test.spoil(request);
    const absl::Status status = Validate(request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << "case " << number;
    EXPECT_EQ(wire::Reason(status), test.reason) << "case " << number << ": " << status;
    ++number;
  }
}

TEST(ValidatePrompt, WantsTextOrMessagesAndNotBoth) {
  v1::Prompt prompt;
  prompt.set_id("a");
  EXPECT_EQ(wire::Reason(Validate(prompt, v1::PROMPT_SET_KIND_PROMPTS)), "EMPTY_PROMPT");
  prompt.set_text("t");
  EXPECT_TRUE(Validate(prompt, v1::PROMPT_SET_KIND_PROMPTS).ok());
  prompt.add_messages()->set_role("user");
  EXPECT_EQ(wire::Reason(Validate(prompt, v1::PROMPT_SET_KIND_PROMPTS)), "EMPTY_PROMPT");
  prompt.clear_text();
  EXPECT_EQ(wire::Reason(Validate(prompt, v1::PROMPT_SET_KIND_PROMPTS)), "EMPTY_PROMPT") << "an empty message";
  prompt.mutable_messages(0)->set_content("hello");
  EXPECT_TRUE(Validate(prompt, v1::PROMPT_SET_KIND_PROMPTS).ok());
  EXPECT_EQ(wire::Reason(Validate(prompt, v1::PROMPT_SET_KIND_TEXT)), "TEXT_WITH_MESSAGES");
  prompt.mutable_messages(0)->set_role("root");
  EXPECT_EQ(wire::Reason(Validate(prompt, v1::PROMPT_SET_KIND_PROMPTS)), "UNKNOWN_ROLE");
}

v1::RecordBatch Batch() {
  v1::RecordBatch batch;
  batch.set_worker("workers/w");
  batch.mutable_attempt()->set_job("jobs/a");
  batch.mutable_attempt()->set_epoch(1);
  v1::TimingRecord& timing = *batch.add_records()->mutable_timing();
  timing.set_output_tokens(2);
  timing.set_latency_ns(5);
  timing.set_prefill_ns(3);
  timing.set_decode_ns(1);
  timing.add_inter_token_ns(1);
  return batch;
}

// Its last batch: a window and the end.
v1::RecordBatch LastBatch() {
  v1::RecordBatch batch = Batch();
  batch.mutable_records(0)->mutable_window()->set_scored_tokens(15);
  batch.mutable_records(0)->mutable_window()->set_nll_sum(30);
  batch.mutable_end()->set_record_count(1);
  batch.mutable_end()->mutable_evidence()->mutable_memory()->set_weights_bytes(1);
  return batch;
}

v1::Record DivergenceOf(double kl_sum, int same_top, int shared_top) {
  v1::Record record;
  v1::DivergenceRecord& divergence = *record.mutable_divergence();
  divergence.set_positions(15);
  divergence.set_kl_sum(kl_sum);
  divergence.set_same_top(same_top);
  divergence.set_top_k(10);
  divergence.set_shared_top(shared_top);
  return record;
}

v1::Record TaskOf(std::initializer_list<int> metrics, int passed) {
  v1::Record record;
  for (const int metric : metrics) {
    v1::TaskCheck& check = *record.mutable_task()->add_checks();
    check.set_metric(static_cast<v1::TaskMetric>(metric));
    check.set_passed(passed);
    check.set_made(1);
  }
  return record;
}

TEST(Contradiction, IsWhateverNoDeviceCanHaveMeasured) {
  const auto timing = [](v1::RecordBatch& b) { return b.mutable_records(0)->mutable_timing(); };
  const auto window = [](v1::RecordBatch& b) { return b.mutable_records(0)->mutable_window(); };
  const auto evidence = [](v1::RecordBatch& b) { return b.mutable_end()->mutable_evidence(); };
  struct Case {
    const char* why;
    v1::RecordBatch batch;
    std::function<void(v1::RecordBatch&)> spoil;
  };
  const Case cases[] = {
      {"2 gaps between 2 tokens, expected 1", Batch(), [&](auto& b) { timing(b)->add_inter_token_ns(0); }},
      {"0 gaps between 2 tokens, expected 1", Batch(), [&](auto& b) { timing(b)->clear_inter_token_ns(); }},
      {"0 gaps between 2147483647 tokens", Batch(),
       [&](auto& b) {
         timing(b)->clear_inter_token_ns();
         timing(b)->set_output_tokens(INT32_MAX);
       }},
      {"its gaps sum to 0 ns", Batch(), [&](auto& b) { timing(b)->set_inter_token_ns(0, 0); }},
      {"a gap of 2 ns", Batch(), [&](auto& b) { timing(b)->set_inter_token_ns(0, 2); }},
      {"a gap of -1 ns", Batch(), [&](auto& b) { timing(b)->set_inter_token_ns(0, -1); }},
      {"a gap of 9223372036854775807 ns", Batch(), [&](auto& b) { timing(b)->set_inter_token_ns(0, INT64_MAX); }},
      {"its gaps sum to 0 ns", Batch(),
       [&](auto& b) {
         timing(b)->set_output_tokens(1);
         timing(b)->clear_inter_token_ns();
       }},
      {"it began -5 ns after", Batch(), [&](auto& b) { timing(b)->set_start_offset_ns(-5); }},
      {"its parts take 6 ns", Batch(), [&](auto& b) { timing(b)->set_detokenize_ns(2); }},
      {"likelihood of -1e+300 nats", LastBatch(), [&](auto& b) { window(b)->set_nll_sum(-1e300); }},
      {"likelihood of -1 nats", LastBatch(), [&](auto& b) { window(b)->set_nll_sum(-1); }},
      {"likelihood of 1e+300 nats", LastBatch(), [&](auto& b) { window(b)->set_nll_sum(1e300); }},
      {"divergence of -1 nats", LastBatch(), [&](auto& b) { *b.mutable_records(0) = DivergenceOf(-1, 15, 150); }},
      {"got words = 0", LastBatch(), [&](auto& b) { b.mutable_records(0)->mutable_article()->set_scored_tokens(1); }},
      {"likelihood of -1 nats", LastBatch(),
       [&](auto& b) {
         v1::ArticleRecord& article = *b.mutable_records(0)->mutable_article();
         article.set_scored_tokens(1);
         article.set_words(1);
         article.set_bytes(1);
         article.set_nll_sum(-1);
       }},
      {"got same_top = 16", LastBatch(), [&](auto& b) { *b.mutable_records(0) = DivergenceOf(1, 16, 150); }},
      {"got shared_top = 151", LastBatch(), [&](auto& b) { *b.mutable_records(0) = DivergenceOf(1, 15, 151); }},
      {"got checks.passed = 2, expected 0 to 1", LastBatch(), [&](auto& b) { *b.mutable_records(0) = TaskOf({1}, 2); }},
      {"TaskMetrics, each once", LastBatch(),
       [&](auto& b) {
         *b.mutable_records(0) = TaskOf({1, 1}, 1);
       }},
      {"TaskMetrics, each once", LastBatch(), [&](auto& b) { *b.mutable_records(0) = TaskOf({99}, 1); }},
      {"number of checks = 6", LastBatch(),
       [&](auto& b) {
         *b.mutable_records(0) = TaskOf({1, 2, 3, 4, 5, 6}, 1);
       }},
      {"no evidence", LastBatch(), [&](auto& b) { b.mutable_end()->clear_evidence(); }},
      {"configuration of another digest", LastBatch(),
       [&](auto& b) { b.mutable_end()->set_variant_configuration("{}"); }},
      {"end.variant_configuration of 16385 bytes", LastBatch(),
       [&](auto& b) { b.mutable_end()->set_variant_configuration(std::string(16385, ' ')); }},
      {"variant_digest of 65 bytes", LastBatch(),
       [&](auto& b) { evidence(b)->set_variant_digest(std::string(65, 'a')); }},
      {"no memory", LastBatch(), [&](auto& b) { evidence(b)->mutable_memory()->set_weights_bytes(0); }},
      {"foreign_load is -1", LastBatch(), [&](auto& b) { evidence(b)->set_foreign_load(-1); }},
      {"involuntary_switches is -1", LastBatch(), [&](auto& b) { evidence(b)->set_involuntary_switches(-1); }},
      {"cpu_mhz is -1", LastBatch(), [&](auto& b) { evidence(b)->set_cpu_mhz(-1); }},
      {"wall_ns is -1", LastBatch(), [&](auto& b) { evidence(b)->set_wall_ns(-1); }},
      {"latency_ns = 0, expected 1", Batch(), [&](auto& b) { timing(b)->set_latency_ns(0); }},
      {"without a body", Batch(), [&](auto& b) { b.mutable_records(0)->clear_body(); }},
      {"without records", Batch(), [&](auto& b) { b.clear_records(); }},
      {"not finite", LastBatch(),
       [&](auto& b) { evidence(b)->set_foreign_load(std::numeric_limits<double>::quiet_NaN()); }},
  };
  for (const Case& test : cases) {
    v1::RecordBatch batch = test.batch;
    EXPECT_EQ(Contradiction(batch), "");
    test.spoil(batch);
    EXPECT_TRUE(Validate(batch).ok()) << "well-formed, so it is answered: " << Validate(batch);
    EXPECT_THAT(Contradiction(batch), ::testing::HasSubstr(test.why));
  }
}

TEST(ValidateBatch, RefusesWhatCannotBeAnswered) {
  EXPECT_TRUE(Validate(Batch()).ok()) << Validate(Batch());
  v1::RecordBatch batch = Batch();
  batch.mutable_attempt()->set_epoch(0);
  EXPECT_EQ(wire::Reason(Validate(batch)), "OUT_OF_RANGE");
  batch = Batch();
  batch.set_sequence(-1);
  EXPECT_EQ(wire::Reason(Validate(batch)), "OUT_OF_RANGE");
  batch = Batch();
  batch.clear_worker();
  EXPECT_FALSE(Validate(batch).ok());
}

TEST(ValidateBatch, TakesTheLikelihoodOfACollapsedVariant) {
  v1::RecordBatch batch = Batch();
  v1::WindowRecord& window = *batch.mutable_records(0)->mutable_window();
  window.set_scored_tokens(15);
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double nll : {infinity, std::numeric_limits<double>::quiet_NaN(), -1e-6}) {
    window.set_nll_sum(nll);
    EXPECT_TRUE(Validate(batch).ok());
    EXPECT_EQ(Contradiction(batch), "");
  }
}

TEST(ValidateBatch, TakesTasksAndDivergences) {
  v1::RecordBatch batch = LastBatch();
  for (const double kl : {0.5, -1e-9, std::numeric_limits<double>::quiet_NaN()}) {
    *batch.mutable_records(0) = DivergenceOf(kl, 15, 150);
    EXPECT_EQ(Contradiction(batch), "");
  }
  *batch.mutable_records(0) = TaskOf({10, 11, 12, 13, 14}, 1);
  EXPECT_EQ(Contradiction(batch), "");
}

TEST(ValidateProfile, RefusesWhatIsNoNumber) {
  v1::Profile profile;
  profile.set_formula(v1::UTILITY_FORMULA_FULL);
  profile.set_normalization(v1::NORMALIZATION_BASELINE);
  EXPECT_TRUE(Validate(profile).ok());
  profile.mutable_weights()->set_speed(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(wire::Reason(Validate(profile)), "NOT_A_NUMBER");
  profile.mutable_weights()->set_speed(1);
  profile.clear_formula();
  EXPECT_EQ(wire::Reason(Validate(profile)), "UNKNOWN_ENUM");
}

}  // namespace
}  // namespace uaqf::rpc
