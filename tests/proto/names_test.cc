#include "proto/wire/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/wire/digest.h"
#include "proto/wire/status.h"

namespace uaqf::wire {
namespace {

const std::string kDigest(64, 'a');

TEST(Names, ComeBackAsTheIdsTheyWereMadeOf) {
  EXPECT_EQ(ParseJobName(JobName("k7f2m9")).value(), "k7f2m9");
  EXPECT_EQ(ParsePromptSetName(PromptSetName(kDigest)).value(), kDigest);
  EXPECT_EQ(ParseProfileName(ProfileName("latency-critical")).value(), "latency-critical");
  EXPECT_EQ(ParseWorkerName(WorkerName("Host_a.cpu-0")).value(), "Host_a.cpu-0");
}

TEST(Names, OfAnotherShapeAreRefused) {
  for (const char* name : {"", "jobs", "jobs/", "jobs/a/b", "jobs/A", "job/a", "jobs/..", "jobs/a b", "profiles/a",
                           "jobs/a\n", "jobs/\xff"}) {
    EXPECT_EQ(ParseJobName(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(ParseJobName("jobs/" + std::string(65, 'a')).ok());
  EXPECT_FALSE(ParsePromptSetName("promptSets/" + std::string(63, 'a')).ok());
  EXPECT_FALSE(ParsePromptSetName("promptSets/" + std::string(64, 'A')).ok());
  EXPECT_FALSE(ParseWorkerName("workers/.hidden").ok());
  EXPECT_FALSE(ParseWorkerName("workers/../a").ok());
}

TEST(Names, OfVariantsMayHaveOptions) {
  for (const char* name : {"fp16", "gptq-w4-g64:sym=1:damp=0.05", "checkpoint:Llama-2-7B.Q4_K"}) {
    EXPECT_TRUE(IsVariantName(name)) << name;
  }
  for (const char* name :
       {"", ":", "fp16:", "gptq-w4::sym=1", ":sym=1", "gptq w4", "gptq-w4:sym=1/..", ".hidden:a=1", "fp16#2"}) {
    EXPECT_FALSE(IsVariantName(name)) << name;
  }
  EXPECT_FALSE(IsVariantName("fp16:" + std::string(256, 'a')));
}

// Such a name is the coordinator's alone.
TEST(Names, OfFurtherHostingsSayWhatIsHosted) {
  EXPECT_EQ(HostedVariantName("fp16#2"), "fp16");
  EXPECT_EQ(HostedVariantName("gptq-w4:sym=1"), "gptq-w4:sym=1");
}

TEST(Names, RefusalSaysWhatCameAndWhatWasExpected) {
  const absl::Status status = ParseJobName("jobs/\x01" + std::string(1000, 'Z')).status();
  EXPECT_EQ(Reason(status), "INVALID_NAME");
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("got the name \"jobs/\\x01ZZZ"));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("expected jobs/"));
  EXPECT_LT(status.message().size(), 250u) << "a long name must not flood the log";
}

TEST(PromptSetDigest, DependsOnKindContentAndOrderAndNothingElse) {
  v1::Prompt a, b;
  a.set_id("a");
  a.set_text("one");
  b.set_id("b");
  b.set_text("two");
  const auto digest = [](v1::PromptSetKind kind, std::initializer_list<v1::Prompt> prompts) {
    PromptSetDigest digest(kind);
    for (const v1::Prompt& prompt : prompts) digest.Add(prompt);
    return digest.Finish();
  };
  const std::string base = digest(v1::PROMPT_SET_KIND_PROMPTS, {a, b});
  EXPECT_EQ(base, digest(v1::PROMPT_SET_KIND_PROMPTS, {a, b}));
  EXPECT_EQ(base.size(), 64u);
  EXPECT_NE(base, digest(v1::PROMPT_SET_KIND_TEXT, {a, b}));
  EXPECT_NE(base, digest(v1::PROMPT_SET_KIND_PROMPTS, {b, a}));
  EXPECT_NE(base, digest(v1::PROMPT_SET_KIND_PROMPTS, {a}));
  v1::Prompt unknown = a;
  unknown.GetReflection()->MutableUnknownFields(&unknown)->AddVarint(1000, 1);
  EXPECT_EQ(base, digest(v1::PROMPT_SET_KIND_PROMPTS, {unknown, b})) << "an unknown field is no content";
}

TEST(PromptSetDigest, IsTheOneThatTheHeaderDefines) {
  // By hand: kind 1 little-endian, size 8 little-endian, then id "a" and text "b" as protobuf writes them.
  const std::string bytes(
      "\x01\0\0\0\x06\0\0\0\0\0\0\0\x0a\x01"
      "a\x1a\x01"
      "b",
      18);
  v1::Prompt prompt;
  prompt.set_id("a");
  prompt.set_text("b");
  PromptSetDigest digest(v1::PROMPT_SET_KIND_PROMPTS);
  EXPECT_EQ(digest.Add(prompt), bytes.substr(12));
  EXPECT_EQ(digest.Finish(), Sha256Hex(bytes));
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace uaqf::wire
