// What a person gets from uaqf-worker: right figures, keys that scripts rely on, errors that say what to do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/test_data.h"
#include "tests/worker/commands/run_worker.h"
#include "tests/worker/model/model_files.h"

namespace uaqf {
namespace {

using nlohmann::json;
using test::Outcome;
using test::RunWorker;
using testing::AllOf;
using testing::HasSubstr;

void Write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// A command that must fail: exit code 1, nothing on standard output, one line of error.
std::string ErrorOf(const std::vector<std::string>& arguments) {
  const Outcome outcome = RunWorker(arguments);
  EXPECT_EQ(outcome.code, 1) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("error: "));
  return outcome.err;
}

class Stories : public testing::Test {
 protected:
  void SetUp() override {
    UAQF_NEED_DATA("stories260k/stories260K.bin");
    static const std::string model = test::StoriesModel();
    model_ = model;
  }
  std::string model_;
};

// The published texts begin from nothing, which is no prompt: here their own first words are.
TEST_F(Stories, SaysTheTextsThatItsAuthorsPublish) {
  const json expected = json::parse(test::ReadFile(test::SharedData("stories260k/expected_texts.json")));
  const std::string begin = "Once upon a time";
  const size_t fed = RunWorker({"encode", model_, begin, "--output", "json"}).json()["ids"].size();
  for (const json& story : expected["cases"]) {
    ASSERT_EQ(story["prompt"], "");
    // The begin token is fed in both cases, and emitted in neither.
    const size_t steps = story["steps"].get<size_t>() - (fed - 1);
    const json said = RunWorker({"generate", model_, "--prompt", begin, "--max-tokens", std::to_string(steps),
                                 "--ignore-end", "--output", "json"})
                          .json();
    EXPECT_EQ(begin + said["text"].get<std::string>(), story["expected_text"]);
    EXPECT_EQ(said["ids"].size(), steps);
  }
}

TEST_F(Stories, RefusesAnEmptyPromptAlthoughItHasABeginToken) {
  EXPECT_THAT(ErrorOf({"generate", model_, "--prompt", ""}), HasSubstr("the prompt is empty: expected text"));
  EXPECT_THAT(ErrorOf({"generate", model_, "--chat", "--prompt", ""}), HasSubstr("the prompt is empty"));
}

TEST_F(Stories, NamesTheFileThatIsNoText) {
  const std::string folder = test::ScratchFolder();
  Write(folder + "/latin1.txt", "caf\xe9");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"encode", model_, "--file"}, {"perplexity", model_, "--text"}}) {
    std::vector<std::string> arguments = command;
    arguments.push_back(folder);
    EXPECT_THAT(ErrorOf(arguments), HasSubstr(folder + " is a folder: expected a file"));
    arguments.back() = folder + "/latin1.txt";
    EXPECT_THAT(ErrorOf(arguments), HasSubstr("latin1.txt is not UTF-8: byte 0xE9 at offset 3"));
  }
}

// Situation: the disk that results go to is full.
TEST_F(Stories, FailsWhenItsResultsCannotBeWritten) {
  for (const char* form : {"text", "json"}) {
    const Outcome outcome = test::StartedWorker({"inspect", model_, "--output", form}, "/dev/full").Wait();
    EXPECT_EQ(outcome.code, 1) << form;
    EXPECT_THAT(outcome.err, HasSubstr("error: cannot write standard output"));
  }
  EXPECT_EQ(test::StartedWorker({"--help"}, "/dev/full").Wait().code, 1);
}

TEST_F(Stories, ScoresStoriesAsTheFloat64Reference) {
  UAQF_NEED_DATA("tinystories/five_stories.txt");
  const json reference = json::parse(test::ReadFile(test::SharedData("stories260k/reference_f64.json")));
  const std::string text = test::ReadFile(test::SharedData("tinystories/five_stories.txt"));
  const std::string path = test::ScratchFolder() + "/story";
  size_t begin = 0;
  for (size_t i = 0; i < 5; ++i) {
    const size_t end = text.find("<|endoftext|>", begin);
    const size_t first = text.find_first_not_of(" \n", begin);
    const size_t last = text.find_last_not_of(" \n", end - 1);
    Write(path, text.substr(first, last + 1 - first));
    begin = end + 13;
    const json ids = RunWorker({"encode", model_, "--file", path, "--output", "json"}).json()["ids"];
    ASSERT_EQ(ids, reference["story_ids"][i]) << "story " << i;
    const json scored =
        RunWorker({"perplexity", model_, "--text", path, "--context", std::to_string(ids.size()), "--output", "json"})
            .json();
    EXPECT_EQ(scored["windows"], 1);
    EXPECT_NEAR(scored["nll"].get<double>(), reference["story_nll"][i]["mean_nll"].get<double>(), 1e-3);
  }
}

