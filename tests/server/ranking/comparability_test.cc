// Two jobs alike in everything, then different in one thing at a time: each is refused, and said why.
#include "server/ranking/comparability.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

namespace uaqf::ranking {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Trait kAll[] = {Trait::kPrompts,         Trait::kText,
                          Trait::kTasks,           Trait::kArticles,
                          Trait::kContext,         Trait::kInputTokens,
                          Trait::kProseSeed,       Trait::kOutputLength,
                          Trait::kMostTokens,      Trait::kChat,
                          Trait::kWarmUps,         Trait::kClearCache,
                          Trait::kModel,           Trait::kTokenizer,
                          Trait::kDevice,          Trait::kBackend,
                          Trait::kThreads,         Trait::kIsa,
                          Trait::kDriver,          Trait::kCuda,
                          Trait::kBuild,           Trait::kAgreementTokens,
                          Trait::kAgreementBatches};

JobIdentity Job(const std::string& name) {
  JobIdentity job;
  job.job = name;
  for (const Trait trait : kAll) job.traits[trait] = {"same"};
  job.configurations["fp16"] = {std::string(64, 'a')};
  job.configurations["rtn-w4"] = {std::string(64, 'b')};
  return job;
}

// The one mismatch of two jobs that differ in `trait` alone.
Mismatch Only(Trait trait) {
  JobIdentity other = Job("jobs/b");
  other.traits[trait] = {"different"};
  const auto mismatches = FindMismatches(Job("jobs/a"), other);
  EXPECT_THAT(mismatches, SizeIs(1));
  if (mismatches.size() != 1) return {};
  EXPECT_EQ(mismatches[0].one, "same");
  EXPECT_EQ(mismatches[0].other, "different");
  return mismatches[0];
}

TEST(Comparable, AreJobsAlikeInEverything) { EXPECT_THAT(FindMismatches(Job("jobs/a"), Job("jobs/b")), IsEmpty()); }

TEST(Comparable, AreJobsOfPartlyOtherVariants) {
  JobIdentity other = Job("jobs/b");
  other.configurations.erase("rtn-w4");
  other.configurations["rtn-w8"] = {std::string(64, 'c')};
  EXPECT_THAT(FindMismatches(Job("jobs/a"), other), IsEmpty());
}

TEST(NotComparable, AreOtherPrompts) { EXPECT_EQ(Only(Trait::kPrompts).what, "prompt set"); }
TEST(NotComparable, IsAnotherText) { EXPECT_EQ(Only(Trait::kText).what, "text"); }
TEST(NotComparable, AreOtherTasks) { EXPECT_EQ(Only(Trait::kTasks).what, "task set"); }
TEST(NotComparable, AreOtherArticles) { EXPECT_EQ(Only(Trait::kArticles).what, "articles"); }
TEST(NotComparable, AreWindowsOfAnotherLength) { EXPECT_EQ(Only(Trait::kContext).what, "tokens of a window"); }
TEST(NotComparable, AreInputsOfAnotherLength) { EXPECT_EQ(Only(Trait::kInputTokens).what, "input tokens"); }
TEST(NotComparable, IsOtherProse) { EXPECT_EQ(Only(Trait::kProseSeed).what, "seed"); }
TEST(NotComparable, AreOutputLengthsChosenOtherwise) { EXPECT_EQ(Only(Trait::kOutputLength).what, "output length"); }
TEST(NotComparable, IsAnotherLimitOfTokens) { EXPECT_EQ(Only(Trait::kMostTokens).what, "most output tokens"); }
TEST(NotComparable, IsAChatTemplateInOneOnly) { EXPECT_EQ(Only(Trait::kChat).what, "chat template"); }
TEST(NotComparable, AreOtherWarmUps) { EXPECT_EQ(Only(Trait::kWarmUps).what, "warm-up generations"); }
TEST(NotComparable, AreCachesClearedInOneOnly) { EXPECT_EQ(Only(Trait::kClearCache).what, "clearing of caches"); }
TEST(NotComparable, IsAnotherModel) { EXPECT_EQ(Only(Trait::kModel).what, "model digest"); }
TEST(NotComparable, IsAnotherTokenizer) { EXPECT_EQ(Only(Trait::kTokenizer).what, "tokenizer digest"); }
TEST(NotComparable, IsAnotherDevice) { EXPECT_EQ(Only(Trait::kDevice).what, "device"); }
TEST(NotComparable, IsAnotherBackend) { EXPECT_EQ(Only(Trait::kBackend).what, "backend"); }
TEST(NotComparable, IsAnotherNumberOfThreads) { EXPECT_EQ(Only(Trait::kThreads).what, "threads"); }
TEST(NotComparable, IsAnotherInstructionSet) { EXPECT_EQ(Only(Trait::kIsa).what, "instruction set"); }
TEST(NotComparable, IsAnotherDriver) { EXPECT_EQ(Only(Trait::kDriver).what, "driver"); }
TEST(NotComparable, IsAnotherCuda) { EXPECT_EQ(Only(Trait::kCuda).what, "CUDA version"); }
TEST(NotComparable, IsAnotherBuild) { EXPECT_EQ(Only(Trait::kBuild).what, "worker build"); }

TEST(NotComparable, AreOutputsOfAnotherLength) { EXPECT_EQ(Only(Trait::kAgreementTokens).what, "tokens of an output"); }
TEST(NotComparable, AreOtherBatches) { EXPECT_EQ(Only(Trait::kAgreementBatches).what, "batches of outputs"); }

// Times and losses do not depend on what is generated again beside them.
TEST(Comparable, IsAJobThatGeneratesNothingAgain) {
  JobIdentity other = Job("jobs/b");
  other.traits[Trait::kAgreementTokens] = {""};
  other.traits[Trait::kAgreementBatches] = {""};
  EXPECT_THAT(FindMismatches(Job("jobs/a"), other), IsEmpty());
  EXPECT_THAT(FindMismatches(other, Job("jobs/a")), IsEmpty());
}

// Outputs are asked of other devices and builds; what is generated, and from what, must be the same.
TEST(ComparableOutputs, NeedModelTokenizerPromptsAndHowTheyAreGenerated) {
  const std::set<Trait> needed = {Trait::kPrompts,   Trait::kInputTokens, Trait::kProseSeed,      Trait::kChat,
                                  Trait::kTokenizer, Trait::kModel,       Trait::kAgreementTokens};
  for (const Trait trait : kAll) {
    JobIdentity other = Job("jobs/b");
    other.traits[trait] = {"different"};
    EXPECT_THAT(FindMismatches(Job("jobs/a"), other, Scope::kOutputs), SizeIs(needed.count(trait)));
  }
  JobIdentity other = Job("jobs/b");
  other.configurations["rtn-w4"] = {std::string(64, 'c')};
  EXPECT_THAT(FindMismatches(Job("jobs/a"), other, Scope::kOutputs), IsEmpty()) << "told variant by variant";
}

TEST(ComparableOutputs, NeedOutputs) {
  JobIdentity one = Job("jobs/a"), other = Job("jobs/b");
  one.traits[Trait::kAgreementTokens] = other.traits[Trait::kAgreementTokens] = {""};
  const auto mismatches = FindMismatches(one, other, Scope::kOutputs);
  ASSERT_THAT(mismatches, SizeIs(1));
  EXPECT_THAT(mismatches[0].why, HasSubstr("--agreement"));
}

TEST(NotComparable, IsAVariantOfAnotherConfiguration) {
  JobIdentity other = Job("jobs/b");
  other.configurations["rtn-w4"] = {std::string(64, 'c')};
  const auto mismatches = FindMismatches(Job("jobs/a"), other);
  ASSERT_THAT(mismatches, SizeIs(1));
  EXPECT_EQ(mismatches[0].what, "configuration of rtn-w4");
  EXPECT_EQ(mismatches[0].one, "bbbbbbbbbbbb") << "digests are shown by their beginnings";
}

TEST(NotComparable, IsWhatWasImported) {
  JobIdentity imported = Job("jobs/b");
  imported.imported = true;
  const auto mismatches = FindMismatches(Job("jobs/a"), imported);
  ASSERT_THAT(mismatches, SizeIs(1));
  EXPECT_EQ(mismatches[0].other, "imported");
  EXPECT_THAT(FindMismatches(imported, imported), SizeIs(1)) << "two tables have no records either";
}

TEST(NotComparable, IsWhatIsNotKnown) {
  JobIdentity early = Job("jobs/b");
  early.traits.erase(Trait::kDevice);
  const auto mismatches = FindMismatches(Job("jobs/a"), early);
  ASSERT_THAT(mismatches, SizeIs(1));
  EXPECT_EQ(mismatches[0].other, "not known");
  EXPECT_THAT(mismatches[0].why, HasSubstr("no chunk was accepted"));
  EXPECT_THAT(FindMismatches(early, early), SizeIs(1)) << "unknown is not equal to unknown";
}

TEST(NotComparable, IsAJobOfTwoDevicesAndOneOfOneOfThem) {
  JobIdentity one = Job("jobs/a"), other = Job("jobs/b");
  one.traits[Trait::kDevice] = {"GPU-1", "GPU-2"};
  other.traits[Trait::kDevice] = {"GPU-1"};
  const auto mismatches = FindMismatches(one, other);
  ASSERT_THAT(mismatches, SizeIs(1));
  EXPECT_EQ(mismatches[0].one, "GPU-1 and GPU-2");
}

constexpr Trait kOfAModel[] = {Trait::kModel,    Trait::kTokenizer,       Trait::kTasks,
                               Trait::kArticles, Trait::kAgreementTokens, Trait::kAgreementBatches};

// Across models, what a model brings with it may differ, and figures of the model alone need not be alike.
TEST(ComparableAcrossModels, AreJobsOfOtherModelsTokenizersTasksAndArticles) {
  for (const Trait trait : kOfAModel) {
    JobIdentity other = Job("jobs/b");
    other.traits[trait] = {"different"};
    EXPECT_THAT(FindMismatchesAcrossModels(Job("jobs/a"), other), IsEmpty());
  }
}

TEST(NotComparableAcrossModels, IsEverythingElse) {
  int refused = 0;
  for (const Trait trait : kAll) {
    if (std::find(std::begin(kOfAModel), std::end(kOfAModel), trait) != std::end(kOfAModel)) continue;
    JobIdentity other = Job("jobs/b");
    other.traits[trait] = {"different"};
    const auto mismatches = FindMismatchesAcrossModels(Job("jobs/a"), other);
    ASSERT_THAT(mismatches, SizeIs(1));
    EXPECT_EQ(mismatches[0].what, Only(trait).what);
    EXPECT_EQ(mismatches[0].other, "different");
    EXPECT_THAT(FindMismatchesAcrossModels(other, Job("jobs/a")), SizeIs(1));
    ++refused;
  }
  EXPECT_EQ(refused, 17);
}

// A synthetic model has speed alone.
TEST(ComparableAcrossModels, IsAJobWithoutLosses) {
  JobIdentity silent = Job("jobs/b");
  silent.traits[Trait::kText] = silent.traits[Trait::kContext] = {""};
  EXPECT_THAT(FindMismatchesAcrossModels(Job("jobs/a"), silent), IsEmpty());
  EXPECT_THAT(FindMismatches(Job("jobs/a"), silent), SizeIs(2)) << "of one model they are two measurements";
}

TEST(NotComparableAcrossModels, IsAVariantOfAnotherRecipe) {
  JobIdentity one = Job("jobs/a"), other = Job("jobs/b");
  one.configurations["gptq-w4"] = {std::string(64, 'd')};
  other.configurations["gptq-w4"] = {std::string(64, 'e')};
  one.recipes["gptq-w4"] = other.recipes["gptq-w4"] = {"128 samples"};
  EXPECT_THAT(FindMismatchesAcrossModels(one, other), IsEmpty()) << "its digest has the tokens that it was made with";
  other.recipes["gptq-w4"] = {"16 samples"};
  const auto mismatches = FindMismatchesAcrossModels(one, other);
  ASSERT_THAT(mismatches, SizeIs(1));
  EXPECT_EQ(mismatches[0].what, "configuration of gptq-w4");
}

TEST(NotComparableAcrossModels, IsAnImportedTableOrAModelThatIsNotKnown) {
  JobIdentity imported = Job("jobs/b"), early = Job("jobs/c");
  imported.imported = true;
  early.traits.erase(Trait::kModel);
  EXPECT_THAT(FindMismatchesAcrossModels(Job("jobs/a"), imported), SizeIs(1));
  const auto mismatches = FindMismatchesAcrossModels(Job("jobs/a"), early);
  ASSERT_THAT(mismatches, SizeIs(1));
  EXPECT_THAT(mismatches[0].why, HasSubstr("no chunk was accepted"));
}

TEST(OneModel, IsThatOfEqualDigests) {
  JobIdentity one = Job("jobs/a"), other = Job("jobs/b");
  EXPECT_TRUE(OfOneModel(one, other));
  other.traits[Trait::kModel] = {"different"};
  EXPECT_FALSE(OfOneModel(one, other));
  one.traits[Trait::kModel] = {"same", "different"};
  EXPECT_TRUE(OfOneModel(one, other)) << "one of those that its workers had";
  one.traits.erase(Trait::kModel);
  EXPECT_FALSE(OfOneModel(one, one)) << "not known";
}

TEST(NotComparable, TellsEveryMismatchWithBothValuesAndItsReason) {
  JobIdentity one = Job("jobs/a"), other = Job("jobs/b");
  one.traits[Trait::kDriver] = {"550.1"};
  other.traits[Trait::kDriver] = {"555.2"};
  other.traits[Trait::kText] = {""};
  EXPECT_EQ(MismatchText(one, other, FindMismatches(one, other)),
            "jobs/a and jobs/b cannot be compared:\n"
            "text: same and none; losses on another text are other losses\n"
            "driver: 550.1 and 555.2; a driver has its own speed");
}

TEST(NotComparable, IsSoFromEitherSide) {
  for (const Trait trait : kAll) {
    JobIdentity other = Job("jobs/b");
    other.traits[trait] = {"different"};
    EXPECT_THAT(FindMismatches(other, Job("jobs/a")), SizeIs(1));
  }
}

}  // namespace
}  // namespace uaqf::ranking