// A context that holds an article whole and one that does not score the same tokens, words and bytes.
TEST_F(Stories, WikitextScoresEveryTokenOfEveryArticle) {
  const std::string file = test::ScratchFolder() + "/wiki.raw";
  std::string article = " = Ball = \n \n";
  for (int i = 0; i < 12; ++i) article += " Lily and Tom went to the park to play with a big red ball . \n";
  Write(file, " \n" + article + " = Cat = \n \n The cat ran away . \n");
  const auto run = [&](const std::string& context) {
    return RunWorker({"wikitext", model_, "--text", file, "--context", context, "--output", "json"}).json();
  };
  const json whole = run("500");
  const json rolling = run("32");
  EXPECT_EQ(whole["articles"], 2);
  EXPECT_EQ(whole["tokens"], rolling["tokens"]);
  EXPECT_EQ(whole["bytes"], article.size() + std::string(" = Cat = \n \n The cat ran away . \n").size());
  const double nll = whole["nll_sum"];
  EXPECT_NEAR(whole["word_perplexity"].get<double>(), std::exp(nll / whole["words"].get<double>()), 1e-9);
  EXPECT_NEAR(whole["byte_perplexity"].get<double>(), std::exp(nll / whole["bytes"].get<double>()), 1e-9);
  EXPECT_GT(rolling["nll_sum"].get<double>(), nll) << "a shorter context knows less";
  EXPECT_THAT(ErrorOf({"wikitext", model_, "--text", file, "--context", "512"}), HasSubstr("expected at most 512"));
}

TEST_F(Stories, PerplexityIsTheExponentialOfTheMeanOfWindowMeans) {
  UAQF_NEED_DATA("tinystories/five_stories.txt");
  const std::vector<std::string> arguments = {
      "perplexity", model_, "--text",   test::SharedData("tinystories/five_stories.txt"),
      "--context",  "128",  "--output", "json"};
  const json all = RunWorker(arguments).json();
  const int tokens = all["tokens"];
  ASSERT_EQ(all["windows"], tokens / 128);
  ASSERT_EQ(all["window_nll"].size(), static_cast<size_t>(tokens / 128));
  double sum = 0;
  for (const json& nll : all["window_nll"]) sum += nll.get<double>();
  EXPECT_NEAR(all["nll"].get<double>(), sum / (tokens / 128), 1e-9);
  EXPECT_NEAR(all["ppl"].get<double>(), std::exp(all["nll"].get<double>()), 1e-9);

  std::vector<std::string> two = arguments;
  two.insert(two.end(), {"--windows", "2"});
  const json some = RunWorker(two).json();
  EXPECT_EQ(some["windows"], 2);
  EXPECT_EQ(some["window_nll"][1], all["window_nll"][1]) << "scores are bit-equal from run to run";
}

TEST_F(Stories, GenerationHasTheKeysThatScriptsRelyOn) {
  const json said =
      RunWorker({"generate", model_, "--prompt", "Once upon", "--max-tokens", "5", "--output", "json"}).json();
  for (const char* key : {"prompt_ids", "ids", "text", "prefill_ms", "decode_ms"})
    EXPECT_TRUE(said.contains(key)) << key;
  EXPECT_EQ(said["prompt_ids"], (json{1, 403, 407}));
  EXPECT_GT(said["prefill_ms"], 0);
}

TEST_F(Stories, BenchTakesTurnsAndComparesWithTheBandwidth) {
  const json seen = RunWorker({"bench", model_, "--variants", "fp16,rtn-w8-channel", "--input-tokens", "40",
                               "--output-tokens", "16", "--repeats", "2", "--output", "json"})
                        .json();
  EXPECT_FALSE(seen["device"]["name"].get<std::string>().empty());
  EXPECT_THAT(seen["device"]["isa"].get<std::string>(), testing::AnyOf("avx512", "avx2", "portable"));
  ASSERT_EQ(seen["variants"].size(), 2u);
  for (const json& variant : seen["variants"]) {
    for (const char* key : {"read_gbps", "bytes_per_token", "prefill_ms", "decode_tokens_per_s", "end_to_end_ms",
                            "limit_ratio", "memory_bytes"}) {
      EXPECT_GT(variant.value(key, 0.0), 0) << key;
    }
    EXPECT_NEAR(variant["limit_ratio"].get<double>(),
                variant["decode_tokens_per_s"].get<double>() * variant["bytes_per_token"].get<double>() /
                    (variant["read_gbps"].get<double>() * 1e9),
                1e-9);
  }
  EXPECT_LT(seen["variants"][1]["memory_bytes"], seen["variants"][0]["memory_bytes"]);
}

TEST_F(Stories, BenchTimesBatches) {
  const json seen = RunWorker({"bench", model_, "--variants", "rtn-w8-channel", "--input-tokens", "20",
                               "--output-tokens", "8", "--repeats", "2", "--batch", "1,3", "--output", "json"})
                        .json();
  const json& batches = seen["variants"][0]["batches"];
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0]["batch"], 1);
  EXPECT_EQ(batches[1]["batch"], 3);
  for (const json& batch : batches) {
    EXPECT_GT(batch["prefill_ms"], 0);
    EXPECT_EQ(batch["outputs_repeat"], true);
    EXPECT_NEAR(batch["of_batch_1"].get<double>(),
                batch["decode_tokens_per_s"].get<double>() / seen["variants"][0]["decode_tokens_per_s"].get<double>(),
                1e-9);
  }
}

TEST_F(Stories, RefusesAPromptBeyondTheContext) {
  const std::string error = ErrorOf({"generate", model_, "--prompt", std::string(4000, 'x')});
  EXPECT_THAT(error, AllOf(HasSubstr("tokens"), HasSubstr("expected at most 512")));
  EXPECT_THAT(ErrorOf({"generate", model_, "--prompt", "Once", "--max-tokens", "512"}),
              HasSubstr("expected at most 512, the context"));
  EXPECT_THAT(ErrorOf({"perplexity", model_, "--text", "/dev/null", "--context", "128"}),
              HasSubstr("expected at least one window of 128"));
}

TEST_F(Stories, RefusesTextThatIsNotUtf8) {
  EXPECT_THAT(ErrorOf({"encode", model_, "ab\xff"}), HasSubstr("UTF-8"));
  EXPECT_THAT(ErrorOf({"generate", model_, "--prompt", "ab\xff"}), HasSubstr("UTF-8"));
}

TEST_F(Stories, RefusesAnUnknownVariantByNamingTheKnownOnes) {
  EXPECT_THAT(ErrorOf({"generate", model_, "--prompt", "Once", "--variant", "rtn-w5"}),
              AllOf(HasSubstr("rtn-w5"), HasSubstr("rtn-w4-g64")));
}

TEST_F(Stories, RefusesAGroupSizeThatDoesNotDivide) {
  EXPECT_THAT(ErrorOf({"generate", model_, "--prompt", "Once", "--variant", "rtn-w4-g128"}),
              AllOf(HasSubstr("128"), HasSubstr("64"), HasSubstr("layer 0")));
}

TEST_F(Stories, RefusesAChatWithoutATemplate) {
  EXPECT_THAT(ErrorOf({"generate", model_, "--chat", "Hello"}), HasSubstr("template"));
}

TEST_F(Stories, RefusesTheTokenizerOfAnotherModel) {
  UAQF_NEED_DATA("tokenizers/llama-tokenizer.model");
  const std::string folder = test::ScratchFolder() + "/mixed";
  std::filesystem::copy(model_, folder, std::filesystem::copy_options::recursive);
  std::filesystem::copy(test::SharedData("tokenizers/llama-tokenizer.model"), folder + "/tokenizer.model",
                        std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(ErrorOf({"inspect", folder}), AllOf(HasSubstr("32000"), HasSubstr("512")));
}

TEST_F(Stories, ListsWhichVariantsFit) {
  const json facts = RunWorker({"inspect", model_, "--digest", "--output", "json"}).json();
  EXPECT_EQ(facts["architecture"], "llama");
  EXPECT_EQ(facts["layers"], 5);
  EXPECT_EQ(facts["digest"].get<std::string>().size(), 64u);
  // llama2.c's v1 file of the same model: a header of 256 bytes, then every weight in FP32.
  EXPECT_EQ(facts["parameters"], (1040384 - 256) / 4);
  for (const json& variant : facts["variants"]) {
    if (variant["variant"] == "rtn-w4-g128") {
      EXPECT_EQ(variant["fits"], false);
    }
  }
}

class DefaultModel : public testing::Test {
 protected:
  void SetUp() override { UAQF_NEED_FILE(test::DefaultModel()); }
  const std::string model_ = test::DefaultModel();
};

TEST_F(DefaultModel, CountsTheTokensOfWikiText) {
  UAQF_NEED_DATA("wikitext2/wiki.test.raw");
  const json counted = RunWorker({"encode", model_, "--file", test::SharedData("wikitext2/wiki.test.raw"),
                                  "--join-rows", "--output", "json"})
                           .json();
  EXPECT_EQ(counted["tokens"], 304978);
}

TEST_F(DefaultModel, IsFoundByItsIdBelowTheModelsFolder) {
  const std::string folder = std::filesystem::path(model_).parent_path();
  EXPECT_EQ(RunWorker({"encode", "smollm2-135m-instruct", "hello", "--models", folder}).code, 0);
  EXPECT_THAT(ErrorOf({"encode", "no-such-model", "hello", "--models", folder}), HasSubstr("smollm2-135m-instruct"));
}

TEST_F(DefaultModel, SaysWhatItsLossIsRelativeTo) {
  EXPECT_THAT(RunWorker({"inspect", model_}).out, HasSubstr("relative to the Q4_1 release"));
}

TEST_F(DefaultModel, RefusesAnEmptyPrompt) {
  EXPECT_THAT(ErrorOf({"generate", model_, "--prompt", ""}), HasSubstr("the prompt is empty: expected text"));
  EXPECT_THAT(ErrorOf({"generate", model_, "--chat", ""}), HasSubstr("empty"));
}

TEST_F(DefaultModel, RefusesATruncatedFile) {
  const std::string path = test::ScratchFolder() + "/cut.gguf";
  const std::string whole = test::ReadFile(model_);
  for (const size_t size : {size_t{0}, size_t{3}, size_t{1000}, whole.size() / 2, whole.size() - 1}) {
    Write(path, whole.substr(0, size));
    EXPECT_THAT(ErrorOf({"inspect", path}), HasSubstr("cut.gguf")) << size << " bytes";
  }
}

TEST(Commands, RefusesWhatIsNoModel) {
  const std::string folder = test::ScratchFolder();
  EXPECT_THAT(ErrorOf({"inspect", folder}), HasSubstr("config.json"));
  Write(folder + "/model.pt", "pickle");
  EXPECT_THAT(ErrorOf({"inspect", folder + "/model.pt"}), HasSubstr("model.pt"));
  EXPECT_THAT(ErrorOf({"inspect", folder + "/none.gguf", "--models", folder}), HasSubstr("none.gguf"));
}

TEST(Commands, WrongUsageExitsWith2) {
  EXPECT_EQ(RunWorker({}).code, 2);
  EXPECT_EQ(RunWorker({"inspect"}).code, 2);
  EXPECT_EQ(RunWorker({"generate", "m"}).code, 2);
  EXPECT_EQ(RunWorker({"perplexity", "m", "--text", "f", "--context", "1"}).code, 2);
  EXPECT_EQ(RunWorker({"inspect", "m", "--output", "xml"}).code, 2);
  EXPECT_EQ(RunWorker({"--no-such-option"}).code, 2);
  const auto stray = RunWorker({"measure"});
  EXPECT_EQ(stray.code, 2);
  EXPECT_THAT(stray.err, AllOf(HasSubstr("got \"measure\", expected one of serve, inspect"), HasSubstr("--help")));
}

TEST(Commands, EveryHelpHasAnExample) {
  for (const char* command : {"serve", "inspect", "encode", "generate", "perplexity", "wikitext", "bench"}) {
    const Outcome help = RunWorker({command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr(std::string("uaqf-worker ") + command)) << command;
    EXPECT_THAT(help.out, HasSubstr("Example:")) << command;
  }
}

TEST(Commands, SaysWhyAGpuCannotBeUsed) {
  setenv("UAQF_CUDA_MODULE", "/no/such/libuaqf_cuda.so", 1);
  for (const char* command : {"serve", "bench", "generate"}) {
    std::vector<std::string> arguments = {command, "--device", "cuda:0"};
    if (arguments[0] == "serve") arguments.push_back("--insecure-dev");
    if (arguments[0] != "serve") arguments.push_back("synthetic:tiny");
    if (arguments[0] == "bench") arguments.insert(arguments.end(), {"--variants", "fp16"});
    if (arguments[0] == "generate") arguments.insert(arguments.end(), {"--prompt", "hi"});
    EXPECT_THAT(ErrorOf(arguments), AllOf(HasSubstr("/no/such/libuaqf_cuda.so"), HasSubstr("cannot be loaded")));
  }
  unsetenv("UAQF_CUDA_MODULE");
  EXPECT_THAT(ErrorOf({"serve", "--insecure-dev", "--device", "tpu"}), HasSubstr("expected cpu or cuda:N"));
}

TEST(Commands, DoesNotServeWithoutTlsOffLoopback) {
  const std::string models = test::ScratchFolder();
  EXPECT_THAT(ErrorOf({"serve", "--insecure-dev", "--server", "192.0.2.1:7601", "--models", models}),
              HasSubstr("192.0.2.1"));
}

TEST(Commands, RefusesThreadsAndCpusThatAreNotThere) {
  const std::string models = test::ScratchFolder();
  EXPECT_THAT(ErrorOf({"serve", "--insecure-dev", "--threads", "1000", "--models", models}),
              HasSubstr("expected at most"));
  EXPECT_THAT(ErrorOf({"serve", "--insecure-dev", "--cpus", "2000", "--models", models}), HasSubstr("2000"));
  EXPECT_THAT(ErrorOf({"serve", "--insecure-dev", "--cpus", "x", "--models", models}), HasSubstr("e.g. 0-3,6"));
}

}  // namespace
}  // namespace uaqf
